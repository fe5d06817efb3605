import assert from "node:assert/strict";
import { keepServing } from "./lasting_server.ts";

/** A server of which a test says when it ends. */
class Fake implements Deno.HttpServer<Deno.NetAddr> {
  readonly addr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 7 };
  readonly #end = Promise.withResolvers<void>();
  readonly finished: Promise<void> = this.#end.promise;
  stopped = false;

  constructor(readonly signal: AbortSignal) {}

  fail(): void {
    this.#end.reject(new Error("Too many open files"));
  }

  shutdown(): Promise<void> {
    this.stopped = true;
    this.#end.resolve();
    return Promise.resolve();
  }

  ref(): void {}
  unref(): void {}
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }
}

Deno.test("A server that ends is started again where it was, and its connections are dropped", async () => {
  const servers: Fake[] = [];
  const reasons: unknown[] = [];
  const restarted = Promise.withResolvers<void>();
  let refusals = 0;
  const lasting = keepServing<Deno.NetAddr>({
    start(signal, addr) {
      assert.equal(addr?.port, servers.length === 0 ? undefined : 7);
      if (servers.length === 1 && refusals < 2) throw new Error("not yet");
      const server = new Fake(signal);
      servers.push(server);
      if (servers.length === 2) restarted.resolve();
      return server;
    },
    ended: (cause) => reasons.push(cause),
    refused: () => refusals++,
  });
  servers[0]?.fail();
  await restarted.promise;
  assert.equal(servers[0]?.signal.aborted, true);
  assert.equal(servers[1]?.signal.aborted, false);
  assert.deepEqual([reasons.length, refusals], [1, 2]);
  await lasting.shutdown();
  assert.equal(servers[1]?.stopped, true);
  assert.equal(servers.length, 2);
});

Deno.test("A server that cannot be started at all says so at once", () => {
  assert.throws(
    () =>
      keepServing<Deno.NetAddr>({
        start() {
          throw new Deno.errors.AddrInUse("taken");
        },
        ended: () => {},
      }),
    Deno.errors.AddrInUse,
  );
});

Deno.test("One that is stopped while it waits is not started again", async () => {
  let starts = 0;
  const first = Promise.withResolvers<Fake>();
  const lasting = keepServing<Deno.NetAddr>({
    start(signal) {
      starts++;
      const server = new Fake(signal);
      first.resolve(server);
      return server;
    },
    ended: () => {},
  });
  (await first.promise).fail();
  await (await first.promise).finished.catch(() => {});
  await lasting.shutdown();
  assert.equal(starts, 1);
  assert.equal((await first.promise).stopped, false, "What has ended cannot be shut down");
});
