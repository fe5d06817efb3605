/** VRFDomain: a tenant, with its VRF, routing table, address range and overlay attachments. */
import { z } from "zod";
import type { IpFamily } from "../../lib/net/address.ts";
import type { Prefix } from "../../lib/net/prefix.ts";
import { type Condition, conditions } from "./conditions.ts";
import {
  ipv4Address,
  ipv6Address,
  isNetworkAddress,
  objectSchema,
  routeTarget,
  zodOf,
} from "./fields.ts";
import { type DomainExtraConfig, domainExtraConfig } from "./extra_config.ts";
import { type RouteFilters, routeFilters } from "./route_filter.ts";
import type { ResourceKind, ResourceObject, Schema } from "./kind.ts";
import { type Rule, withRules } from "./rules.ts";

/** How the VRF reaches the other nodes. */
export interface VRFAttachment {
  /** Whether the VNI stretches a subnet (EVPN types 2 and 3) or routes (type 5). */
  readonly type: "l2vni" | "l3vni";
  /** VXLAN network identifier, 1 to 2^24 - 1. */
  readonly vni: number;
  /** Local VTEP address; the node's own when absent. */
  readonly local?: string | undefined;
  /** UDP port of VXLAN. */
  readonly port: number;
}

/** Route targets besides the domain's own, `<ASN>:<vrf>`. */
export interface VRFRouteTargets {
  /** The VRF takes routes that carry one of these. */
  readonly import?: readonly string[] | undefined;
  /** What the VRF's own routes carry. */
  readonly export?: readonly string[] | undefined;
}

/** What is wanted of a VRFDomain. */
export interface VRFDomainSpec {
  /** VRF number; IPBlocks carry it as `vrfTable`. */
  readonly vrf: number;
  /** Routing table. */
  readonly table: number;
  /** Network address of the pods' IPv4 prefix, without the length. All three of an IP version are there, or none. */
  readonly prefix?: string | undefined;
  /** Length of the pods' IPv4 prefix, in bits. */
  readonly prefixlen?: number | undefined;
  /** Length of a node's IPv4 block, in bits. */
  readonly ipblocklen?: number | undefined;
  /** Network address of the pods' IPv6 prefix, without the length. */
  readonly prefix6?: string | undefined;
  /** Length of the pods' IPv6 prefix, in bits. */
  readonly prefixlen6?: number | undefined;
  /** Length of a node's IPv6 block, in bits. */
  readonly ipblocklen6?: number | undefined;
  /** Overlay attachments. */
  readonly attachments: readonly VRFAttachment[];
  /** Namespaces that are not bound to it, whose pods may choose it all the same; `*` for all. */
  readonly allowedNamespaces?: readonly string[] | undefined;
  /** How long an address that a pod keeps stays its own after it has gone, in seconds; a week when absent. */
  readonly keepAddressSeconds?: number | undefined;
  /** Route targets of the l3vni's routes. */
  readonly routeTargets?: VRFRouteTargets | undefined;
  /** Routes that pass between the VRF and the fabric. */
  readonly routeFilters?: RouteFilters | undefined;
  /** Lines of FRR that no field covers. */
  readonly extraConfig?: DomainExtraConfig | undefined;
  /** MTU of the pods, in bytes; what the node's underlay has room for when absent. */
  readonly mtu?: number | undefined;
  /** Where packets go that no route of the VRF answers; `nat` when absent. */
  readonly egress?: "nat" | "routed" | "none" | undefined;
}

/** An address range of a domain. */
export interface DomainPrefix {
  /** The prefix. */
  readonly prefix: Prefix;
  /** Length of a node's block, in bits. */
  readonly blockLength: number;
}

/** The address ranges of a domain, IPv4 first: one or two. */
export function prefixesOf(spec: VRFDomainSpec): readonly DomainPrefix[] {
  return [
    ...range(4, spec.prefix, spec.prefixlen, spec.ipblocklen),
    ...range(6, spec.prefix6, spec.prefixlen6, spec.ipblocklen6),
  ];
}

function range(
  family: IpFamily,
  address: string | undefined,
  length: number | undefined,
  blockLength: number | undefined,
): DomainPrefix[] {
  const complete = address !== undefined && length !== undefined && blockLength !== undefined;
  return complete ? [{ prefix: { family, address, length }, blockLength }] : [];
}

