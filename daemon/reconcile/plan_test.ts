import assert from "node:assert/strict";
import { parsePrefix } from "../../lib/net/prefix.ts";
import type { RuleSpec } from "../kernel/port.ts";
import { bridgeMac } from "../kernel/names.ts";
import { insidePrefixes, planNode } from "./plan.ts";
import type { PlanDomain, PlanInput } from "./plan_input.ts";

const underlay = { ifname: "eth0", ifindex: 2, address: "192.168.124.11", mtu: 1500 };

const tenant: PlanDomain = {
  name: "tenant-a",
  vrf: 200,
  table: 2200,
  prefixes: [parsePrefix("10.150.0.0/16")],
  attachments: [{ type: "l3vni", vni: 50200, port: 4789 }],
  egress: "nat",
};

const block = {
  name: "vrf-200-10-150-0-0-26",
  vrf: 200,
  cidr: "10.150.0.0/26",
  gateway: "10.150.0.1",
  allocated: 1,
  capacity: 62,
};

const ports = [1, 2].map((number) => ({
  name: `veth${number}`,
  mac: `02:00:00:00:00:0${number}`,
  addresses: [`10.150.0.${number + 1}`],
  ifname: "eth0",
  netnsPath: `/run/pods/${number}`,
}));

function input(change: Partial<PlanInput> = {}): PlanInput {
  return {
    node: "node1",
    underlay,
    asn: 65000,
    routerId: "192.168.124.11",
    peers: [],
    domains: [tenant],
    blocks: [block],
    ports: new Map([[200, ports]]),
    policies: [],
    serviceVrfMax: 512,
    ...change,
  };
}

Deno.test("the plan does not depend on the order of its input", () => {
  const other = { ...tenant, name: "tenant-b", vrf: 300, table: 2300 };
  const second = {
    ...block,
    name: "vrf-200-10-150-0-64-26",
    cidr: "10.150.0.64/26",
    gateway: "10.150.0.65",
  };
  const peers = ["192.168.124.13", "192.168.124.12"]
    .map((address) => ({ address, remoteAs: "internal" } as const));
  assert.deepEqual(
    planNode(input({ domains: [tenant, other], blocks: [block, second], peers })),
    planNode(
      input({ domains: [other, tenant], blocks: [second, block], peers: peers.toReversed() }),
    ),
  );
});

Deno.test("an l3vni gives the bridge the block's gateway with the block's length", () => {
  const [vrf] = planNode(input()).vrfs;
  assert.equal(vrf?.name, "vrf-200");
  const [overlay] = vrf?.overlays ?? [];
  assert.equal(overlay?.bridge, "l3br-200");
  assert.equal(overlay?.vxlan, "l3vx-50200");
  assert.equal(overlay?.mtu, 1450);
  assert.equal(overlay?.local, "192.168.124.11");
  assert.deepEqual(overlay?.gateways, [{ address: "10.150.0.1", prefixLength: 26 }]);
  assert.deepEqual(overlay?.ports, ports);
});

Deno.test("with an l2vni pods attach there, with the domain's length, and the l3vni carries no gateway", () => {
  const both: PlanDomain = {
    ...tenant,
    attachments: [...tenant.attachments, {
      type: "l2vni",
      vni: 60200,
      port: 4789,
      local: "10.0.0.1",
    }],
  };
  const [vrf] = planNode(input({ domains: [both] })).vrfs;
  assert.deepEqual(
    vrf?.overlays.map(({ bridge, local, gateways, ports }) => ({ bridge, local, gateways, ports })),
    [
      {
        bridge: "l2br-200",
        local: "10.0.0.1",
        gateways: [{ address: "10.150.0.1", prefixLength: 16 }],
        ports,
      },
      { bridge: "l3br-200", local: "192.168.124.11", gateways: [], ports: [] },
    ],
  );
});

Deno.test("the MTU is the underlay's less VXLAN's headers, or the domain's own where that fits", () => {
  const local = "2001:db8::1";
  const six = { type: "l3vni", vni: 1, port: 4789, local } as const;
  const cases: readonly (readonly [Partial<PlanDomain>, number, number])[] = [
    [{}, 1500, 1450],
    [{}, 9000, 8950],
    [{ attachments: [six] }, 1500, 1430],
    [{ mtu: 1400 }, 1500, 1400],
    [{ mtu: 1450 }, 1500, 1450],
  ];
  for (const [change, mtu, expected] of cases) {
    const plan = planNode(
      input({ domains: [{ ...tenant, ...change }], underlay: { ...underlay, mtu } }),
    );
    assert.equal(plan.vrfs[0]?.overlays[0]?.mtu, expected);
    assert.deepEqual(plan.cramped, []);
  }
});

