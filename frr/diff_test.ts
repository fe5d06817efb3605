import assert from "node:assert/strict";
import { normaliseConfig, parseConfig } from "./config_tree.ts";
import { diffConfig } from "./diff.ts";
import { goldenNames, readGolden } from "./testing/goldens.ts";

/** What FRR 8.4.4 says before its configuration when VRFs are network namespaces. */
const PREAMBLE = `Building configuration...

Current configuration:
!
frr version 8.4.4
frr defaults traditional
hostname vm
log syslog informational
no ipv6 forwarding
service integrated-vtysh-config
!
vrf vrf-900
 netns /run/netns/vrf-900
exit-vrf
!
`;

Deno.test("any text is parsed, and means nothing to FRR only if it means nothing here", () => {
  for (const text of ["", "\n\n", "!", "end", "exit", "   ", " x", "  x\n y\nz", "\r\n!\r\n"]) {
    parseConfig(text);
  }
  assert.deepEqual(parseConfig(PREAMBLE), []);
  assert.deepEqual(
    parseConfig(
      "vrf x\nexit-vrf\nrouter bgp 1\n address-family l2vpn evpn\n exit-address-family\nexit",
    ),
    [
      { line: "router bgp 1", children: [] },
    ],
  );
});

Deno.test("contexts written in pieces, in another order or without FRR's separators are the same", () => {
  const a =
    "router bgp 1\n bgp router-id 1.1.1.1\n neighbor 1.1.1.2 remote-as 1\nexit\nvrf a\n vni 1\n";
  const b =
    "vrf a\n  vni  1\nexit-vrf\n!\nrouter bgp 1\n neighbor 1.1.1.2 remote-as 1\n!\nrouter bgp 1\n bgp router-id 1.1.1.1\nend\n";
  assert.equal(normaliseConfig(a), normaliseConfig(b));
  assert.deepEqual(diffConfig({ running: a, desired: b }), []);
});

Deno.test("a golden differs from itself in nothing, whatever FRR says around it", async () => {
  for (const name of await goldenNames()) {
    const text = await readGolden(name);
    assert.deepEqual(diffConfig({ running: PREAMBLE + text + "end\n", desired: text }), [], name);
  }
});

Deno.test("namespaces that zebra found by itself are never taken away from it", async () => {
  for (const name of await goldenNames()) {
    const running = PREAMBLE + await readGolden(name);
    for (const line of diffConfig({ running, desired: "" })) assert(!line.includes("netns"), line);
  }
});

Deno.test("a VRF goes in the order that FRR survives, and is forgotten only once it is inactive", async () => {
  const running = await readGolden("two_tenants_same_prefix");
  const desired = await readGolden("mesh_without_vrf");
  const removal = [
    ...["vrf vrf-200", "no vni 50200", "exit-vrf", "vrf vrf-300", "no vni 50300", "exit-vrf"],
    ...["no router bgp 65000 vrf vrf-200", "no router bgp 65000 vrf vrf-300"],
    ...["no route-map export-vrf-200 permit 10", "no route-map export-vrf-300 permit 10"],
    "no ip prefix-list export-vrf-200 seq 10 permit 10.150.0.0/16 le 32",
    "no ip prefix-list export-vrf-300 seq 10 permit 10.150.0.0/16 le 32",
  ];
  assert.deepEqual(diffConfig({ running, desired }), removal);
  assert.deepEqual(
    diffConfig({ running: desired, desired, inactiveVrfs: ["vrf-300", "vrf-200"] }),
    [
      "no vrf vrf-200",
      "no vrf vrf-300",
    ],
  );
});

Deno.test("filters that bgpd lacks are given again, though another daemon shows them", async () => {
  const text = await readGolden("two_tenants_same_prefix");
  assert.deepEqual(diffConfig({ running: text, bgpd: text, desired: text }), []);
  const bgpd = text.replace(/^ip prefix-list export-vrf-300 .*$/m, "")
    .replace(/^route-map export-vrf-200 .*\n.*$/m, "");
  assert.deepEqual(diffConfig({ running: text, bgpd, desired: text }), [
    "ip prefix-list export-vrf-300 seq 10 permit 10.150.0.0/16 le 32",
    ...["route-map export-vrf-200 permit 10", "match ip address prefix-list export-vrf-200"],
    "exit",
  ]);
  const removed = diffConfig({
    running: text,
    bgpd,
    desired: await readGolden("mesh_without_vrf"),
  });
  assert.ok(removed.includes("no route-map export-vrf-200 permit 10"), removed.join("\n"));
});

