import assert from "node:assert/strict";
import type { Node } from "../resources/core.ts";
import type { VRFNodeConfig } from "../resources/vrf_node_config.ts";
import { gather, type GatherInput } from "./gather.ts";
import { reachOf } from "./reach.ts";

function node(name: string, address: string): Node {
  return { metadata: { name }, status: { addresses: [{ type: "InternalIP", address }] } };
}

function config(node: string, local: string, accepted?: boolean, age = 0): VRFNodeConfig {
  return {
    metadata: { name: `${node}-${age}`, creationTimestamp: `2026-11-24T00:00:0${age}Z` },
    spec: { nodeRef: { name: node }, interfaces: [{ name: "eth0", local }] },
    ...accepted === undefined ? {} : { status: { accepted } },
  };
}

function input(given: Partial<GatherInput>): GatherInput {
  return {
    node: "n1",
    asn: 65000,
    serviceVrfMax: 512,
    domains: [],
    nodes: [node("n1", "192.0.2.1"), node("n2", "192.0.2.2")],
    nodeConfigs: [],
    ownConfig: undefined,
    policies: [],
    blocks: [],
    unreadable: 0,
    attachments: new Map(),
    ports: new Map(),
    ...given,
  };
}

Deno.test("settings of the node that are not accepted are not used", () => {
  const own = config("n1", "198.51.100.1", false);
  assert.equal(gather(input({ nodeConfigs: [own] })).underlay, undefined);
  assert.deepEqual(gather(input({ nodeConfigs: [own], ownConfig: own })).underlay, {
    ifname: "eth0",
    address: "198.51.100.1",
  });
});

Deno.test("another node is reached where it says, and by its own address when it refuses its settings", () => {
  const peers = (...nodeConfigs: VRFNodeConfig[]) =>
    reachOf(gather(input({ nodeConfigs })).reach, { address: "192.0.2.1" }).peers
      .map(({ address }) => address);
  assert.deepEqual(peers(), ["192.0.2.2"]);
  assert.deepEqual(peers(config("n2", "198.51.100.2")), ["198.51.100.2"]);
  assert.deepEqual(peers(config("n2", "198.51.100.2", true)), ["198.51.100.2"]);
  assert.deepEqual(peers(config("n2", "198.51.100.2", false)), ["192.0.2.2"]);
  const older = config("n2", "198.51.100.2", true, 1);
  const newer = config("n2", "198.51.100.9", false, 2);
  assert.deepEqual(peers(newer, older), ["198.51.100.2"]);
});

Deno.test("a node speaks with another by that one's AS number, and has its own", () => {
  const settings = (name: string, local: string, asn: number) => {
    const given = config(name, local);
    return { ...given, spec: { ...given.spec, asn } };
  };
  const other = settings("n2", "192.0.2.2", 65002);
  const own = settings("n1", "192.0.2.1", 65001);
  const peers = (ownConfig: VRFNodeConfig | undefined, ...nodeConfigs: VRFNodeConfig[]) => {
    const { input: { nodeAsn }, reach } = gather(input({ ownConfig, nodeConfigs }));
    const { peers } = reachOf(reach, { address: "192.0.2.1" });
    return [nodeAsn, peers.map(({ remoteAs }) => remoteAs)];
  };
  assert.deepEqual(peers(undefined), [undefined, ["internal"]]);
  assert.deepEqual(peers(undefined, other), [undefined, [65002]]);
  assert.deepEqual(peers(own, other, own), [65001, [65002]]);
  assert.deepEqual(peers(own, own), [65001, [65000]]);
  assert.deepEqual(peers(settings("n1", "192.0.2.1", 65002), other), [65002, ["internal"]]);
});
