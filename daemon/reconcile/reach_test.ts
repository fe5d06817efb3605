import assert from "node:assert/strict";
import { type NodeVtep, type OtherNode, type ReachInput, reachOf } from "./reach.ts";
import { derivedRouterId } from "./router_id.ts";

const four = { address: "192.0.2.1" };
const six = { address: "fd00:124::1" };

function input(others: readonly OtherNode[], more: Partial<ReachInput> = {}): ReachInput {
  return { node: "n1", asn: 65000, others, ...more };
}

function vtep([node = "", address = "", routerId = "", nextHop = ""]: string[]): NodeVtep {
  return { node, address, routerId, nextHop };
}

function internal(...addresses: string[]) {
  return addresses.map((address) => ({ address, remoteAs: "internal" }));
}

Deno.test("nodes whose tunnels run over different IP versions are told apart, and do not try", () => {
  const others: OtherNode[] = [
    { name: "n2", local: "fd00:124::2", addresses: ["192.0.2.2"] },
    { name: "n3", local: "192.0.2.3", addresses: ["fd00:124::3"] },
    { name: "n4", addresses: [] },
  ];
  const overFour = reachOf(input(others), four);
  assert.deepEqual(overFour.peers, internal("192.0.2.3"));
  assert.match(overFour.problems.join("\n"), /^Expected an IPv4 address .* "n2".*VRFNodeConfig$/);
  const overSix = reachOf(input(others), six);
  assert.deepEqual(overSix.peers, internal("fd00:124::2"));
  assert.match(overSix.problems.join("\n"), /^Expected an IPv6 address .* "n3".*VRFNodeConfig$/);
});

Deno.test("nodes with one router id are told, where it stands for their VTEPs", () => {
  const others: OtherNode[] = [
    { name: "n2", routerId: "198.51.100.1", addresses: ["fd00:124::2", "192.0.2.2"] },
    { name: "n3", routerId: "198.51.100.1", addresses: ["fd00:124::3", "192.0.2.3"] },
  ];
  assert.match(reachOf(input(others), six).problems.join("\n"), /^Expected .* "n2", "n3";/);
  const own = reachOf(input(others.slice(0, 1), { routerId: "198.51.100.1" }), six);
  assert.match(own.problems.join("\n"), /"198\.51\.100\.1" for "n1", "n2"/);
  assert.deepEqual(reachOf(input(others), four).problems, []);
});

Deno.test("on IPv4 the VTEP is the router id, and FRR finds the other ends", () => {
  const others: OtherNode[] = [
    { name: "n2", addresses: ["192.0.2.2", "198.51.100.2"] },
    { name: "n3", routerId: "198.51.100.3", addresses: ["192.0.2.3"] },
    { name: "n4", addresses: ["fd00:124::4", "192.0.2.4"] },
    { name: "n5", addresses: ["fd00:124::5"] },
  ];
  assert.deepEqual(reachOf(input(others), four), {
    routerId: "192.0.2.1",
    peers: internal("192.0.2.2", "192.0.2.4", "198.51.100.3", "fd00:124::5"),
    vteps: [
      ["n2", "192.0.2.2", "192.0.2.2", "192.0.2.2"],
      ["n3", "198.51.100.3", "198.51.100.3", "198.51.100.3"],
      ["n4", "192.0.2.4", "192.0.2.4", "192.0.2.4"],
      ["n5", "fd00:124::5", derivedRouterId("n5"), derivedRouterId("n5")],
    ].map(vtep),
    problems: [],
  });
  assert.equal(reachOf(input([], { routerId: "198.51.100.1" }), four).routerId, "198.51.100.1");
});

Deno.test("on IPv6 the router id is the node's own or follows from its name, and every other end is known", () => {
  const others: OtherNode[] = [
    { name: "n2", addresses: ["192.0.2.2", "fd00:124::2"] },
    { name: "n3", local: "FD00:124:0::3", routerId: "198.51.100.3", addresses: [] },
  ];
  const found = reachOf(input(others), six);
  assert.deepEqual(found, {
    routerId: derivedRouterId("n1"),
    peers: internal("fd00:124::2", "fd00:124::3"),
    vteps: [
      ["n2", "fd00:124::2", derivedRouterId("n2"), derivedRouterId("n2")],
      ["n3", "fd00:124::3", "198.51.100.3", "198.51.100.3"],
    ].map(vtep),
    problems: [],
  });
  const routeReflectors = ["fd00:124::250", "fd00:124::250"];
  const config = { nodeRef: { name: "n1" }, interfaces: [], routeReflectors };
  const reflected = reachOf(input(others, { config, routerId: "198.51.100.1" }), six);
  assert.deepEqual(reflected.peers, internal("fd00:124::250"));
  assert.equal(reflected.routerId, "198.51.100.1");
  assert.deepEqual(reflected.vteps, found.vteps);
});

Deno.test("derived router ids are of shared address space, and differ", () => {
  const ids = Array.from({ length: 100 }, (_, at) => derivedRouterId(`node-${at}`));
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) {
    const [first, second = 0] = id.split(".").map(Number);
    assert.ok(first === 100 && second >= 64 && second < 128, id);
  }
});