Deno.test("a domain that asks for more than the underlay has room for gets what there is, and that is noted", () => {
  const l2vni = { type: "l2vni", vni: 60200, port: 4789 } as const;
  const large = { ...tenant, mtu: 8950, attachments: [...tenant.attachments, l2vni] };
  const plan = planNode(input({ domains: [large] }));
  assert.deepEqual(plan.vrfs[0]?.overlays.map(({ mtu }) => mtu), [1450, 1450]);
  assert.deepEqual(plan.cramped, [{ vrf: 200, wanted: 8950, given: 1450 }]);
});

Deno.test("the nodes tell each other their gateways' MACs once a subnet is stretched", () => {
  const l2vni = { type: "l2vni", vni: 60200, port: 4789 } as const;
  const stretched = { ...tenant, attachments: [...tenant.attachments, l2vni] };
  assert.equal(planNode(input()).frr.advertiseSviIp, undefined);
  assert.equal(planNode(input({ domains: [stretched] })).frr.advertiseSviIp, true);
});

Deno.test("bridge MACs are unique per node and VRF, and stable", () => {
  const mac = (node: string, vrf: number) =>
    planNode(input({ node, domains: [{ ...tenant, vrf }], blocks: [] })).vrfs[0]?.overlays[0]?.mac;
  assert.equal(mac("node1", 200), mac("node1", 200));
  assert.notEqual(mac("node1", 200), mac("node2", 200));
  assert.notEqual(mac("node1", 200), mac("node1", 300));
});

Deno.test("route distinguishers carry the router id, and fit the number where it does not", () => {
  const rd = (vrf: number) => planNode(input({ domains: [{ ...tenant, vrf }] })).frr.vrfs[0]?.rd;
  assert.equal(rd(65535), "192.168.124.11:65535");
  assert.equal(rd(65536), "65000:65536");
});

Deno.test("a domain's routes carry its own route target and those that it names, each once", () => {
  const targets = (routeTargets: PlanDomain["routeTargets"]) =>
    planNode(input({ domains: [{ ...tenant, routeTargets }] })).frr.vrfs[0]?.routeTargets;
  const own = ["65000:200"];
  assert.deepEqual(targets(undefined), { import: own, export: own });
  assert.deepEqual(targets({ import: ["65000:9", "65000:200", "65000:9"] }), {
    import: ["65000:200", "65000:9"],
    export: own,
  });
  assert.deepEqual(targets({ export: ["1:1"] }), { import: own, export: ["1:1", "65000:200"] });
});

Deno.test("a domain's filters reach FRR in the form in which it writes prefixes", () => {
  const entry = (prefix: string) => ({ prefix, le: 64, action: "deny" } as const);
  const routeFilters = { import: [entry("2001:DB8:0::/32")] };
  const [vrf] = planNode(input({ domains: [{ ...tenant, routeFilters }] })).frr.vrfs;
  assert.deepEqual(vrf?.filters, { import: [entry("2001:db8::/32")], export: undefined });
  assert.equal(planNode(input()).frr.vrfs[0]?.filters, undefined);
});

Deno.test("lines of FRR reach the place that they are meant for", () => {
  const [node, vrf] = [{ bgp: ["bgp fast-convergence"] }, { ipv4: ["network 192.0.2.0/24"] }];
  const domains = [{ ...tenant, extraConfig: vrf }];
  const { frr } = planNode(input({ domains, extraConfig: node }));
  assert.deepEqual([frr.extra, frr.vrfs[0]?.extra], [node, vrf]);
  assert.equal(planNode(input()).frr.extra, undefined);
});

Deno.test("a domain that imports another's route target is led there by the node, not by FRR", () => {
  const other: PlanDomain = {
    ...tenant,
    name: "tenant-b",
    vrf: 300,
    table: 2300,
    prefixes: [parsePrefix("10.160.0.0/16")],
    attachments: [{ type: "l3vni", vni: 50300, port: 4789 }],
  };
  const importing = { ...tenant, routeTargets: { import: ["65000:300", "64999:1"] } };
  const plan = planNode(input({ domains: [importing, other] }));
  assert.deepEqual(plan.frr.vrfs.map(({ routeTargets }) => routeTargets.import), [
    ["64999:1", "65000:200"],
    ["65000:300"],
  ]);
  assert.deepEqual(plan.rules.filter(({ priority }) => priority === 930), [
    { priority: 930, table: 2300, fromVrf: 200, dst: "10.160.0.0/16" },
  ]);
  assert.deepEqual(plan.vrfs.map(({ viaHost }) => viaHost), [["10.160.0.0/16"], []]);
  assert.deepEqual([...plan.hidden.values()].flat(), []);
});

