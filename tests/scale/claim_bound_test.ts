import assert from "node:assert/strict";
import { startOf } from "../../daemon/ipam/block_candidates.ts";
import { type Claim, mostConflicts } from "./claim_bound.ts";

const claims: readonly Claim[] = Array.from(
  { length: 40 },
  (_, index) => ({ node: `node-${index}`, vrf: 1 }),
);

Deno.test("a node alone meets nobody, and nodes of different VRFs do not meet", () => {
  assert.equal(mostConflicts(claims.slice(0, 1), 16), 0);
  const apart = claims.map((claim, vrf) => ({ ...claim, vrf }));
  assert.equal(mostConflicts(apart, 64), 0);
});

Deno.test("who comes first does not matter for how often nodes meet", () => {
  const expected = mostConflicts(claims, 64);
  assert.ok(expected > 0);
  assert.equal(mostConflicts(claims.toReversed(), 64), expected);
});

Deno.test("nodes whose search begins at the same block meet as often as there are pairs of them", () => {
  const [one] = claims;
  assert.ok(one);
  const same = claims.filter(({ node, vrf }) => startOf(node, vrf) % 2 === startOf(one.node, 1) % 2)
    .slice(0, 2);
  assert.equal(mostConflicts(same, 2), 1);
});