/** What has become of a VRFDomain. */
export interface VRFDomainStatus {
  /** `Ready` and others. */
  readonly conditions?: readonly Condition[] | undefined;
  /** Nodes that have applied it, of all nodes. */
  readonly nodes?: { readonly ready: number; readonly total: number } | undefined;
}

/** A tenant. */
export interface VRFDomain extends ResourceObject {
  /** What is wanted. */
  readonly spec: VRFDomainSpec;
  /** What has become of it. */
  readonly status?: VRFDomainStatus | undefined;
}

/** Tables of the kernel itself (rtnetlink(7)): default, main, local. */
const reservedTables: readonly number[] = [253, 254, 255];

const attachment: z.ZodType<VRFAttachment> = z.object({
  type: z.enum(["l2vni", "l3vni"]).describe("Attachment type to be deployed in the VRF"),
  vni: z.int().min(1).max(2 ** 24 - 1).describe("VXLAN network identifier"),
  local: zodOf(ipv4Address).optional().describe("VXLAN local VTEP"),
  port: z.int().min(1).max(65535).default(4789).describe("VXLAN port"),
});

const table = withRules(z.int().min(1).max(2 ** 32 - 1), [{
  cel: `!(self in [${reservedTables.join(", ")}])`,
  holds: (table) => !reservedTables.includes(table),
  message: "Expected a routing table other than 253, 254 and 255, which are the kernel's own",
}]);

const namespaceName = z.string().max(63).regex(/^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$/);
const targets = z.array(zodOf(routeTarget)).min(1).max(64);

const routeTargets: z.ZodType<VRFRouteTargets> = z.object({
  import: targets.optional().describe("Route targets whose routes the VRF takes"),
  export: targets.optional().describe("Route targets that the VRF's routes carry"),
});

const fields: z.ZodType<VRFDomainSpec> = z.object({
  vrf: z.int().min(1).max(2 ** 31 - 1).describe("VRF id"),
  table: table.describe("Routing table id"),
  prefix: zodOf(ipv4Address).optional().describe("Pod network prefix"),
  prefixlen: z.int().min(1).max(30).optional().describe("Pod network prefix length"),
  ipblocklen: z.int().min(1).max(30).optional().describe("IPBlock sub-prefix length"),
  prefix6: zodOf(ipv6Address).optional().describe("Pod network IPv6 prefix"),
  prefixlen6: z.int().min(1).max(126).optional().describe("Pod network IPv6 prefix length"),
  ipblocklen6: z.int().min(1).max(126).optional().describe("IPv6 IPBlock sub-prefix length"),
  attachments: z.array(attachment).max(64).describe("Overlay attachments"),
  allowedNamespaces: z.array(namespaceName).max(1024).optional().describe(
    "Namespaces bound elsewhere whose pods may choose this domain; * for all",
  ),
  keepAddressSeconds: z.int().min(60).max(31_536_000).optional().describe(
    "How long a kept address stays a pod's after it has gone, in seconds; a week when absent",
  ),
  routeFilters: zodOf(routeFilters).optional()
    .describe("Routes that pass besides those of the domain's own prefixes"),
  extraConfig: zodOf(domainExtraConfig).optional()
    .describe("Lines of FRR in the VRF's BGP instance that no field covers"),
  routeTargets: routeTargets.optional()
    .describe("Route targets besides the domain's own, <ASN>:<vrf>"),
  // No IPv6 below 1280 (RFC 8200, section 5); VXLAN takes 50 bytes of what an IPv4 packet can be at most.
  mtu: z.int().min(1280).max(65485).optional()
    .describe("MTU of the pods; what the underlay has room for when absent"),
  egress: z.enum(["nat", "routed", "none"]).optional().describe(
    "Where packets go that no route of the VRF answers: out of the node masqueraded (nat, the default), out of the node with the pod's address, or nowhere",
  ),
});

/** Names of the fields that make an address range, in the order prefix, length, length of a block. */
const rangeFields = {
  4: ["prefix", "prefixlen", "ipblocklen"],
  6: ["prefix6", "prefixlen6", "ipblocklen6"],
} as const;

