import assert from "node:assert/strict";
import { createLanes } from "./lanes.ts";

Deno.test("a task waits for all that was begun before in its lanes, and not for others", async () => {
  const lanes = createLanes(4);
  const order: string[] = [];
  const gate = Promise.withResolvers<void>();
  lanes.begin(["a"], async () => {
    await gate.promise;
    order.push("first of a");
  });
  lanes.begin(["b"], () => {
    order.push("first of b");
    gate.resolve();
    return Promise.resolve();
  });
  lanes.begin(["a", "b"], () => {
    order.push("second of both");
    return Promise.resolve();
  });
  await lanes.settle();
  assert.deepEqual(order, ["first of b", "first of a", "second of both"]);
});

Deno.test("no more than so many use a slot at once, and each gets one", async () => {
  const lanes = createLanes(2);
  let now = 0;
  let most = 0;
  await Promise.all(Array.from({ length: 10 }, () =>
    lanes.use(async () => {
      most = Math.max(most, ++now);
      await Promise.resolve();
      now--;
    })));
  assert.equal(most, 2);
});

Deno.test("the first error comes out, and nothing is begun after it", async () => {
  const lanes = createLanes(2);
  lanes.begin(["a"], () => Promise.reject(new Error("first")));
  lanes.begin(["a"], () => {
    assert.fail("it was begun");
  });
  await assert.rejects(lanes.settle(), /first/);
  await assert.rejects(lanes.fewerThan(1), /first/);
});
