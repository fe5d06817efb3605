import assert from "node:assert/strict";
import { parsePrefix } from "../../lib/net/prefix.ts";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import {
  addAddress,
  addressAddition,
  deleteAddress,
  listAddresses,
} from "../../lib/netlink/rtnl/address.ts";
import { setBridgePort } from "../../lib/netlink/rtnl/bridge_port.ts";
import {
  createLink,
  deleteLink,
  deleteLinkAsync,
  deleteLinkGroupAsync,
  getLink,
  getLinks,
  linkChange,
  listLinks,
  setLink,
} from "../../lib/netlink/rtnl/link.ts";
import {
  addFdb,
  addNeighbor,
  deleteFdb,
  deleteNeighbor,
  getNeighbor,
  listFdb,
  listNeighbors,
  NTF,
} from "../../lib/netlink/rtnl/neighbor.ts";
import {
  addRoute,
  deleteRoute,
  getRoute,
  listRoutes,
  routeAddition,
} from "../../lib/netlink/rtnl/route.ts";
import { addRule, deleteRule, listRules, type Rule } from "../../lib/netlink/rtnl/rule.ts";
import { createVethPair } from "../../lib/netlink/rtnl/veth_pair.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import { createNamedNetns, deleteNamedNetns } from "../../lib/sys/named_netns.ts";
import { createNetns, inNetns, netnsIdentity, openOwnNetns } from "../../lib/sys/netns.ts";
import { readSysctl } from "../../lib/sys/sysctl.ts";

/** A named namespace (so that `ip` reaches it) with a connection. */
class TestNetns implements Disposable {
  readonly name = `pr2t-${crypto.randomUUID().slice(0, 8)}`;
  readonly netns: OwnedFd = createNamedNetns(this.name);
  readonly c: NetlinkConnection = NetlinkConnection.open({ netns: this.netns });

  /** What `ip -j` or `bridge -j` says in the namespace. */
  json(command: "ip" | "bridge", ...args: string[]): Record<string, unknown>[] {
    const { stdout, success, stderr } = new Deno.Command("ip", {
      args: ["netns", "exec", this.name, command, "-j", "-d", ...args],
    }).outputSync();
    assert.ok(success, new TextDecoder().decode(stderr));
    return JSON.parse(new TextDecoder().decode(stdout) || "[]");
  }

  link(name: string): Record<string, unknown> {
    const [link] = this.json("ip", "link", "show", "dev", name);
    assert.ok(link !== undefined);
    return link;
  }

  [Symbol.dispose](): void {
    this.c[Symbol.dispose]();
    this.netns[Symbol.dispose]();
    deleteNamedNetns(this.name);
  }
}

/** Asserts that an object has these properties, among others. */
function has(actual: unknown, expected: object): void {
  assert.ok(typeof actual === "object" && actual !== null);
  const found = Object.fromEntries(
    Object.keys(expected).map((key) => [key, (actual as Record<string, unknown>)[key]]),
  );
  assert.deepEqual(found, expected);
}

function refused(errnoName: string, words?: RegExp): (thrown: unknown) => boolean {
  return (thrown) => {
    assert.ok(thrown instanceof NetlinkError);
    assert.equal(thrown.errnoName, errnoName);
    if (words !== undefined) assert.match(thrown.message, words);
    return true;
  };
}

