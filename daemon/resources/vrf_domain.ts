/** VRFDomain: a tenant, with its VRF, routing table, address range and overlay attachments. */
import { z } from "zod";
import { type Condition, conditions } from "./conditions.ts";
import { ipv4Address, isNetworkAddress, objectSchema, zodOf } from "./fields.ts";
import type { ResourceKind, ResourceObject, Schema } from "./kind.ts";
import { withRules } from "./rules.ts";

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

/** What is wanted of a VRFDomain. */
export interface VRFDomainSpec {
  /** VRF number; IPBlocks carry it as `vrfTable`. */
  readonly vrf: number;
  /** Routing table. */
  readonly table: number;
  /** Network address of the pods' prefix, without the length. */
  readonly prefix: string;
  /** Length of the pods' prefix, in bits. */
  readonly prefixlen: number;
  /** Length of a node's block, in bits. */
  readonly ipblocklen: number;
  /** Overlay attachments. */
  readonly attachments: readonly VRFAttachment[];
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

/** `'/0', '/1', …` for CEL: string(self.prefixlen) has no maximum length, so that a server refuses its cost. */
const lengths = Array.from({ length: 31 }, (_, length) => `'/${length}'`).join(", ");

const fields: z.ZodType<VRFDomainSpec> = z.object({
  vrf: z.int().min(1).max(2 ** 31 - 1).describe("VRF id"),
  table: table.describe("Routing table id"),
  prefix: zodOf(ipv4Address).describe("Pod network prefix"),
  prefixlen: z.int().min(1).max(30).describe("Pod network prefix length"),
  ipblocklen: z.int().min(1).max(30).describe("IPBlock sub-prefix length"),
  attachments: z.array(attachment).describe("Overlay attachments"),
});

/** Validates {@linkcode VRFDomainSpec}. */
export const vrfDomainSpec: Schema<VRFDomainSpec> = withRules(fields, [
  {
    cel: `cidr(self.prefix + [${lengths}][self.prefixlen]).masked().ip() == ip(self.prefix)`,
    holds: ({ prefix, prefixlen }) => isNetworkAddress(prefix, prefixlen),
    message: "Expected a network address, with no bits set beyond prefixlen",
    field: "prefix",
  },
  {
    cel: "self.ipblocklen >= self.prefixlen",
    holds: ({ ipblocklen, prefixlen }) => ipblocklen >= prefixlen,
    message: "Expected a block no larger than the prefix: ipblocklen at least prefixlen",
    field: "ipblocklen",
  },
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
    { name: "Ready", type: "string", jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  ],
  // Blocks are claimed and links are named by these: another value is another tenant.
  immutable: ["spec.vrf", "spec.table", "spec.prefix", "spec.prefixlen", "spec.ipblocklen"],
  schema: objectSchema<VRFDomain>({
    spec: vrfDomainSpec,
    status: zodOf(vrfDomainStatus).optional(),
  }),
  parts: { spec: vrfDomainSpec, status: vrfDomainStatus },
};