Deno.test("an inactive VRF that is wanted is waited for, not forgotten", async () => {
  const text = await readGolden("two_tenants_same_prefix");
  const inactiveVrfs = ["vrf-200", "vrf-300"];
  assert.deepEqual(diffConfig({ running: text, desired: text, inactiveVrfs }), []);
});

Deno.test("a neighbour goes with all its lines, and the others are left alone", async () => {
  const running = await readGolden("mesh_without_vrf");
  const desired = await readGolden("alone");
  assert.deepEqual(diffConfig({ running, desired }), [
    "router bgp 65000",
    "no neighbor 192.168.124.2",
    "no neighbor 192.168.124.3",
    "exit",
  ]);
});

Deno.test("two VRFs swap their VNIs by giving both back first", async () => {
  const running = await readGolden("two_tenants_same_prefix");
  const desired = await readGolden("tenants_with_swapped_vnis");
  assert.deepEqual(diffConfig({ running, desired }), [
    ...["vrf vrf-200", "no vni 50200", "exit-vrf", "vrf vrf-300", "no vni 50300", "exit-vrf"],
    ...["vrf vrf-200", "vni 50300", "exit-vrf", "vrf vrf-300", "vni 50200", "exit-vrf"],
  ]);
});

Deno.test("another autonomous system takes every instance down, those of VRFs and their VNIs first", async () => {
  const running = await readGolden("two_tenants_same_prefix");
  const lines = diffConfig({ running, desired: await readGolden("another_as") });
  assert.deepEqual(lines.slice(0, 9), [
    ...["vrf vrf-200", "no vni 50200", "exit-vrf", "vrf vrf-300", "no vni 50300", "exit-vrf"],
    ...[
      "no router bgp 65000 vrf vrf-200",
      "no router bgp 65000 vrf vrf-300",
      "no router bgp 65000",
    ],
  ]);
  assert(lines.indexOf("vni 50200") < lines.indexOf("router bgp 4200000000"));
  assert(
    lines.indexOf("router bgp 4200000000") < lines.indexOf("router bgp 4200000000 vrf vrf-200"),
  );
});

Deno.test("filters come before their use and go after it", async () => {
  const desired = await readGolden("default_domain");
  const lines = diffConfig({ running: await readGolden("two_tenants_same_prefix"), desired });
  const at = (line: string) => {
    assert(lines.includes(line), line);
    return lines.indexOf(line);
  };
  assert(
    at("route-map export-vrf-42 permit 10") < at("redistribute kernel route-map export-vrf-42"),
  );
  assert(at("no router bgp 65000 vrf vrf-200") < at("no route-map export-vrf-200 permit 10"));
  assert(
    at("no route-map export-vrf-200 permit 10") <
      at("no ip prefix-list export-vrf-200 seq 10 permit 10.150.0.0/16 le 32"),
  );
});

Deno.test("a setting of which there is one is replaced without a gap", () => {
  const section = (id: string, map: string) =>
    `router bgp 1\n bgp router-id ${id}\n address-family ipv4 unicast\n  redistribute kernel route-map ${map}\n exit-address-family\n`;
  assert.deepEqual(
    diffConfig({ running: section("1.1.1.1", "a"), desired: section("1.1.1.2", "b") }),
    [
      "router bgp 1",
      "bgp router-id 1.1.1.2",
      "address-family ipv4 unicast",
      "redistribute kernel route-map b",
      "exit-address-family",
      "exit",
    ],
  );
});

Deno.test("sections of somebody else stay", () => {
  const running =
    "interface eth0\n description uplink\nexit\nip route 192.0.2.0/24 Null0\nline vty\n exec-timeout 5\nexit\n";
  assert.deepEqual(diffConfig({ running, desired: "" }), []);
});