Deno.test("targets that several domains export are shared, and addresses that are another's stay hidden", () => {
  const domain = (vrf: number, cidr: string, routeTargets: PlanDomain["routeTargets"]) => ({
    ...tenant,
    name: `t${vrf}`,
    vrf,
    table: vrf + 2000,
    prefixes: [parsePrefix(cidr)],
    attachments: [{ type: "l3vni", vni: vrf + 50_000, port: 4789 } as const],
    routeTargets,
  });
  const shared = ["65000:1"];
  const both = { import: shared, export: shared };
  const domains = [
    domain(200, "10.1.0.0/16", both),
    domain(300, "10.2.0.0/16", both),
    domain(400, "10.2.3.0/24", { export: shared }),
    domain(500, "10.1.0.0/17", { export: shared }),
  ];
  const plan = planNode(input({ domains, blocks: [], ports: new Map() }));
  const led = plan.rules.filter(({ priority }) => priority === 930)
    .map(({ fromVrf, dst }) => `${fromVrf} ${dst}`);
  assert.deepEqual(led, ["200 10.2.0.0/16", "300 10.1.0.0/16"]);
  const hidden = [...plan.hidden].map(([vrf, found]) => [vrf, found.map(({ domain }) => domain)]);
  assert.deepEqual(hidden, [[200, ["t400", "t500"]], [300, ["t400", "t500"]], [400, []], [
    500,
    [],
  ]]);
  // Each domain's own routes are still taken from the fabric.
  assert.deepEqual(plan.frr.vrfs.map(({ routeTargets }) => routeTargets.import), [
    ["65000:200"],
    ["65000:300"],
    ["65000:400"],
    ["65000:500"],
  ]);
});

const dual: PlanDomain = {
  ...tenant,
  prefixes: [...tenant.prefixes, parsePrefix("fd00:150::/48")],
};

const block6 = {
  name: "vrf-200-fd00-0150-0000-0007-0000-0000-0000-0000-64",
  vrf: 200,
  cidr: "fd00:150:0:7::/64",
  gateway: "fd00:150:0:7::1",
  allocated: 1,
  capacity: Number.MAX_SAFE_INTEGER,
};

/** The IP versions that rules are of. */
function familiesOf(rules: readonly RuleSpec[]): number[] {
  const versions = rules.map(({ family, dst, src }) =>
    family ?? (`${dst}${src}`.includes(":") ? 6 : 4)
  );
  return [...new Set(versions)].toSorted();
}

Deno.test("what every VRF finds by way of the host is of its own IP versions, and not its own", () => {
  const services: PlanDomain[] = [
    {
      ...dual,
      name: "dns",
      vrf: 42,
      table: 42,
      prefixes: ["10.244.0.0/16", "fd00:244::/48"].map(parsePrefix),
    },
    { ...tenant, name: "same", vrf: 43, table: 43 },
  ];
  const hostPrefixes = (domain: PlanDomain, serviceCidrs: readonly string[] = []) =>
    planNode(input({ domains: [domain, ...services], serviceCidrs })).vrfs
      .find(({ vrf }) => vrf === domain.vrf)?.viaHost;
  assert.deepEqual(hostPrefixes(tenant, ["10.96.0.0/12", "fd00:96::/112"]), [
    "10.244.0.0/16",
    "10.96.0.0/12",
  ]);
  assert.deepEqual(hostPrefixes(dual), ["10.244.0.0/16", "fd00:244::/48"]);
});

Deno.test("a VRF without a mark of its own is named, and has no rules", () => {
  const twin: PlanDomain = { ...tenant, name: "twin", vrf: 456, table: 4560 };
  const plan = planNode(input({ domains: [tenant, twin], markMask: 0xff }));
  assert.deepEqual([...plan.unmarked], [[456, 200]]);
  assert.deepEqual(plan.rules.filter(({ table }) => table === 4560), []);
  assert.deepEqual([...plan.traffic], [[200, { mark: 200, egress: "nat" }]]);
});

