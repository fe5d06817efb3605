import assert from "node:assert/strict";
import { eventually } from "./testing/eventually.ts";
import { createWorkQueue } from "./workqueue.ts";

const backoff = { baseMs: 1, maxMs: 2 };

Deno.test("a key that is added many times is worked on once", async () => {
  const stop = new AbortController();
  const seen: string[] = [];
  const queue = createWorkQueue({
    process: (key) => {
      seen.push(key);
      return Promise.resolve();
    },
    signal: stop.signal,
  });
  for (let i = 0; i < 50; i++) for (const key of ["a", "b"]) queue.add(key);
  await eventually("both are done", () => seen.length === 2);
  stop.abort();
  await queue.stopped;
  queue.add("c");
  assert.deepEqual(seen, ["a", "b"]);
});

Deno.test("a key is never worked on twice at a time, and once more if added meanwhile", async () => {
  const stop = new AbortController();
  const runs: PromiseWithResolvers<void>[] = [];
  let active = 0, most = 0;
  const queue = createWorkQueue({
    workers: 4,
    process: async () => {
      most = Math.max(most, ++active);
      const run = Promise.withResolvers<void>();
      runs.push(run);
      await run.promise;
      active -= 1;
    },
    signal: stop.signal,
  });
  queue.add("a");
  await eventually("it starts", () => runs.length === 1);
  queue.add("a");
  queue.add("a");
  assert.equal(runs.length, 1);
  runs[0]?.resolve();
  await eventually("it starts again", () => runs.length === 2);
  runs[1]?.resolve();
  await eventually("it is done", () => active === 0);
  stop.abort();
  await queue.stopped;
  assert.equal(runs.length, 2);
  assert.equal(most, 1);
});

Deno.test("different keys are worked on side by side, up to the number of workers", async () => {
  const stop = new AbortController();
  const hold = Promise.withResolvers<void>();
  let active = 0;
  const queue = createWorkQueue({
    workers: 2,
    process: async () => {
      active += 1;
      await hold.promise;
    },
    signal: stop.signal,
  });
  for (const key of ["a", "b", "c"]) queue.add(key);
  await eventually("two run", () => active === 2);
  assert.equal(queue.length, 1);
  hold.resolve();
  await eventually("the third runs", () => active === 3);
  stop.abort();
  await queue.stopped;
});

Deno.test("a failing key is repeated and holds up no other", async () => {
  const stop = new AbortController();
  const tries = new Map<string, number>();
  const failures: string[] = [];
  const queue = createWorkQueue({
    backoff,
    process: (key) => {
      const count = (tries.get(key) ?? 0) + 1;
      tries.set(key, count);
      if (key === "bad" && count < 5) throw new Error("no");
      return Promise.resolve();
    },
    failed: (key) => failures.push(key),
    signal: stop.signal,
  });
  queue.add("bad");
  queue.add("good");
  await eventually("bad succeeds", () => tries.get("bad") === 5);
  assert.equal(tries.get("good"), 1);
  assert.deepEqual(failures, ["bad", "bad", "bad", "bad"]);
  queue.addAfter("good", 1_000_000);
  queue.addAfter("good", 1);
  await eventually("good runs again", () => tries.get("good") === 2);
  queue.addAfter("good", 1_000_000);
  stop.abort();
  await queue.stopped;
});
