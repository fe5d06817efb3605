import assert from "node:assert/strict";
import { coreKinds } from "./core.ts";
import { findCondition, setCondition } from "./conditions.ts";
import { cniConfigSpec } from "./cni_config.ts";
import { ipBlockKind, ipBlockName, ipBlockSpec } from "./ip_block.ts";
import { apiVersionOf, type Schema } from "./kind.ts";
import { ownKinds } from "./registry.ts";
import { immutabilityIssues } from "./rules.ts";
import { prefixesOf, vrfDomainKind, type VRFDomainSpec, vrfDomainSpec } from "./vrf_domain.ts";
import { vrfNodeConfigSpec } from "./vrf_node_config.ts";
import { vrfNodeStateKind } from "./vrf_node_state.ts";
import { vrfRoutingPolicySpec } from "./vrf_routing_policy.ts";

const domain: VRFDomainSpec = {
  vrf: 200,
  table: 2200,
  prefix: "10.150.0.0",
  prefixlen: 16,
  ipblocklen: 26,
  attachments: [{ type: "l3vni", vni: 50200, port: 4789 }],
};

const six = { prefix6: "fd00:150::", prefixlen6: 48, ipblocklen6: 64 };
const noPrefix = { prefix: undefined, prefixlen: undefined, ipblocklen: undefined };

function issuePaths(schema: Schema<unknown>, value: unknown): string[] {
  const result = schema.safeParse(value);
  return result.success ? [] : result.error.issues.map((issue) => issue.path.join("."));
}

const badDomains: readonly [string, Record<string, unknown>, string][] = [
  ["no VRF", { vrf: undefined }, "vrf"],
  ["VRF 0", { vrf: 0 }, "vrf"],
  ["VRF 2^31", { vrf: 2 ** 31 }, "vrf"],
  ["a VRF written as text", { vrf: "200" }, "vrf"],
  ["table 0", { table: 0 }, "table"],
  ["the kernel's table 254", { table: 254 }, "table"],
  ["a table beyond 32 bits", { table: 2 ** 32 }, "table"],
  ["host bits in the prefix", { prefix: "10.150.0.1" }, "prefix"],
  ["a prefix with a leading zero", { prefix: "10.150.00.0" }, "prefix"],
  ["a prefix in CIDR form", { prefix: "10.150.0.0/16" }, "prefix"],
  ["an IPv6 prefix as IPv4", { prefix: "2001:db8::" }, "prefix"],
  ["an IPv4 prefix without its length", { prefixlen: undefined }, "prefix"],
  ["no prefix at all", noPrefix, "prefix"],
  ["an IPv6 prefix alone", { prefix6: "fd00:150::" }, "prefix6"],
  ["an IPv6 block length alone", { ipblocklen6: 64 }, "prefix6"],
  ["host bits in the IPv6 prefix", { ...six, prefix6: "fd00:150::1" }, "prefix6"],
  ["an IPv6 prefix in another form", { ...six, prefix6: "FD00:150::" }, "prefix6"],
  ["an IPv4 prefix as IPv6", { ...six, prefix6: "10.150.0.0" }, "prefix6"],
  ["an IPv6 block larger than the prefix", { ...six, ipblocklen6: 47 }, "ipblocklen6"],
  ["an IPv6 block without room for a pod", { ...six, ipblocklen6: 127 }, "ipblocklen6"],
  ["a prefix of 31 bits", { prefixlen: 31, ipblocklen: 31 }, "prefixlen"],
  ["a block larger than the prefix", { ipblocklen: 15 }, "ipblocklen"],
  ["a block without room for a pod", { ipblocklen: 31 }, "ipblocklen"],
  ["no attachments", { attachments: undefined }, "attachments"],
  ["VNI 0", { attachments: [{ type: "l3vni", vni: 0 }] }, "attachments.0.vni"],
  ["VNI 2^24", { attachments: [{ type: "l3vni", vni: 2 ** 24 }] }, "attachments.0.vni"],
  [
    "an unknown attachment type",
    { attachments: [{ type: "vlan", vni: 1 }] },
    "attachments.0.type",
  ],
  [
    "a local VTEP that is no address",
    { attachments: [{ type: "l3vni", vni: 1, local: "eth0" }] },
    "attachments.0.local",
  ],
];

for (const [what, change, path] of badDomains) {
  Deno.test(`A VRFDomain with ${what} is refused at "${path}"`, () => {
    assert.ok(issuePaths(vrfDomainSpec, { ...domain, ...change }).includes(path));
  });
}

Deno.test("A VRFDomain has either IP version, or both", () => {
  const cidrs = (spec: unknown) =>
    prefixesOf(vrfDomainSpec.parse(spec)).map(({ prefix, blockLength }) =>
      `${prefix.address}/${prefix.length} ${blockLength}`
    );
  assert.deepEqual(cidrs(domain), ["10.150.0.0/16 26"]);
  assert.deepEqual(cidrs({ ...domain, ...six }), ["10.150.0.0/16 26", "fd00:150::/48 64"]);
  assert.deepEqual(cidrs({ ...domain, ...noPrefix, ...six }), ["fd00:150::/48 64"]);
});

