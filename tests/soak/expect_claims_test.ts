import assert from "node:assert/strict";
import { claimProblems } from "./expect_claims.ts";
import { tenants } from "./tenants.ts";
import type { AttachedPod, ClaimedBlock, World } from "./world.ts";

const [domain] = tenants;
assert.ok(domain);

const nodes = [
  { name: "node1", address: "192.168.124.11" },
  { name: "node2", address: "192.168.124.12" },
];

function block(third: number, last: number, node = "node1"): ClaimedBlock {
  const cidr = `10.150.${third}.${last}/29`;
  const name = `vrf-200-${cidr.replaceAll(/[./]/g, "-")}`;
  return { name, uid: name, vrf: 200, cidr, node };
}

function pod(name: string, address: string, node = "node1"): AttachedPod {
  assert.ok(domain);
  return {
    ...{ name, uid: name, node, domain, container: name, netns: `/run/pods/${name}` },
    addresses: [{ address, length: 29, gateway: "10.150.0.1" }],
    ...{ hostIfname: "veth", hostMac: "02:00:00:00:00:01", mac: "02:00:00:00:00:02" },
  };
}

function problems(world: Partial<World>): readonly string[] {
  return claimProblems({
    nodes,
    domains: [domain ?? assert.fail()],
    former: [],
    pods: [],
    blocks: [],
    ...world,
  });
}

Deno.test("blocks with enough addresses and not too many are no problem", () => {
  assert.deepEqual(problems({}), []);
  assert.deepEqual(problems({ blocks: [block(0, 0)] }), []);
});

Deno.test("an address that is given twice, or of no block of its node, is a problem", () => {
  const blocks = [block(0, 0)];
  assert.deepEqual(problems({ blocks, pods: [pod("a", "10.150.0.2"), pod("b", "10.150.0.2")] }), [
    "10.150.0.2 of soak-a is given twice",
  ]);
  assert.deepEqual(problems({ blocks, pods: [pod("a", "10.150.9.2")] }), [
    "a has 10.150.9.2 of no block of node1",
  ]);
});

Deno.test("blocks that overlap, are of no domain, are misnamed or of another length are problems", () => {
  const twice = { ...block(0, 0, "node2"), name: "vrf-200-10-150-0-0-29b" };
  assert.deepEqual(problems({ blocks: [block(0, 0), twice] }), [
    "vrf-200-10-150-0-0-29b is misnamed",
    "vrf-200-10-150-0-0-29b overlaps vrf-200-10-150-0-0-29",
  ]);
  assert.deepEqual(problems({ blocks: [{ ...block(0, 0), vrf: 999 }] }), [
    "vrf-200-10-150-0-0-29 is of no domain",
  ]);
  const wide = { ...block(0, 0), cidr: "10.150.0.0/28", name: "vrf-200-10-150-0-0-28" };
  assert.deepEqual(problems({ blocks: [wide] }), ["vrf-200-10-150-0-0-28 does not fit soak-a"]);
});

Deno.test("a node that has too few addresses left, or keeps a block without need, is a problem", () => {
  const pods = [2, 3, 4, 5].map((last) => pod(`pod-${last}`, `10.150.0.${last}`));
  assert.deepEqual(problems({ blocks: [block(0, 0)], pods }), [
    "node1 has 1 addresses left of soak-a",
  ]);
  assert.deepEqual(problems({ blocks: [block(0, 0), block(0, 8)] }), [
    "node1 keeps vrf-200-10-150-0-0-29 without need",
    "node1 keeps vrf-200-10-150-0-8-29 without need",
  ]);
});
