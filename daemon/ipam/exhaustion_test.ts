import assert from "node:assert/strict";
import { exhaustionOf } from "./exhaustion.ts";
import type { PoolBlock, PoolDomain, PoolProblem } from "./port.ts";

function domain(name: string, vrf: number): PoolDomain {
  return { name, vrf, ranges: [{ prefix: "10.150.0.0/30", blockLength: 30, addressLength: 30 }] };
}

function block(vrf: number, allocated: number): PoolBlock {
  return { name: "b", vrf, cidr: "10.150.0.0/30", gateway: "10.150.0.1", allocated, capacity: 2 };
}

function problem(vrf: number, code = "BlocksExhausted"): PoolProblem {
  return { vrf, code, message: "none is left" };
}

const [blue, red] = [domain("blue", 1), domain("red", 2)];

Deno.test("a node is exhausted when every domain is, and says it of each", () => {
  const blocks = [block(1, 2), block(2, 2)];
  assert.deepEqual(exhaustionOf([blue, red], blocks, [problem(1), problem(2)]), [
    'VRFDomain "blue": none is left',
    'VRFDomain "red": none is left',
  ]);
});

Deno.test("a node is not exhausted while a domain has room, could claim, or failed otherwise", () => {
  assert.deepEqual(exhaustionOf([], [], []), []);
  assert.deepEqual(exhaustionOf([blue, red], [block(1, 2), block(2, 2)], [problem(1)]), []);
  assert.deepEqual(exhaustionOf([blue], [block(1, 2), block(1, 1)], [problem(1)]), []);
  assert.deepEqual(exhaustionOf([blue], [block(1, 2)], [problem(1, "ClaimFailed")]), []);
});
