import assert from "node:assert/strict";
import { insidePrefixes, type PlanDomain, type PlanInput, planNode } from "./plan.ts";

const underlay = { ifname: "eth0", ifindex: 2, address: "192.168.124.11", mtu: 1500 };

const tenant: PlanDomain = {
  name: "tenant-a",
  vrf: 200,
  table: 2200,
  prefix: "10.150.0.0",
  prefixlen: 16,
  attachments: [{ type: "l3vni", vni: 50200, port: 4789 }],
};

const block = {
  name: "vrf-200-10-150-0-0-26",
  vrf: 200,
  cidr: "10.150.0.0/26",
  gateway: "10.150.0.1",
  allocated: 1,
  capacity: 62,
};

function input(change: Partial<PlanInput> = {}): PlanInput {
  return {
    node: "node1",
    underlay,
    asn: 65000,
    routerId: "192.168.124.11",
    peers: [],
    domains: [tenant],
    blocks: [block],
    ports: new Map([[200, ["veth1", "veth2"]]]),
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
  const peers = ["192.168.124.13", "192.168.124.12"];
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
  assert.deepEqual(overlay?.ports, ["veth1", "veth2"]);
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
        ports: ["veth1", "veth2"],
      },
      { bridge: "l3br-200", local: "192.168.124.11", gateways: [], ports: [] },
    ],
  );
});

Deno.test("bridge MACs are unique per node and VRF, and stable", () => {
  const mac = (node: string, vrf: number) =>
    planNode(input({ node, domains: [{ ...tenant, vrf }], blocks: [] })).vrfs[0]?.overlays[0]?.mac;
  assert.equal(mac("node1", 200), mac("node1", 200));
  assert.notEqual(mac("node1", 200), mac("node2", 200));
  assert.notEqual(mac("node1", 200), mac("node1", 300));
});

Deno.test("rules: the mark and the node's own blocks lead into the table; a service VRF's prefix does for everyone", () => {
  assert.deepEqual(planNode(input()).rules, [
    { priority: 32000, table: 2200, fwmark: 200 },
    { priority: 32000, table: 2200, iifname: "lo", dst: "10.150.0.0/26" },
  ]);
  const [first] = planNode(input({ domains: [{ ...tenant, table: 511 }] })).rules;
  assert.deepEqual(first, { priority: 12000, table: 511, dst: "10.150.0.0/16" });
});

Deno.test("a policy's matches become rules at 11000, but never one that matches everything", () => {
  const policies = [
    { domain: "tenant-a", match: [{ dst: "10.0.0.0/8", iifname: "lo" }, {}] },
    { domain: "someone-else", match: [{ dst: "10.0.0.0/8" }] },
  ];
  assert.deepEqual(
    planNode(input({ policies })).rules.filter(({ priority }) => priority === 11000),
    [{ priority: 11000, table: 2200, dst: "10.0.0.0/8", iifname: "lo" }],
  );
});

Deno.test("route distinguishers carry the router id, and fit the number where it does not", () => {
  const rd = (vrf: number) => planNode(input({ domains: [{ ...tenant, vrf }] })).frr.vrfs[0]?.rd;
  assert.equal(rd(65535), "192.168.124.11:65535");
  assert.equal(rd(65536), "65000:65536");
});

Deno.test("blocks of a domain that is not carried are left out", () => {
  const plan = planNode(input({ domains: [] }));
  assert.deepEqual(plan.vrfs, []);
  assert.deepEqual(plan.rules, []);
  assert.deepEqual(plan.frr.vrfs, []);
});

Deno.test("blocks of an earlier prefix stay inside, those of the prefix are no elements of their own", () => {
  assert.deepEqual(
    insidePrefixes({ prefix: "10.151.0.0/16", blocks: ["10.150.0.0/26", "10.151.3.0/26"] }),
    ["10.151.0.0/16", "10.150.0.0/26"],
  );
});