Deno.test("A domain may get its other IP version, once; what it has stays", () => {
  const changed = (before: unknown, after: unknown) =>
    immutabilityIssues(vrfDomainKind, { spec: before }, { spec: after })
      .map(({ path }) => path.join("."));
  assert.deepEqual(changed(domain, { ...domain, ...six }), []);
  assert.deepEqual(changed({ ...domain, ...six }, { ...domain, ...six }), []);
  assert.deepEqual(changed({ ...domain, ...six }, { ...domain, ...six, ipblocklen6: 80 }), [
    "spec.ipblocklen6",
  ]);
  assert.deepEqual(changed({ ...domain, ...six }, domain), [
    "spec.prefix6",
    "spec.prefixlen6",
    "spec.ipblocklen6",
  ]);
});

Deno.test("A routing policy without a selector is refused", () => {
  const spec = { vrfDomainRef: { name: "a" }, match: [{}] };
  assert.deepEqual(issuePaths(vrfRoutingPolicySpec, spec), ["match.0"]);
});

Deno.test("A CNI configuration cannot name a file outside its directory", () => {
  const spec = { fileName: "../passwd", enabled: true, priority: 1, plugins: [] };
  assert.deepEqual(issuePaths(cniConfigSpec, spec), ["fileName"]);
});

Deno.test("An IPBlock with host bits or in another form than its own is refused", () => {
  const bad = ["10.150.0.1/26", "2001:db8::1/64", "2001:DB8::/64", "::ffff:10.0.0.0/120"];
  for (const cidr of [...bad, "10.150.0.0", "10.150.0.0/33", "2001:db8::/129"]) {
    assert.deepEqual(issuePaths(ipBlockSpec, { cidr, nodeName: "a", vrfTable: 1 }), ["cidr"]);
  }
});

Deno.test("A node configuration with an interface name the kernel refuses is refused", () => {
  const spec = { nodeRef: { name: "a" }, interfaces: [{ name: "a/b", local: "192.0.2.1" }] };
  assert.deepEqual(issuePaths(vrfNodeConfigSpec, spec), ["interfaces.0.name"]);
});

Deno.test("An attachment's port is 4789 unless given, and unknown fields are dropped", () => {
  const parsed = vrfDomainSpec.parse({
    ...domain,
    extra: 1,
    attachments: [{ type: "l3vni", vni: 50200, extra: 1 }],
  });
  assert.deepEqual(parsed, domain);
});

Deno.test("A whole object keeps its metadata", () => {
  const parsed = vrfDomainKind.schema.parse({
    apiVersion: "cni.pyroute2.org/v1alpha1",
    kind: "VRFDomain",
    metadata: { name: "a", uid: "u", generation: 3, managedFields: [] },
    spec: domain,
  });
  assert.deepEqual(parsed.metadata, { name: "a", uid: "u", generation: 3 });
  assert.equal(parsed.spec.vrf, 200);
});

Deno.test("A node state that says little is complete after parsing", () => {
  const parsed = vrfNodeStateKind.schema.parse({ metadata: { name: "a" }, status: {} });
  assert.deepEqual(parsed.status, {
    ready: false,
    domains: [],
    policies: [],
    domainsReady: 0,
    peers: [],
    peersUp: 0,
    vnis: [],
    blocks: 0,
    conditions: [],
  });
});

Deno.test("An IPBlock is named after VRF and network", () => {
  assert.equal(ipBlockName(200, "10.150.0.64/26"), "vrf-200-10-150-0-64-26");
  const name = "vrf-200-fd00-0150-0000-0007-0000-0000-0000-0000-64";
  assert.equal(ipBlockName(200, "fd00:150:0:7::/64"), name);
  assert.match(name, /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
  assert.equal(apiVersionOf(ipBlockKind), "ipam.pyroute2.org/v1alpha1");
});

Deno.test("No two kinds share a name that kubectl understands", () => {
  const names = [...ownKinds, ...coreKinds].flatMap((kind) => [
    kind.plural,
    kind.singular,
    ...kind.shortNames,
  ]);
  assert.equal(new Set(names).size, names.length);
});

Deno.test("A condition's transition time changes only with its status", () => {
  const first = new Date("2026-01-01T00:00:00.500Z");
  const later = new Date("2026-01-02T00:00:00Z");
  const ready = { type: "Ready", status: "True", reason: "Applied", message: "" } as const;
  const one = setCondition([], ready, first);
  const same = setCondition(one, { ...ready, message: "again" }, later);
  const changed = setCondition(same, { ...ready, status: "False", reason: "Failed" }, later);
  assert.equal(findCondition(one, "Ready")?.lastTransitionTime, "2026-01-01T00:00:00Z");
  assert.equal(findCondition(same, "Ready")?.lastTransitionTime, "2026-01-01T00:00:00Z");
  assert.equal(findCondition(same, "Ready")?.message, "again");
  assert.equal(findCondition(changed, "Ready")?.lastTransitionTime, "2026-01-02T00:00:00Z");
  assert.equal(setCondition(changed, { ...ready, type: "Other" }, later).length, 2);
});
