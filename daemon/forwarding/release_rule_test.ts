import assert from "node:assert/strict";
import type { FrrState } from "../../frr/protocol.ts";
import { createFabricView, type FabricView } from "./release_rule.ts";

const times = { most: 120_000, recovery: 10_000, reflected: 30_000 };
const node = "192.0.2.12";

function stateOf(peers: Readonly<Record<string, boolean>>, epoch = "1", ready = true): FrrState {
  return {
    ready,
    epoch,
    vrfs: [],
    vnis: [],
    peers: Object.entries(peers).map(([address, established]) => ({
      address,
      state: established ? "Established" : "Active",
      established,
      prefixesReceived: 0,
    })),
  };
}

function view(): FabricView {
  return createFabricView(times, (address) => address === node ? node : undefined);
}

Deno.test("what a peer takes back while its session stands may go at once", () => {
  const fabric = view();
  fabric.saw(stateOf({ [node]: true }), 0);
  fabric.saw(stateOf({ [node]: true }), 1_500);
  assert.equal(fabric.mayGo({ vtep: node, at: 1_000 }, 1_500), true);
});

Deno.test("what goes with its session is kept until the session had time to bring it again", () => {
  const fabric = view();
  const loss = { vtep: node, at: 1_000 };
  fabric.saw(stateOf({ [node]: true, "192.0.2.13": true }), 0);
  fabric.saw(stateOf({ [node]: false, "192.0.2.13": true }), 1_500);
  assert.equal(fabric.mayGo(loss, 1_500), false);
  assert.equal(fabric.mayGo({ vtep: "192.0.2.13", at: 1_000 }, 1_500), true, "another's stands");
  fabric.saw(stateOf({ [node]: true, "192.0.2.13": true }), 5_000);
  assert.equal(fabric.mayGo(loss, 14_999), false);
  assert.equal(fabric.mayGo(loss, 15_000), true);
});

Deno.test("what goes with this node's own FRR is kept until the new one had time to learn it", () => {
  const fabric = view();
  const loss = { vtep: node, at: 1_000 };
  fabric.saw(stateOf({ [node]: true }), 0);
  fabric.saw(undefined, 1_500);
  assert.equal(fabric.mayGo(loss, 1_500), false);
  fabric.saw(stateOf({ [node]: true }, "2", false), 2_000);
  assert.equal(fabric.mayGo(loss, 50_000), false);
  fabric.saw(stateOf({ [node]: true }, "2"), 3_000);
  assert.equal(fabric.mayGo(loss, 12_999), false);
  assert.equal(fabric.mayGo(loss, 13_000), true);
});

Deno.test("an FRR that was started anew between two looks counts as one that was away", () => {
  const fabric = view();
  fabric.saw(stateOf({ [node]: true }, "1"), 0);
  fabric.saw(stateOf({ [node]: true }, "2"), 1_400);
  assert.equal(fabric.mayGo({ vtep: node, at: 1_000 }, 1_500), false);
});

Deno.test("a reflector that takes back a node's route says nothing of the node itself: it is kept a while", () => {
  const fabric = view();
  const reflector = "192.0.2.1";
  fabric.saw(stateOf({ [reflector]: true }), 0);
  fabric.saw(stateOf({ [reflector]: true }), 1_500);
  assert.equal(fabric.mayGo({ vtep: node, at: 1_000 }, 30_999), false);
  assert.equal(fabric.mayGo({ vtep: node, at: 1_000 }, 31_000), true);
  assert.equal(fabric.mayGo({ vtep: "203.0.113.9", at: 1_000 }, 1_500), true, "an outside router");
});

Deno.test("nothing is kept longer than asked, whoever is away", () => {
  const fabric = view();
  fabric.saw(undefined, 0);
  assert.equal(fabric.mayGo({ vtep: undefined, at: 0 }, 119_999), false);
  assert.equal(fabric.mayGo({ vtep: undefined, at: 0 }, 120_000), true);
});

Deno.test("where another address stands for a node, its session is the one that counts", () => {
  const [nextHop, address] = ["100.64.0.2", "fd00:124::2"];
  const fabric = createFabricView(times, (vtep) => vtep === nextHop ? address : undefined);
  const loss = { vtep: nextHop, at: 1_000 };
  fabric.saw(stateOf({ [address]: true, "fd00:124::3": false }), 0);
  fabric.saw(stateOf({ [address]: true, "fd00:124::3": false }), 1_500);
  assert.equal(fabric.mayGo(loss, 1_500), true, "taken back on purpose");
  fabric.saw(stateOf({ [address]: false, "fd00:124::3": true }), 2_000);
  assert.equal(fabric.mayGo(loss, 2_000), false, "gone with its session");
});
