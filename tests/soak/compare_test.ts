import assert from "node:assert/strict";
import { agrees, compareFacts, differenceLines } from "./compare.ts";

Deno.test("facts in another order agree", () => {
  assert.ok(agrees(compareFacts(["a", "b"], ["b", "a"])));
});

Deno.test("what is missing and what is left over is told, in order and once each", () => {
  const difference = compareFacts(["link a", "link b", "link c"], ["link z", "link b", "link y"]);
  assert.deepEqual(difference, {
    missing: ["link a", "link c"],
    surplus: ["link y", "link z"],
  });
  assert.ok(!agrees(difference));
  assert.deepEqual(differenceLines(difference), [
    "missing:   link a",
    "missing:   link c",
    "left over: link y",
    "left over: link z",
  ]);
});

Deno.test("a rule that is there twice is left over once, and one that must be there twice is missing once", () => {
  assert.deepEqual(compareFacts(["rule"], ["rule", "rule"]), { missing: [], surplus: ["rule"] });
  assert.deepEqual(compareFacts(["rule", "rule"], ["rule"]), { missing: ["rule"], surplus: [] });
});

Deno.test("what is tolerated may be there, and nothing else beside it", () => {
  const difference = compareFacts(["link a"], ["link a", "mac b", "mac c"], new Set(["mac b"]));
  assert.deepEqual(difference, { missing: [], surplus: ["mac c"] });
  assert.ok(agrees(compareFacts(["link a"], ["link a"], new Set(["mac b"]))));
});
