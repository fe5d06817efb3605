import assert from "node:assert/strict";
import { parsePrefix } from "../../lib/net/prefix.ts";
import { type Codec, decode, viewOf } from "../../lib/netlink/codec.ts";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { kindTables } from "../../lib/netlink/link_kinds/link_kind.ts";
import { eachMessage, NLM_F } from "../../lib/netlink/message.ts";
import { addAddress, addressPayload, deleteAddress } from "../../lib/netlink/rtnl/address.ts";
import { bridgePortAttributes, setBridgePort } from "../../lib/netlink/rtnl/bridge_port.ts";
import { createLink, deleteLink, setLink } from "../../lib/netlink/rtnl/link.ts";
import { linkPayload } from "../../lib/netlink/rtnl/link_message.ts";
import { addFdb, addNeighbor, neighborPayload, NTF, NUD } from "../../lib/netlink/rtnl/neighbor.ts";
import { addRoute, deleteRoute } from "../../lib/netlink/rtnl/route.ts";
import { routePayload } from "../../lib/netlink/rtnl/route_message.ts";
import { addRule, deleteRule, rulePayload } from "../../lib/netlink/rtnl/rule.ts";
import { loadFixtures } from "../fixtures/netlink/fixture.ts";
import { acknowledge, ScriptedTransport } from "./scripted_transport.ts";

const fixtures = loadFixtures();
const CODECS: readonly Codec<unknown>[] = [
  linkPayload,
  addressPayload,
  routePayload,
  neighborPayload,
  rulePayload,
];

/** A request in a form in which two that mean the same are equal: attributes by name, nested data decoded. */
interface Meaning {
  readonly type: number;
  readonly flags: number;
  readonly header: Record<string, unknown>;
  readonly attributes: Record<string, unknown>;
}

function meaningOf(bytes: Uint8Array<ArrayBuffer>): Meaning {
  let meaning: Meaning | undefined;
  eachMessage(viewOf(bytes), viewOf(bytes).getUint32(0, true), (message) => {
    const codec = CODECS[Math.floor((message.type - 16) / 4)];
    assert.ok(codec !== undefined);
    const { header, attributes } = codec.read(message.view, message.start, message.end) as Meaning;
    meaning = { type: message.type, flags: message.flags, header, attributes: expand(attributes) };
  });
  assert.ok(meaning !== undefined);
  return meaning;
}

/** Replaces the bytes of nested data by what they mean. */
function expand(attributes: object): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "protInfo") result[name] = { ...decode(bridgePortAttributes, value) };
    else if (name === "linkInfo") result[name] = expandLinkInfo(value);
    else result[name] = plain(value);
  }
  return result;
}

function expandLinkInfo(info: Record<string, unknown>): Record<string, unknown> {
  const { kind, data, slaveData } = info;
  const table = kindTables[String(kind)];
  const result = plain(info) as Record<string, unknown>;
  if (data instanceof Uint8Array && table !== undefined) {
    result.data = plain(decode(table, data.slice()));
  }
  if (slaveData instanceof Uint8Array) {
    result.slaveData = plain(decode(bridgePortAttributes, slaveData.slice()));
  }
  return result;
}

/** Without symbols, which say how a value stood on the wire. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}

/** What iproute2 sent in a fixture: its last request. */
function recorded(name: string): Meaning {
  const request = fixtures.get(name)?.exchanges.findLast((e) => e.direction === "request");
  assert.ok(request !== undefined, name);
  return meaningOf(Uint8Array.fromHex(request.hex));
}

/** What this project sends. */
function sent(act: (c: NetlinkConnection) => void): Meaning {
  const transport = new ScriptedTransport(acknowledge);
  using c = new NetlinkConnection(transport);
  act(c);
  const [request] = transport.sent;
  assert.ok(request !== undefined);
  return meaningOf(request);
}

/** The index that a recorded request works on. */
function indexIn(name: string): number {
  return Number(recorded(name).header.index);
}

function attribute(name: string, key: string): number {
  return Number(recorded(name).attributes[key]);
}

/** The descriptor that iproute2 had for the peer's namespace. */
function peerNetnsFd(): number {
  const { linkInfo } = recorded("link_add_veth").attributes as {
    linkInfo: { data: { peer: { attributes: { netnsFd: number } } } };
  };
  return linkInfo.data.peer.attributes.netnsFd;
}

