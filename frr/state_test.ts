import assert from "node:assert/strict";
import {
  missingDaemons,
  parseAddresses,
  parsePrefixRoutes,
  parseRouteTable,
  parseVnis,
  parseVrfs,
} from "./state.ts";
import { parseBfdSessions, parseLastError, parsePeers } from "./peer_state.ts";
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
    assert.equal(parseBfdSessions(text).size, 0);
    assert.equal(parseLastError("192.0.2.1", text), undefined);
    assert.deepEqual(parseVrfs(text, text), []);
    assert.deepEqual(parsePrefixRoutes(text), []);
    assert.deepEqual(parseAddresses(text), {});
  }
  assert.deepEqual(parseRouteTable("{}"), []);
  assert.deepEqual(missingDaemons([]), ["zebra", "bgpd", "staticd"]);
  assert.deepEqual(missingDaemons(["zebra", "bgpd", "bfdd", "staticd"]), []);
});

Deno.test("a peer of the own AS number has none before its session was up, whatever FRR prints", () => {
  const peer = (remoteAs: number) => ({ state: "Active", pfxRcd: 0, remoteAs });
  const peers = { "192.0.2.1": peer(0), "192.0.2.2": peer(65001) };
  const asns = parsePeers(JSON.stringify({ peers })).map(({ asn }) => asn);
  assert.deepEqual(asns, [undefined, 65001]);
});

Deno.test("addresses come by the link that zebra knows them of", () => {
  const link = (vrfName: string, ...addresses: string[]) => ({ status: "up", vrfName, addresses });
  const shown = {
    "lo": link("vrf-200"),
    "l3br-200": link("vrf-200", "10.150.1.1/26", "fd00:150::1/64", "fd00:150:0:1::1/64"),
  };
  assert.deepEqual(parseAddresses(JSON.stringify(shown)), {
    "lo": [],
    "l3br-200": ["10.150.1.1/26", "fd00:150::1/64", "fd00:150:0:1::1/64"],
  });
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
      type: "l3vni",
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

Deno.test("a peer that is down tells the last notification, else the last reset", () => {
  const told = (neighbor: unknown) =>
    parseLastError("192.0.2.1", JSON.stringify({ "192.0.2.1": neighbor }));
  const lastResetDueTo = "Waiting for peer OPEN";
  assert.equal(told({ lastResetDueTo }), lastResetDueTo);
  const lastNotificationReason = "OPEN Message Error/Bad Peer AS";
  assert.equal(told({ lastResetDueTo, lastNotificationReason }), lastNotificationReason);
  assert.equal(told({}), undefined);
});