Deno.test("a domain with both IP versions has gateways, rules and exports of both", () => {
  const plan = planNode(input({ domains: [dual], blocks: [block6, block] }));
  const [vrf] = plan.vrfs;
  assert.deepEqual(vrf?.prefixes, ["10.150.0.0/16", "fd00:150::/48"]);
  assert.deepEqual(vrf?.blocks, ["10.150.0.0/26", "fd00:150:0:7::/64"]);
  assert.deepEqual(vrf?.overlays[0]?.gateways, [
    { address: "10.150.0.1", prefixLength: 26 },
    { address: "fd00:150:0:7::1", prefixLength: 64 },
  ]);
  assert.deepEqual(familiesOf(plan.rules), [4, 6]);
  const [frr] = plan.frr.vrfs;
  assert.deepEqual([frr?.prefix, frr?.prefix6], ["10.150.0.0/16", "fd00:150::/48"]);
});

Deno.test("a domain with IPv6 alone has nothing of IPv4", () => {
  const only = { ...dual, prefixes: dual.prefixes.slice(1), table: 300 };
  const policies = [{ name: "a", domain: "tenant-a", match: [{ iifname: "eth1" }] }];
  const plan = planNode(input({ domains: [only], blocks: [block6], policies }));
  assert.deepEqual(familiesOf(plan.rules), [6]);
  assert.deepEqual(plan.vrfs[0]?.prefixes, ["fd00:150::/48"]);
  assert.ok(!("prefix" in (plan.frr.vrfs[0] ?? {})));
});

Deno.test("in a stretched subnet each IP version's gateway has the length of its prefix", () => {
  const stretched: PlanDomain = { ...dual, attachments: [{ type: "l2vni", vni: 7, port: 4789 }] };
  const [vrf] = planNode(input({ domains: [stretched], blocks: [block, block6] })).vrfs;
  assert.deepEqual(vrf?.overlays[0]?.gateways.map(({ prefixLength }) => prefixLength), [16, 48]);
});

Deno.test("over IPv6 the plan says where the other nodes are, and what stands for them in BGP", () => {
  const vteps = [
    { node: "node2", address: "fd00:124::12", nextHop: "100.64.0.2" },
    { node: "node3", address: "fd00:124::13", nextHop: "100.64.0.3" },
  ].map((vtep) => ({ ...vtep, routerId: vtep.nextHop }));
  const { underlay } = input({});
  const over = { ...underlay, address: "fd00:124::11" };
  const plan = planNode(
    input({ domains: [tenant], underlay: over, routerId: "100.64.0.1", vteps }),
  );
  assert.deepEqual(plan.vrfs[0]?.overlays[0]?.remotes, [
    { mac: bridgeMac("node2", 200), address: "fd00:124::12" },
    { mac: bridgeMac("node3", 200), address: "fd00:124::13" },
  ]);
  assert.deepEqual(plan.vtepRoutes, ["100.64.0.2", "100.64.0.3"]);
  assert.equal(plan.frr.nextHop, "100.64.0.1");
  const four = planNode(input({ domains: [tenant] }));
  assert.deepEqual([four.vrfs[0]?.overlays[0]?.remotes, four.vtepRoutes], [undefined, []]);
  assert.equal(four.frr.nextHop, undefined);
});

Deno.test("a tunnel over IPv6 leaves pods twenty bytes less", () => {
  const attachments = [{ type: "l3vni" as const, vni: 50200, port: 4789, local: "fd00::1" }];
  const [vrf] = planNode(input({ domains: [{ ...tenant, attachments }] })).vrfs;
  assert.equal(vrf?.overlays[0]?.mtu, 1430);
});

Deno.test("blocks of a domain that is not carried are left out", () => {
  const plan = planNode(input({ domains: [] }));
  assert.deepEqual(plan.vrfs, []);
  assert.deepEqual(plan.rules, []);
  assert.deepEqual(plan.frr.vrfs, []);
});

Deno.test("blocks of an earlier prefix stay inside, those of the prefix are no elements of their own", () => {
  assert.deepEqual(
    insidePrefixes({
      prefixes: ["10.151.0.0/16", "fd00:151::/48"],
      blocks: ["10.150.0.0/26", "10.151.3.0/26", "fd00:150::/64", "fd00:151:0:9::/64"],
    }),
    ["10.151.0.0/16", "fd00:151::/48", "10.150.0.0/26", "fd00:150::/64"],
  );
});

Deno.test("a plan looks at each domain as often as it does among few: what all domains export is looked up once", () => {
  const looksPerDomain = (count: number) => {
    let looks = 0;
    const domains = Array.from({ length: count }, (_, index): PlanDomain => ({
      ...tenant,
      name: `tenant-${index}`,
      vrf: 1000 + index,
      table: 3000 + index,
      get routeTargets() {
        looks += 1;
        return undefined;
      },
    }));
    planNode(input({ domains, blocks: [], ports: new Map() }));
    return looks / count;
  };
  assert.equal(looksPerDomain(80), looksPerDomain(10));
});
