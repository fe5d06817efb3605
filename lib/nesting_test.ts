import assert from "node:assert/strict";
import { isNestedTooDeep, mostLevels } from "./nesting.ts";

function nested(levels: number): unknown {
  return JSON.parse(`${'{"a":['.repeat(levels / 2)}${"]}".repeat(levels / 2)}`);
}

Deno.test("A value may be as wide as it likes and as deep as the limit, and no deeper", () => {
  assert.equal(isNestedTooDeep(nested(mostLevels)), false);
  assert.equal(isNestedTooDeep(nested(mostLevels + 2)), true);
  assert.equal(isNestedTooDeep(nested(1_000_000)), true);
  assert.equal(isNestedTooDeep(Array.from({ length: 300_000 }, () => [1])), false);
  for (const plain of [undefined, null, 1, "text"]) assert.equal(isNestedTooDeep(plain), false);
});