const requests: Readonly<Record<string, (c: NetlinkConnection) => void>> = {
  link_add_vxlan: (c) =>
    void createLink(c, {
      name: "vx50200",
      kind: { type: "vxlan", vni: 50200, local: "192.168.124.1", port: 4789, learning: false },
    }),
  link_add_vxlan6: (c) =>
    void createLink(c, {
      name: "vx6",
      kind: {
        type: "vxlan",
        vni: 77,
        local: "fd00::1",
        remote: "fd00::2",
        link: 2,
        port: 4790,
        ttl: 64,
        learning: true,
      },
    }),
  link_add_vrf: (c) => void createLink(c, { name: "vrf-200", kind: { type: "vrf", table: 2200 } }),
  link_add_bridge: (c) =>
    void createLink(c, {
      name: "br1",
      kind: {
        type: "bridge",
        ageingTime: 30000,
        stp: false,
        multicastSnooping: false,
      },
    }),
  link_add_veth: (c) =>
    void createLink(c, {
      name: "host1",
      mtu: 1450,
      master: attribute("link_add_veth", "master"),
      kind: {
        type: "veth",
        peer: { name: "eth0", mtu: 1450, address: "02:00:00:00:00:aa", netnsFd: peerNetnsFd() },
      },
    }),
  link_set: (c) =>
    setLink(c, indexIn("link_set"), {
      mtu: 1400,
      address: "02:00:00:00:00:0b",
      alias: "pod-1",
      group: 7,
      up: true,
    }),
  link_set_addrgenmode: (c) => setLink(c, indexIn("link_set_addrgenmode"), { addrGenMode: "none" }),
  link_set_nomaster: (c) => setLink(c, indexIn("link_set_nomaster"), { master: 0 }),
  link_set_master: (c) =>
    setLink(c, indexIn("link_set_master"), { master: attribute("link_set_master", "master") }),
  link_set_protodown: (c) => setLink(c, indexIn("link_set_protodown"), { protoDown: true }),
  link_del: (c) => deleteLink(c, { index: indexIn("link_del") }),
  bridge_port_set: (c) =>
    setBridgePort(c, indexIn("bridge_port_set"), {
      hairpin: true,
      learning: false,
      neighSuppress: true,
    }),
  addr_add: (c) =>
    addAddress(c, {
      index: indexIn("addr_add"),
      address: "10.150.0.1",
      prefixLength: 26,
      noprefixroute: true,
    }),
  addr_add6: (c) =>
    addAddress(c, {
      index: indexIn("addr_add6"),
      address: "fd00:150::1",
      prefixLength: 64,
      nodad: true,
    }),
  addr_del: (c) =>
    deleteAddress(c, { index: indexIn("addr_del"), address: "10.150.0.1", prefixLength: 26 }),
  route_add: (c) =>
    addRoute(c, {
      dst: parsePrefix("10.9.0.0/16"),
      gateway: "10.0.0.2",
      table: 2200,
      metric: 20,
    }),
  route_replace_default: (c) =>
    addRoute(c, {
      gateway: "10.0.0.3",
      oif: attribute("route_replace_default", "oif"),
    }, { replace: true }),
  route_add_onlink: (c) =>
    addRoute(c, {
      dst: parsePrefix("10.10.0.0/16"),
      gateway: "192.168.1.1",
      oif: attribute("route_add_onlink", "oif"),
      onlink: true,
    }),
  route_add_unreachable: (c) =>
    addRoute(c, { dst: parsePrefix("10.150.0.0/16"), table: 2200, type: "unreachable" }),
  route_add_via6: (c) =>
    addRoute(c, {
      dst: parsePrefix("10.11.0.0/16"),
      gateway: "fd00::9",
      oif: attribute("route_add_via6", "oif"),
    }),
  route_add_multipath: (c) =>
    addRoute(c, {
      dst: parsePrefix("10.12.0.0/16"),
      nextHops: [{ gateway: "10.0.0.4", oif: 2, weight: 2 }, { gateway: "10.0.0.5", oif: 2 }],
    }),
  route_add6: (c) =>
    addRoute(c, { dst: parsePrefix("fd01::/48"), gateway: "fd00::2", table: 2200 }),
  route_add_scope_link: (c) =>
    addRoute(c, {
      dst: parsePrefix("10.13.0.1/32"),
      oif: attribute("route_add_scope_link", "oif"),
      src: "10.0.0.1",
    }),
  route_del: (c) => deleteRoute(c, { dst: parsePrefix("10.9.0.0/16"), table: 2200 }),
  rule_add_fwmark: (c) =>
    addRule(c, { family: 4, priority: 32000, table: 2200, fwmark: 0xc8, fwmask: 0xffff }),
  rule_add_prefix: (c) =>
    addRule(c, {
      family: 4,
      priority: 12000,
      table: 200,
      dst: parsePrefix("10.150.0.0/16"),
      protocol: 4,
    }),
  rule_add_iif: (c) =>
    addRule(c, {
      family: 4,
      priority: 32000,
      table: 2200,
      iifname: "lo",
      dst: parsePrefix("10.150.0.0/26"),
    }),
  rule_add6: (c) =>
    addRule(c, { family: 6, priority: 11000, table: 2200, src: parsePrefix("fd00:150::/64") }),
  rule_del: (c) =>
    deleteRule(c, {
      family: 4,
      priority: 32000,
      table: 2200,
      iifname: "lo",
      dst: parsePrefix("10.150.0.0/26"),
    }),
  neigh_add: (c) =>
    addNeighbor(c, {
      index: indexIn("neigh_add"),
      address: "10.0.0.9",
      mac: "02:00:00:00:00:09",
    }),
  neigh_add6: (c) =>
    addNeighbor(c, {
      index: indexIn("neigh_add6"),
      address: "fd00::9",
      mac: "02:00:00:00:00:09",
    }, { replace: true }),
  fdb_append: (c) =>
    addFdb(c, {
      index: indexIn("fdb_append"),
      mac: "00:00:00:00:00:00",
      dst: "192.168.124.2",
    }, { append: true }),
  fdb_add_master: (c) =>
    addFdb(c, {
      index: indexIn("fdb_add_master"),
      mac: "02:00:00:00:00:77",
      flags: NTF.MASTER,
      state: NUD.NOARP | NUD.REACHABLE,
    }),
};

for (const [name, act] of Object.entries(requests)) {
  const { command } = fixtures.get(name) ?? { command: name };
  Deno.test(`Our request means the same as "${command}"`, () => {
    const ours = sent(act);
    const theirs = recorded(name);
    assert.equal(ours.type, theirs.type);
    assert.equal(ours.flags & ~NLM_F.ECHO, theirs.flags);
    assert.deepEqual(ours.header, theirs.header);
    assert.deepEqual(ours.attributes, theirs.attributes);
  });
}