/** The rules of one IP version's fields. */
function rangeRules(family: IpFamily, longest: number): readonly Rule<VRFDomainSpec>[] {
  const [prefix, length, blockLength] = rangeFields[family];
  const has = (field: string) => `has(self.${field})`;
  // `'/0', '/1', …`: string(self.prefixlen) has no maximum length, so that a server refuses its cost.
  const lengths = Array.from({ length: longest + 1 }, (_, bits) => `'/${bits}'`).join(", ");
  return [
    {
      cel: `${has(prefix)} == ${has(length)} && ${has(prefix)} == ${has(blockLength)}`,
      holds: (spec) =>
        new Set([prefix, length, blockLength].map((field) => spec[field] === undefined)).size === 1,
      message: `Expected "${prefix}", "${length}" and "${blockLength}" together or none of them`,
      field: prefix,
    },
    {
      cel: `!${has(prefix)} || !${has(length)} || ` +
        `cidr(self.${prefix} + [${lengths}][self.${length}]).masked().ip() == ip(self.${prefix})`,
      holds: (spec) => {
        const { [prefix]: address, [length]: bits } = spec;
        return address === undefined || bits === undefined || isNetworkAddress(address, bits);
      },
      message: `Expected a network address, with no bits set beyond ${length}`,
      field: prefix,
    },
    {
      cel: `!${has(length)} || !${has(blockLength)} || self.${blockLength} >= self.${length}`,
      holds: (spec) => {
        const { [length]: bits, [blockLength]: blockBits } = spec;
        return bits === undefined || blockBits === undefined || blockBits >= bits;
      },
      message: `Expected a block no larger than the prefix: ${blockLength} at least ${length}`,
      field: blockLength,
    },
  ];
}

/** Validates {@linkcode VRFDomainSpec}. */
export const vrfDomainSpec: Schema<VRFDomainSpec> = withRules(fields, [
  {
    cel: "has(self.prefix) || has(self.prefix6)",
    holds: (spec) => spec.prefix !== undefined || spec.prefix6 !== undefined,
    message: 'Expected a prefix for the pods: "prefix", "prefix6" or both',
    field: "prefix",
  },
  ...rangeRules(4, 30),
  ...rangeRules(6, 126),
]);

/** Validates {@linkcode VRFDomainStatus}. */
export const vrfDomainStatus: Schema<VRFDomainStatus> = z.object({
  conditions: zodOf(conditions).optional(),
  nodes: z.object({
    ready: z.int().min(0).describe("Nodes that have applied it"),
    total: z.int().min(0).describe("Nodes that should"),
  }).optional(),
});

/** The kind VRFDomain. */
export const vrfDomainKind: ResourceKind<VRFDomain> = {
  group: "cni.pyroute2.org",
  version: "v1alpha1",
  kind: "VRFDomain",
  plural: "vrfdomains",
  singular: "vrfdomain",
  shortNames: ["vrd"],
  description: "A tenant: its VRF, routing table, address range and overlay attachments.",
  scope: "Cluster",
  status: true,
  printerColumns: [
    { name: "VRF", type: "integer", jsonPath: ".spec.vrf" },
    { name: "Table", type: "integer", jsonPath: ".spec.table" },
    { name: "Prefix", type: "string", jsonPath: ".spec.prefix" },
    { name: "PrefixLen", type: "integer", jsonPath: ".spec.prefixlen" },
    { name: "IPBlockLen", type: "integer", jsonPath: ".spec.ipblocklen" },
    { name: "Prefix6", type: "string", jsonPath: ".spec.prefix6" },
    { name: "Ready", type: "string", jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  ],
  // Blocks are claimed and links are named by these: another value is another tenant.
  // The second IP version may be given later; it cannot be taken away, for pods have addresses of it.
  immutable: ["vrf", "table", ...rangeFields[4], ...rangeFields[6]].map((field) => `spec.${field}`),
  schema: objectSchema<VRFDomain>({
    spec: vrfDomainSpec,
    status: zodOf(vrfDomainStatus).optional(),
  }),
  parts: { spec: vrfDomainSpec, status: vrfDomainStatus },
};
