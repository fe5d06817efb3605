import assert from "node:assert/strict";
import {
  missingDaemons,
  parsePeers,
  parsePrefixRoutes,
  parseRouteTable,
  parseVnis,
  parseVrfs,
} from "./state.ts";
import { firstRefusal, splitTranscript } from "./vtysh.ts";

Deno.test("output that is no JSON or has another form is no state, not a failure", () => {
  for (
    const text of [
      "",
      "% BGP instance not found",
      "{",
      "[]",
      "null",
      '{"vrfs": 1}',
      '{"peers": {"x": 1}}',
    ]
  ) {
    assert.deepEqual(parseVnis(text), []);
    assert.deepEqual(parsePeers(text), []);
    assert.deepEqual(parseVrfs(text, text), []);
    assert.deepEqual(parsePrefixRoutes(text), []);
  }
  assert.deepEqual(parseRouteTable("{}"), []);
  assert.deepEqual(missingDaemons(""), ["zebra", "bgpd", "staticd"]);
  assert.deepEqual(missingDaemons(" zebra bgpd watchfrr staticd"), []);
});

Deno.test("VRFs come with the links that zebra sees in them, though each namespace has its own lo", () => {
  const showVrf = `netns-based vrfs
vrf vrf-300 inactive (configured)
vrf vrf-200 id 1 netns /run/netns/vrf-200 (configured)
vrf vrf-400 id 7 table 2400`;
  const showInterfaces = `Interface       Status  VRF             Addresses
---------       ------  ---             ---------
lo              up      default         

Interface       Status  VRF             Addresses
---------       ------  ---             ---------
l3vx-50200      up      vrf-200         
lo              up      vrf-200         
l3br-200        up      vrf-200         10.150.1.1/26`;
  assert.deepEqual(parseVrfs(showVrf, showInterfaces), [
    { name: "vrf-200", id: 1, state: "active", interfaces: ["l3br-200", "l3vx-50200", "lo"] },
    { name: "vrf-300", state: "inactive", interfaces: [] },
    { name: "vrf-400", id: 7, state: "active", interfaces: [] },
  ]);
});

Deno.test("what FRR does not know of a VNI is absent, also when it prints freed memory", () => {
  const entry = { vrf: "vrf-200", vni: 50200, vxlanIntf: "None", state: "Down" };
  for (const [sviIntf, routerMac] of [["None", "None"], ["", "a0:7f:00:00:40:ad"]]) {
    const [state] = parseVnis(JSON.stringify({ vrfs: [{ ...entry, sviIntf, routerMac }] }));
    assert.deepEqual(state, {
      vrf: "vrf-200",
      vni: 50200,
      state: "Down",
      svi: undefined,
      vxlan: undefined,
      routerMac: undefined,
    });
  }
});

Deno.test("a transcript is cut at the repeated commands", () => {
  const transcript =
    "\nHello, this is FRRouting (version 8.4.4).\n\nvm# show a\n1\n2\nvm# configure terminal\nvm(config)#  no x\n% No\nvm(config)# end\nvm# \n";
  const replies = splitTranscript(["show a", "configure terminal", " no x", "end"], transcript);
  assert.deepEqual(replies.map((reply) => reply.output), ["1\n2", "", "% No", ""]);
  assert.equal(firstRefusal(replies)?.command, " no x");
  assert.throws(() => splitTranscript(["show b"], transcript), { code: "FrrUnavailable" });
});
