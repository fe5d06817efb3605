import assert from "node:assert/strict";
import { readFrr } from "./read_frr.ts";
import { readAddresses, readForwarding, readLinks, readNeighbors } from "./read_links.ts";
import { readFirewall } from "./read_nft.ts";
import { readRoutes, readRules } from "./read_routes.ts";

Deno.test("what is no JSON, or not what is expected, is an error that shows it", () => {
  assert.throws(() => readRules("Error: no", 4), /found "Error: no"/);
  assert.throws(() => readRoutes('[{"gateway":"10.0.0.1"}]', 4), /found "\[\{"gateway"/);
});

Deno.test("rules are told with all that they match", () => {
  const text = JSON.stringify([
    { priority: 900, src: "all", fwmark: "0xc8", fwmask: "0xffff3fff", table: "2200" },
    { priority: 910, src: "all", iif: "pr2h-42", table: "42", suppress_prefixlen: 0 },
    { priority: 32000, src: "all", dst: "10.150.0.0", dstlen: 26, iif: "lo", table: "2200" },
    { priority: 13000, src: "10.9.0.0", srclen: 16, action: "unreachable" },
  ]);
  assert.deepEqual(readRules(text, 4), [
    "rule 4 900 fwmark 0xc8/0xffff3fff lookup 2200",
    "rule 4 910 iif pr2h-42 lookup 42 suppress_prefixlen 0",
    "rule 4 32000 to 10.150.0.0/26 iif lo lookup 2200",
    "rule 4 13000 from 10.9.0.0/16 unreachable",
  ]);
});

Deno.test("of routes the kernel's own are left out, and a leg's gateway has no address", () => {
  const text = JSON.stringify([
    {
      dst: "10.150.0.0/26",
      gateway: "169.254.2.145",
      dev: "pr2h-200",
      table: "2200",
      protocol: "142",
    },
    { dst: "169.254.2.144/31", dev: "pr2h-200", protocol: "kernel", flags: [] },
    { type: "local", dst: "127.0.0.1", dev: "lo", table: "local", protocol: "kernel" },
    { type: "unreachable", dst: "10.150.0.0/16", protocol: "142", metric: 16777215 },
    {
      ...{ dst: "10.150.0.64/26", gateway: "192.168.124.12", dev: "l3br-200", protocol: "bgp" },
      ...{ metric: 20, flags: ["onlink"] },
    },
  ]);
  assert.deepEqual(readRoutes(text, 4), [
    "route 2200 10.150.0.0/26 via leg dev pr2h-200 proto 142",
    "route main unreachable 10.150.0.0/16 proto 142 metric 16777215",
    "route main 10.150.0.64/26 via 192.168.124.12 dev l3br-200 proto bgp metric 20 onlink",
  ]);
});

Deno.test("links, addresses, neighbours and forwarding entries are told as far as somebody made them", () => {
  const links = JSON.stringify([{
    ...{ ifname: "veth1", flags: ["UP"], mtu: 1450, address: "02:00:00:00:00:01" },
    ...{ ifalias: "pyroute2-cni/a/eth0", master: "l3br-200", linkinfo: { info_kind: "veth" } },
  }]);
  assert.deepEqual(readLinks(links, "vrf-200"), [
    "link veth1 veth up mtu 1450 master l3br-200 mac 02:00:00:00:00:01 alias pyroute2-cni/a/eth0",
  ]);
  assert.deepEqual(readLinks(links, "host"), ["link veth1 veth up"]);
  const info = (local: string, scope: string) => ({ family: "inet", local, prefixlen: 26, scope });
  const addresses = JSON.stringify([
    { ifname: "l3br-200", addr_info: [info("10.150.0.1", "global"), info("10.9.9.9", "host")] },
    { ifname: "host", addr_info: [info("169.254.2.145", "global")] },
  ]);
  assert.deepEqual(readAddresses(addresses), ["address l3br-200 10.150.0.1/26", "leg host IPv4"]);
  const neighbor = { dst: "192.168.124.12", dev: "l3br-200", lladdr: "02:00:00:00:00:02" };
  const neighbors = JSON.stringify([
    { ...neighbor, extern_learn: null, state: ["NOARP"] },
    { ...neighbor, state: ["STALE"] },
  ]);
  assert.deepEqual(readNeighbors(neighbors), [
    "neighbor l3br-200 192.168.124.12 02:00:00:00:00:02 learned",
  ]);
  const fdb = [{ mac: "02:00:00:00:00:02", ifname: "l3vx-50200", dst: "192.168.124.12" }];
  assert.deepEqual(
    readForwarding(JSON.stringify([...fdb, { mac: "33:33:00:00:00:01", ifname: "host" }])),
    [
      "fdb l3vx-50200 02:00:00:00:00:02 to 192.168.124.12",
    ],
  );
});

Deno.test("each element of a set or map of nft is a fact, and each rule", () => {
  const prefix = { prefix: { addr: "10.150.0.0", len: 26 } };
  const zones = { map: { key: "iifname", data: { set: [["pr2h-200", 200]] } } };
  const text = JSON.stringify({
    nftables: [
      { metainfo: { version: "1.0.6" } },
      { table: { family: "inet", name: "pyroute2-cni" } },
      { map: { name: "blocks", elem: [[prefix, 200]] } },
      { set: { name: "inside-12", elem: [{ concat: [200, prefix] }] } },
      { set: { name: "closed" } },
      { rule: { chain: "zones-2", expr: [{ mangle: { value: zones } }] } },
    ],
  });
  assert.deepEqual(readFirewall(text), [
    "nft table inet pyroute2-cni",
    "nft blocks 10.150.0.0/26 : 200",
    "nft inside 200 . 10.150.0.0/26",
    "nft rule in zones",
    "nft zones pr2h-200 : 200",
  ]);
  assert.deepEqual(readFirewall(""), []);
});

Deno.test("of FRR the configured VRFs, routes, VNIs, peers and EVPN routes are told", () => {
  const config =
    "vrf vrf-200\n vni 50200\nexit-vrf\nrouter bgp 65000\nrouter bgp 65000 vrf vrf-200\n";
  assert.deepEqual(readFrr({ what: "vtysh-config", text: config }), [
    "frr config vrf vrf-200",
    "frr config router bgp 65000 vrf vrf-200",
  ]);
  const route = (prefix: string, protocol: string, more: object) => ({
    [prefix]: [{ prefix, protocol, vrfName: "vrf-200", selected: true, ...more }],
  });
  const routes = [
    route("10.150.0.0/26", "connected", {
      installed: true,
      nexthops: [{ interfaceName: "l3br-200" }],
    }),
    route("10.150.0.64/26", "bgp", { nexthops: [{ ip: "192.168.124.12" }] }),
  ].map((each) => JSON.stringify(each, undefined, 2)).join("\n");
  assert.deepEqual(readFrr({ what: "vtysh-routes", text: `${routes}\n` }), [
    "frr route vrf-200 10.150.0.0/26 connected dev l3br-200",
    "frr route vrf-200 10.150.0.64/26 bgp via 192.168.124.12 not installed",
  ]);
  const vnis = JSON.stringify({ 50200: { vni: 50200, type: "L3", tenantVrf: "vrf-200" } });
  assert.deepEqual(readFrr({ what: "vtysh-vnis", text: vnis }), ["frr vni 50200 L3 vrf-200"]);
  const peers = JSON.stringify({ peers: { "192.168.124.12": { state: "Active" } } });
  assert.deepEqual(readFrr({ what: "vtysh-peers", text: peers }), [
    "frr peer 192.168.124.12 Active",
  ]);
  const [rd, stretched] = ["192.168.124.11:200", "192.168.124.12:9"];
  const targets = (string: string) => ({ paths: [[{ extendedCommunity: { string } }]] });
  const evpn = JSON.stringify({
    [rd]: { rd, "[5]:[0]:[26]:[10.150.0.0]": targets("ET:8 RT:65000:200") },
    [stretched]: {
      rd: stretched,
      "[2]:[0]:[48]:[82:cc:a0:25:2f:8c]": targets("RT:65000:50340 ET:8"),
      "[2]:[0]:[48]:[82:cc:a0:25:2f:8c]:[32]:[10.200.190.18]": targets(
        "RT:65000:50340 ET:8 RT:65000:340 Rmac:32:a1:16:9c:76:16",
      ),
      "[3]:[0]:[32]:[192.168.124.12]": targets("RT:65000:50340 ET:8"),
    },
    numPrefix: 4,
  });
  assert.deepEqual(readFrr({ what: "vtysh-evpn", text: evpn }), [
    "frr type-5 192.168.124.11:200 10.150.0.0/26",
    "frr type-2 192.168.124.12 RT:65000:50340 82:cc:a0:25:2f:8c alone",
    "frr type-2 192.168.124.12 RT:65000:340 RT:65000:50340 82:cc:a0:25:2f:8c 10.200.190.18",
    "frr type-3 192.168.124.12 RT:65000:50340",
  ]);
});