function openFds(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

Deno.test("Refusals of the kernel carry its words", () => {
  using t = new TestNetns();
  assert.throws(
    () => createLink(t.c, { name: "x0", kind: { type: "generic", kind: "no-such-kind" } }),
    refused("EOPNOTSUPP", /Unknown device type/),
  );
  assert.throws(
    () => createLink(t.c, { name: "x0", kind: { type: "vxlan", vni: 1 << 24 } }),
    refused("ERANGE", /VXLAN ID must be lower than 16777216/),
  );
  assert.throws(() => createLink(t.c, { name: "lo", kind: { type: "bridge" } }), refused("EEXIST"));
  assert.throws(() => deleteLink(t.c, { name: "x0" }), refused("ENODEV"));
  assert.throws(() => setLink(t.c, 4711, { up: true }), refused("ENODEV"));
  assert.throws(
    () => addRoute(t.c, { gateway: "10.0.0.1" }),
    refused("ENETUNREACH", /Nexthop has invalid gateway/),
  );
  assert.equal(getLink(t.c, { name: "x0" }), undefined);
  assert.equal(getLink(t.c, { index: 4711 }), undefined);
});

Deno.test("A link whose settings are refused is not left behind", () => {
  using t = new TestNetns();
  assert.throws(
    () => createLink(t.c, { name: "x0", kind: { type: "veth" }, bridgePort: { hairpin: true } }),
    refused("EOPNOTSUPP"),
  );
  assert.deepEqual(listLinks(t.c).map((link) => link.name), ["lo"]);
});

Deno.test("A bridge is created as asked and keeps its MTU when a port joins", () => {
  using t = new TestNetns();
  const index = createLink(t.c, {
    name: "br0",
    kind: { type: "bridge", stp: false, multicastSnooping: false, ageingTime: 12000 },
    address: "02:00:00:00:00:01",
    mtu: 1450,
    addrGenMode: "none",
    alias: "tenant 200",
    group: 9,
    up: true,
  });
  createLink(t.c, {
    name: "host0",
    kind: { type: "veth", peer: { name: "peer0" } },
    master: index,
    mtu: 1280,
  });
  const shown = t.link("br0");
  has(shown, {
    ifindex: index,
    mtu: 1450,
    address: "02:00:00:00:00:01",
    ifalias: "tenant 200",
    group: "9",
    inet6_addr_gen_mode: "none",
  });
  const link = getLink(t.c, { name: "br0" });
  has(link, {
    index,
    up: true,
    mtu: 1450,
    mac: "02:00:00:00:00:01",
    alias: "tenant 200",
    group: 9,
    addrGenMode: "none",
  });
  has(link?.kind, { type: "bridge", ageingTime: 12000, multicastSnooping: false, stp: false });
  deleteLink(t.c, { index });
  assert.equal(getLink(t.c, { index }), undefined);
});

Deno.test("VXLAN links of both IP versions are created as asked, with their port settings", () => {
  using t = new TestNetns();
  const bridge = createLink(t.c, { name: "br0", kind: { type: "bridge" } });
  createLink(t.c, {
    name: "vx4",
    kind: { type: "vxlan", vni: 50200, local: "192.0.2.1", port: 4789, learning: false },
    master: bridge,
    bridgePort: { learning: false, neighSuppress: true },
    addrGenMode: "none",
    up: true,
  });
  const six = { type: "vxlan", vni: 7, local: "fd00::1", port: 4790, learning: false } as const;
  createLink(t.c, { name: "vx6", kind: six });
  const shown = t.link("vx4");
  has((shown.linkinfo as Record<string, unknown>).info_data, {
    id: 50200,
    local: "192.0.2.1",
    port: 4789,
    learning: false,
  });
  has((shown.linkinfo as Record<string, unknown>).info_slave_data, {
    learning: false,
    neigh_suppress: true,
    hairpin: false,
  });
  has(getLink(t.c, { name: "vx6" })?.kind, six);
  const link = getLink(t.c, { name: "vx4" });
  has(link, { up: true, master: bridge, addrGenMode: "none" });
  has(link?.bridgePort, { learning: false, neighSuppress: true });
  assert.deepEqual(listLinks(t.c, { kind: "vxlan" }).map((l) => l.name), ["vx4", "vx6"]);
  assert.deepEqual(listLinks(t.c, { master: bridge }).map((l) => l.name), ["vx4"]);
});

Deno.test("A veth is born with its peer in another namespace", () => {
  using t = new TestNetns();
  using pod = new TestNetns();
  const bridge = createLink(t.c, { name: "br0", kind: { type: "bridge" }, up: true });
  // So that the two have different numbers.
  for (const name of ["one", "two"]) createLink(pod.c, { name, kind: { type: "bridge" } });
  const { index, peerIndex } = createVethPair(t.c, {
    name: "host0",
    peer: { name: "eth0", netnsFd: pod.netns.fd, mtu: 1450, address: "02:00:00:00:00:aa" },
    mtu: 1450,
    master: bridge,
    bridgePort: { hairpin: true },
    addrGenMode: "none",
    up: true,
  });
  const peer = getLink(pod.c, { name: "eth0" });
  has(peer, { mtu: 1450, mac: "02:00:00:00:00:aa", up: false, linkIndex: index });
  has(peer?.kind, { type: "veth" });
  assert.equal(peer?.index, peerIndex);
  assert.notEqual(index, peerIndex);
  const host = getLink(t.c, { index });
  has(host, { up: true, mtu: 1450, master: bridge, linkIndex: peer?.index, addrGenMode: "none" });
  has(host?.bridgePort, { hairpin: true });
  setLink(pod.c, peerIndex, { up: true });
  assert.equal(getLink(t.c, { index })?.running, true);
  assert.equal((pod.link("eth0") as { operstate?: string }).operstate, "UP");
  deleteLink(pod.c, { name: "eth0" });
  assert.equal(getLink(t.c, { index }), undefined);
});

Deno.test("A veth whose settings are refused is not left behind, nor one whose peer's name is taken", () => {
  using t = new TestNetns();
  using pod = new TestNetns();
  const spec = { name: "host0", peer: { name: "eth0", netnsFd: pod.netns.fd } };
  assert.throws(
    () => createVethPair(t.c, { ...spec, bridgePort: { hairpin: true } }),
    NetlinkError,
  );
  createLink(pod.c, { name: "eth0", kind: { type: "bridge" } });
  assert.throws(() => createVethPair(t.c, spec), refused("EEXIST"));
  assert.equal(getLink(t.c, { name: "host0" }), undefined);
  assert.deepEqual(listLinks(pod.c).map(({ name }) => name), ["lo", "eth0"]);
});

Deno.test("Of several links those that are there are found at once, in the order of the question", () => {
  using t = new TestNetns();
  for (const name of ["br0", "br1"]) createLink(t.c, { name, kind: { type: "bridge" } });
  const names = (asked: readonly string[]) =>
    getLinks(t.c, asked.map((name) => ({ name }))).map(({ name }) => name);
  assert.deepEqual(names(["br1", "none", "br0"]), ["br1", "br0"]);
  assert.deepEqual(names(["none"]), []);
});

Deno.test("Requests of a batch that are refused are told by what they are to do", () => {
  using t = new TestNetns();
  const index = createLink(t.c, { name: "br0", kind: { type: "bridge" } });
  addAddress(t.c, { index, address: "10.0.0.1", prefixLength: 24 });
  const change = linkChange(index, { up: true, arpNotify: true });
  const address = addressAddition({ index, address: "10.0.0.1", prefixLength: 24 });
  const route = routeAddition({ dst: parsePrefix("10.9.0.0/16"), gateway: "10.0.0.2", oif: index });
  assert.throws(
    () => t.c.batch([address, change, route]),
    (thrown) => thrown instanceof NetlinkError && thrown.operation === address.operation,
  );
  // What comes after the one that was refused is done.
  has(getLink(t.c, { index }), { up: true });
  assert.equal(listRoutes(t.c).filter(({ gateway }) => gateway === "10.0.0.2").length, 1);
  assert.equal(
    inNetns(t.netns, () => readSysctl(["net", "ipv4", "conf", "br0", "arp_notify"])),
    "1",
  );
});

Deno.test("A link can be changed, moved and renamed", () => {
  using t = new TestNetns();
  using other = new TestNetns();
  const bridge = createLink(t.c, { name: "br0", kind: { type: "bridge" } });
  const index = createLink(t.c, { name: "v0", kind: { type: "veth", peer: { name: "v1" } } });
  setLink(t.c, index, { mtu: 1300, address: "02:00:00:00:00:0c", alias: "x", master: bridge });
  setBridgePort(t.c, index, { isolated: true, learning: false });
  has(t.link("v0"), { mtu: 1300, address: "02:00:00:00:00:0c", ifalias: "x", master: "br0" });
  has(getLink(t.c, { index })?.bridgePort, { isolated: true, learning: false });
  setLink(t.c, index, { master: 0, name: "renamed", group: 5, alias: "" });
  has(getLink(t.c, { index }), { name: "renamed", master: undefined, group: 5, alias: undefined });
  assert.throws(() => setBridgePort(t.c, index, { hairpin: true }), refused("EOPNOTSUPP"));
  setLink(t.c, index, { netnsFd: other.netns.fd, name: "moved" });
  assert.equal(getLink(t.c, { index }), undefined);
  assert.equal(getLink(other.c, { name: "moved" })?.mac, "02:00:00:00:00:0c");
  const elsewhere = createLink(t.c, {
    name: "vx0",
    kind: { type: "vxlan", vni: 1, local: "192.0.2.1", port: 4789 },
    netnsFd: other.netns.fd,
  });
  assert.equal(elsewhere, 0);
  assert.equal(getLink(other.c, { name: "vx0" })?.kind?.type, "vxlan");
});

Deno.test("Addresses of both IP versions are added, listed and deleted", () => {
  using t = new TestNetns();
  const index = createLink(t.c, { name: "br0", kind: { type: "bridge" }, addrGenMode: "none" });
  const four = { index, address: "10.150.0.1", prefixLength: 26, noprefixroute: true };
  const six = { index, address: "fd00:150::1", prefixLength: 64, nodad: true };
  addAddress(t.c, four);
  addAddress(t.c, six);
  for (const spec of [four, six]) {
    assert.throws(() => addAddress(t.c, spec), refused("EEXIST"));
    addAddress(t.c, spec, { ifExists: "ignore" });
    addAddress(t.c, spec, { ifExists: "replace" });
  }
  assert.deepEqual(
    listAddresses(t.c, index).map(({ family, address, prefixLength }) => [
      family,
      address,
      prefixLength,
    ]),
    [[4, "10.150.0.1", 26], [6, "fd00:150::1", 64]],
  );
  assert.throws(() => listAddresses(t.c, 4711), refused("ENODEV"));
  deleteAddress(t.c, four);
  deleteAddress(t.c, six);
  assert.deepEqual(listAddresses(t.c), []);
  assert.throws(() => deleteAddress(t.c, four), refused("EADDRNOTAVAIL"));
});

Deno.test("Routes of many kinds are added, listed, looked up and deleted", () => {
  using t = new TestNetns();
  const oif = createLink(t.c, { name: "br0", kind: { type: "bridge" }, up: true });
  addAddress(t.c, { index: oif, address: "10.0.0.1", prefixLength: 24 });
  addAddress(t.c, { index: oif, address: "fd00::1", prefixLength: 64, nodad: true });
  const table = 2200;
  addRoute(t.c, { gateway: "10.0.0.2", table });
  addRoute(t.c, { gateway: "fd00::2", table });
  addRoute(t.c, { dst: parsePrefix("10.150.0.0/16"), type: "unreachable", table });
  addRoute(t.c, { dst: parsePrefix("10.151.0.0/16"), oif, table, metric: 7, src: "10.0.0.1" });
  addRoute(t.c, {
    dst: parsePrefix("10.152.0.0/16"),
    gateway: "192.0.2.1",
    oif,
    onlink: true,
    table,
  });
  addRoute(t.c, { dst: parsePrefix("10.153.0.0/16"), gateway: "fd00::9", oif, table });
  addRoute(t.c, {
    dst: parsePrefix("10.154.0.0/16"),
    table,
    nextHops: [{ gateway: "10.0.0.4", oif, weight: 3 }, { gateway: "fd00::4", oif }],
  });
  assert.throws(() => addRoute(t.c, { gateway: "10.0.0.3", table }), refused("EEXIST"));
  addRoute(t.c, { gateway: "10.0.0.3", table }, { replace: true });
  const routes = listRoutes(t.c, { table });
  assert.equal(routes.length, 7);
  const find = (address?: string, family = 4): unknown =>
    routes.find((route) => route.dst?.address === address && route.family === family);
  has(find(), { gateway: "10.0.0.3", oif, type: "unicast", protocol: 4, table });
  has(find(undefined, 6), { gateway: "fd00::2", oif });
  has(find("10.150.0.0"), { type: "unreachable", gateway: undefined });
  has(find("10.151.0.0"), { oif, metric: 7, src: "10.0.0.1", scope: 253 });
  has(find("10.152.0.0"), { gateway: "192.0.2.1", onlink: true });
  has(find("10.153.0.0"), { gateway: "fd00::9" });
  has(find("10.154.0.0"), {
    nextHops: [
      { gateway: "10.0.0.4", oif, weight: 3, onlink: false },
      { gateway: "fd00::4", oif, weight: 1, onlink: false },
    ],
  });
  assert.equal(t.json("ip", "route", "show", "table", "2200").length, 6);
  has(getRoute(t.c, "10.0.0.77"), { oif, src: "10.0.0.1" });
  has(getRoute(t.c, "fd00::77"), { oif });
  assert.throws(() => getRoute(t.c, "203.0.113.1"), refused("ENETUNREACH"));
  for (const { dst, family } of routes) deleteRoute(t.c, { dst, family, table });
  assert.deepEqual(listRoutes(t.c, { table }), []);
  assert.deepEqual(listRoutes(t.c, { table: 4711 }), []);
  assert.throws(() => deleteRoute(t.c, { table }), refused("ESRCH"));
});

Deno.test("Rules are listed as they were added, and one deleted is the one meant", () => {
  using t = new TestNetns();
  const rules: Rule[] = [
    { family: 4, priority: 910, table: 2200, iifname: "br0", suppressPrefixLength: 0 },
    { family: 4, priority: 11000, table: 200, src: parsePrefix("10.1.0.0/16"), oifname: "br0" },
    { family: 4, priority: 11500, table: 0, action: "unreachable", iifname: "br0" },
    { family: 4, priority: 12000, table: 200, dst: parsePrefix("10.150.0.0/16"), protocol: 4 },
    { family: 4, priority: 32000, table: 2200, fwmark: 200, fwmask: 0xffff },
    { family: 4, priority: 32000, table: 2200, iifname: "lo", dst: parsePrefix("10.150.0.0/26") },
    { family: 6, priority: 12000, table: 300, dst: parsePrefix("fd00::/48") },
  ];
  const listed = (): Rule[] =>
    listRules(t.c).filter(({ priority }) => priority > 0 && priority < 32766);
  for (const rule of rules) {
    addRule(t.c, rule);
    assert.throws(() => addRule(t.c, rule), refused("EEXIST"));
  }
  assert.equal(listed().length, rules.length);
  for (const [i, rule] of rules.entries()) has(listed()[i], rule);
  assert.equal(t.json("ip", "rule", "show").length, 6 + 3);
  for (const rule of rules.toReversed()) {
    const before = listed().length;
    deleteRule(t.c, rule);
    assert.equal(listed().length, before - 1);
    assert.throws(() => deleteRule(t.c, rule), refused("ENOENT"));
  }
  assert.equal(listRules(t.c, 4).length, 3);
});

Deno.test("Neighbours and forwarding entries are added, listed and deleted", () => {
  using t = new TestNetns();
  const index = createLink(t.c, { name: "br0", kind: { type: "bridge" }, up: true });
  const vxlan = createLink(t.c, {
    name: "vx0",
    kind: { type: "vxlan", vni: 100, local: "192.0.2.1", port: 4789, learning: false },
    master: index,
    up: true,
  });
  for (const address of ["10.0.0.9", "fd00::9"]) {
    const neighbor = { index, address, mac: "02:00:00:00:00:09" };
    addNeighbor(t.c, neighbor);
    assert.throws(() => addNeighbor(t.c, neighbor), refused("EEXIST"));
    assert.equal(getNeighbor(t.c, { index: vxlan, address }), undefined);
    const changed = { ...neighbor, mac: "02:00:00:00:00:0a", protocol: 142 };
    addNeighbor(t.c, changed, { replace: true });
    const found = listNeighbors(t.c, { index }).find((n) => n.address === address);
    for (const each of [found, getNeighbor(t.c, { index, address })]) {
      has(each, { ...changed, state: 0x80 });
    }
    deleteNeighbor(t.c, { index, address });
    assert.throws(() => deleteNeighbor(t.c, { index, address: "10.9.9.9" }), refused("ENOENT"));
  }
  const zero = "00:00:00:00:00:00";
  const remotes = (): (string | undefined)[] =>
    listFdb(t.c, { index: vxlan }).filter(({ mac }) => mac === zero).map(({ dst }) => dst);
  addFdb(t.c, { index: vxlan, mac: zero, dst: "192.0.2.2" }, { append: true });
  addFdb(t.c, { index: vxlan, mac: zero, dst: "192.0.2.3" }, { append: true });
  assert.deepEqual(remotes().sort(), ["192.0.2.2", "192.0.2.3"]);
  deleteFdb(t.c, { index: vxlan, mac: zero, dst: "192.0.2.2" });
  assert.deepEqual(remotes(), ["192.0.2.3"]);
  addFdb(t.c, { index: vxlan, mac: "02:00:00:00:00:77", flags: NTF.MASTER });
  has(listFdb(t.c, { master: index }).find(({ mac }) => mac === "02:00:00:00:00:77"), {
    index: vxlan,
    master: index,
  });
});

Deno.test("Hundreds of links are listed completely", () => {
  using t = new TestNetns();
  for (let i = 0; i < 150; i++) {
    createLink(t.c, { name: `v${i}`, kind: { type: "veth", peer: { name: `p${i}` } }, group: 77 });
  }
  assert.equal(listLinks(t.c).length, 301);
  assert.equal(new Set(listLinks(t.c).map((link) => link.index)).size, 301);
});

Deno.test("The event loop goes on while links are deleted", async () => {
  using t = new TestNetns();
  const count = 12;
  for (let i = 0; i < count; i++) {
    createLink(t.c, { name: `v${i}`, kind: { type: "veth", peer: { name: `p${i}` } } });
  }
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const deletions = Array.from(
    { length: count },
    (_, i) => deleteLinkAsync(t.c, { name: `v${i}` }),
  );
  // The connection can be used meanwhile.
  assert.ok(listLinks(t.c).some((link) => link.name === "lo"));
  await Promise.all(deletions);
  clearInterval(timer);
  assert.ok(turns > 0);
  assert.deepEqual(listLinks(t.c).map((link) => link.name), ["lo"]);
  await assert.rejects(deleteLinkAsync(t.c, { name: "v0" }), refused("ENODEV"));
});

Deno.test("A whole group of links is deleted at once", async () => {
  using t = new TestNetns();
  for (let i = 0; i < 5; i++) {
    createLink(t.c, { name: `v${i}`, kind: { type: "veth", peer: { name: `p${i}` } }, group: 77 });
  }
  await assert.rejects(deleteLinkGroupAsync(t.c, 0), TypeError);
  await deleteLinkGroupAsync(t.c, 77);
  assert.deepEqual(listLinks(t.c).map((link) => link.name), ["lo"]);
  await assert.rejects(deleteLinkGroupAsync(t.c, 77), refused("ENODEV"));
});

Deno.test("Connections leave neither descriptors nor threads in other namespaces", async () => {
  using home = openOwnNetns();
  const before = openFds();
  const own = Deno.readLinkSync("/proc/thread-self/ns/net");
  for (let i = 0; i < 20; i++) {
    using netns = createNetns();
    using c = NetlinkConnection.open({ netns });
    createLink(c, { name: "v0", kind: { type: "veth", peer: { name: "v1" } } });
    await deleteLinkAsync(c, { name: "v0" });
  }
  assert.equal(openFds(), before);
  using now = openOwnNetns();
  assert.equal(netnsIdentity(now), netnsIdentity(home));
  for (const task of Deno.readDirSync("/proc/self/task")) {
    try {
      assert.equal(Deno.readLinkSync(`/proc/self/task/${task.name}/ns/net`), own);
    } catch (thrown) {
      if (!(thrown instanceof Deno.errors.NotFound)) throw thrown; // the thread ended meanwhile
    }
  }
});
