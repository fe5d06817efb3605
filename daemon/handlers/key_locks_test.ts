import assert from "node:assert/strict";
import { KeyLocks } from "./key_locks.ts";

const never = new AbortController().signal;

Deno.test("A wait that is aborted lets nobody in before their turn", async () => {
  const locks = new KeyLocks();
  const order: string[] = [];
  const first = await locks.acquire("a", never);
  const controller = new AbortController();
  const aborted = locks.acquire("a", controller.signal);
  const last = locks.acquire("a", never).then((turn) => {
    order.push("last");
    turn[Symbol.dispose]();
  });
  controller.abort(new Error("gone"));
  await assert.rejects(aborted, /gone/);
  order.push("first");
  first[Symbol.dispose]();
  await last;
  assert.deepEqual(order, ["first", "last"]);
  await assert.rejects(locks.acquire("a", controller.signal), /gone/);
  assert.equal(locks.size, 0);
});

Deno.test("An aborted last wait leaves the key free", async () => {
  const locks = new KeyLocks();
  const controller = new AbortController();
  {
    using _first = await locks.acquire("a", never);
    const aborted = locks.acquire("a", controller.signal);
    controller.abort(new Error("gone"));
    await assert.rejects(aborted, /gone/);
  }
  await Promise.resolve();
  using _next = await locks.acquire("a", never);
  assert.equal(locks.size, 1);
});

Deno.test("Different keys do not wait for each other", async () => {
  const locks = new KeyLocks();
  using _a = await locks.acquire("a", never);
  using _b = await locks.acquire("b", never);
  assert.equal(locks.size, 2);
});
