import assert from "node:assert/strict";
import type { SecretKeyRef } from "../resources/bgp_peer.ts";
import type { VRFNodeConfigSpec } from "../resources/vrf_node_config.ts";
import { type MeshNode, peerProblem, peersOf } from "./peers.ts";

const mesh: readonly MeshNode[] = [{ address: "192.0.2.2" }, { address: "192.0.2.3", asn: 65003 }];

function config(given: Partial<VRFNodeConfigSpec>): VRFNodeConfigSpec {
  return { nodeRef: { name: "n1" }, interfaces: [], ...given };
}

const passwords = new Map([["tor/password", "s3cret"], ["tor/spare", "other"]]);
const passwordOf = ({ name, key }: SecretKeyRef) => passwords.get(`${name}/${key}`);

function peers(given: Partial<VRFNodeConfigSpec> | undefined) {
  const spec = given === undefined ? undefined : config(given);
  return peersOf({ asn: 65000, config: spec, mesh, passwordOf });
}

function addresses(given: Partial<VRFNodeConfigSpec>): string[] {
  return peers(given).map(({ address }) => address);
}

const meshed = ["192.0.2.2", "192.0.2.3"];

Deno.test("without settings a node peers with all others, and with route reflectors or peers only with those", () => {
  assert.deepEqual(peers(undefined), [
    { address: "192.0.2.2", remoteAs: "internal" },
    { address: "192.0.2.3", remoteAs: 65003 },
  ]);
  assert.deepEqual(addresses({}), meshed);
  assert.deepEqual(addresses({ routeReflectors: [], peers: [] }), meshed);
  assert.deepEqual(addresses({ routeReflectors: ["192.0.2.250"] }), ["192.0.2.250"]);
  assert.deepEqual(addresses({ peers: [{ address: "192.0.2.9" }] }), ["192.0.2.9"]);
});

Deno.test("a full mesh can be asked for beside peers, or be left out altogether", () => {
  const listed = { peers: [{ address: "192.0.2.9" }] };
  assert.deepEqual(addresses({ ...listed, fullMesh: true }), [...meshed, "192.0.2.9"]);
  assert.deepEqual(addresses({ fullMesh: false }), []);
});

Deno.test("an address that is listed, a reflector and a node is one peer, spoken with as listed", () => {
  const listed = [{ address: "192.0.2.3", timers: { hold: 9 } }, { address: "fd00:0::9" }];
  const reflectors = ["192.0.2.3", "192.0.2.3", "fd00::9"];
  assert.deepEqual(peers({ peers: listed, routeReflectors: reflectors, fullMesh: true }), [
    { address: "192.0.2.2", remoteAs: "internal" },
    { address: "192.0.2.3", remoteAs: "internal", timers: { keepalive: 3, hold: 9 } },
    { address: "fd00::9", remoteAs: "internal" },
  ]);
});

Deno.test("the defaults hold for every peer, and what its entry says comes before them", () => {
  const peerDefaults = { bfd: {}, timers: { connect: 5 }, allowAsIn: 2, ebgpMultihop: 4 };
  const listed = [{ address: "192.0.2.9", asn: 65500, allowAsIn: 1, bfd: { receiveInterval: 50 } }];
  assert.deepEqual(peers({ peers: listed, routeReflectors: ["192.0.2.250"], peerDefaults }), [
    { address: "192.0.2.250", remoteAs: "internal", bfd: {}, connectRetry: 5, allowAsIn: 2 },
    {
      address: "192.0.2.9",
      remoteAs: 65500,
      bfd: { receiveInterval: 50 },
      connectRetry: 5,
      ebgpMultihop: 4,
      allowAsIn: 1,
    },
  ]);
});

Deno.test("a peer of the node's own AS number is an internal one, whoever gave the number", () => {
  const remote = (given: Partial<VRFNodeConfigSpec>) =>
    peers(given).map(({ remoteAs }) => remoteAs);
  assert.deepEqual(remote({ peers: [{ address: "192.0.2.9", asn: 65000 }] }), ["internal"]);
  assert.deepEqual(remote({ asn: 65009, peers: [{ address: "192.0.2.9", asn: 65009 }] }), [
    "internal",
  ]);
  assert.deepEqual(remote({ asn: 65009 }), [65000, 65003]);
  assert.deepEqual(remote({ asn: 65003 }), [65000, "internal"]);
});

Deno.test("one of two session timers gives the other", () => {
  const timers = (given: { keepalive?: number; hold?: number; connect?: number }) =>
    peers({ peers: [{ address: "192.0.2.9", timers: given }] })[0]?.timers;
  assert.deepEqual(timers({ hold: 10 }), { keepalive: 3, hold: 10 });
  assert.deepEqual(timers({ keepalive: 20 }), { keepalive: 20, hold: 180 });
  assert.deepEqual(timers({ connect: 1 }), undefined);
});

Deno.test("a node whose address is none that can be reached is no peer, and a peer that is none is told", () => {
  const odd = [{ address: "224.0.0.1" }, { address: "fe80::1" }, { address: "::" }];
  assert.deepEqual(peersOf({ asn: 65000, config: undefined, mesh: odd, passwordOf }), []);
  for (const { address } of odd) {
    assert.match(peerProblem(config({ routeReflectors: [address] })) ?? "", /unicast/);
    assert.match(peerProblem(config({ peers: [{ address }] })) ?? "", /unicast/);
  }
  assert.equal(peerProblem(config({ routeReflectors: ["fd00:0::1"] })), undefined);
  assert.match(
    peerProblem(config({ peers: [{ address: "192.0.2.9", updateSource: "lo 0" }] })) ?? "",
    /interface/,
  );
});

Deno.test("a peer has the password that its entry or the defaults name, and is left out while there is none", () => {
  const ref = (name: string, key = "password") => ({ passwordSecretRef: { name, key } });
  const listed = [
    { address: "192.0.2.7", ...ref("tor", "spare") },
    { address: "192.0.2.8" },
    { address: "192.0.2.9", ...ref("missing") },
  ];
  assert.deepEqual(peers({ peers: listed, peerDefaults: ref("tor") }), [
    { address: "192.0.2.7", remoteAs: "internal", password: "other" },
    { address: "192.0.2.8", remoteAs: "internal", password: "s3cret" },
  ]);
  assert.deepEqual(addresses({ peerDefaults: ref("missing") }), []);
  assert.equal(peerProblem(config({ peers: listed })), undefined);
});
