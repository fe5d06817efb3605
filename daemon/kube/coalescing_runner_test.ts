import assert from "node:assert/strict";
import {
  type CoalescingOptions,
  type CoalescingRunner,
  createTrigger,
} from "./coalescing_runner.ts";
import { eventually } from "./testing/eventually.ts";

/** A runner whose runs the test ends itself. */
class Bench implements AsyncDisposable {
  readonly runs: PromiseWithResolvers<void>[] = [];
  readonly failures: unknown[] = [];
  readonly runner: CoalescingRunner;
  readonly #controller = new AbortController();

  constructor(timing: Partial<CoalescingOptions> = {}) {
    this.runner = createTrigger({
      debounceMs: 1,
      maxDelayMs: 20,
      resyncMs: 1_000_000,
      retryBaseMs: 1,
      retryMaxMs: 1,
      ...timing,
      run: () => {
        const run = Promise.withResolvers<void>();
        this.runs.push(run);
        return run.promise;
      },
      failed: (error) => this.failures.push(error),
      signal: this.#controller.signal,
    });
  }

  async started(count: number): Promise<PromiseWithResolvers<void>> {
    await eventually(`run ${count} starts`, () => this.runs.length >= count);
    const run = this.runs[count - 1];
    assert(run);
    return run;
  }

  stop(): void {
    this.#controller.abort(new Error("stopped"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    for (const run of this.runs) run.resolve();
    await this.runner.stopped;
  }
}

Deno.test("many marks make one run, and marks during a run make one more", async () => {
  await using bench = new Bench();
  for (let i = 0; i < 100; i++) bench.runner.mark();
  const first = await bench.started(1);
  for (let i = 0; i < 100; i++) bench.runner.mark();
  assert.equal(bench.runs.length, 1);
  first.resolve();
  (await bench.started(2)).resolve();
  const request = bench.runner.requestRun();
  (await bench.started(3)).resolve();
  await request;
  assert.equal(bench.runs.length, 3);
});

Deno.test("marks that never cease do not keep a run from starting", async () => {
  await using bench = new Bench({ debounceMs: 1_000_000, maxDelayMs: 10 });
  bench.runner.mark();
  await eventually("the run starts", () => {
    bench.runner.mark();
    return bench.runs.length === 1;
  });
});

Deno.test("a request during a run is served by the next run", async () => {
  await using bench = new Bench();
  bench.runner.mark();
  const first = await bench.started(1);
  let served = false;
  const request = bench.runner.requestRun().then(() => served = true);
  first.resolve();
  const second = await bench.started(2);
  assert.equal(served, false);
  second.resolve();
  await request;
});

Deno.test("a failed run is told to who asked for it, and repeated", async () => {
  await using bench = new Bench();
  const request = bench.runner.requestRun();
  const error = new Error("no");
  const first = await bench.started(1);
  const rejected = assert.rejects(request, error);
  first.reject(error);
  await rejected;
  const second = await bench.started(2);
  assert.deepEqual(bench.failures, [error]);
  second.resolve();
});

Deno.test("without any mark a run comes at each resync", async () => {
  await using bench = new Bench({ resyncMs: 1 });
  (await bench.started(1)).resolve();
  (await bench.started(2)).resolve();
});

Deno.test("an aborted runner rejects requests and waits for the run in progress", async () => {
  await using bench = new Bench();
  bench.runner.mark();
  const run = await bench.started(1);
  const request = bench.runner.requestRun();
  let stopped = false;
  const end = bench.runner.stopped.then(() => stopped = true);
  bench.stop();
  await assert.rejects(request, /stopped/);
  await assert.rejects(bench.runner.requestRun(), /stopped/);
  assert.equal(stopped, false);
  run.resolve();
  await end;
  assert.equal(bench.runs.length, 1);
});
