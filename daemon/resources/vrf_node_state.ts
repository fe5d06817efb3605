/** VRFNodeState: what a node has really applied, written by that node alone and named after it. */
import { z } from "zod";
import { type Condition, conditions } from "./conditions.ts";
import { objectSchema, zodOf } from "./fields.ts";
import type { ResourceKind, ResourceObject, Schema } from "./kind.ts";

/** What a node has made of one VRFDomain. */
export interface NodeDomainState {
  /** Name of the VRFDomain. */
  readonly name: string;
  /** Its UID: a new domain of the same name is another. */
  readonly uid: string;
  /** The generation that was applied last. */
  readonly generation: number;
  /** How far it is. */
  readonly phase: "Applying" | "Ready" | "Failed" | "Removing";
  /** Why, as one CamelCase word. */
  readonly reason: string;
  /** Why, for a person. */
  readonly message: string;
  /** MTU of the pods, in bytes. */
  readonly mtu?: number | undefined;
}

/** What a node has made of one VRFRoutingPolicy. */
export interface NodePolicyState {
  /** Name of the VRFRoutingPolicy. */
  readonly name: string;
  /** Its UID. */
  readonly uid: string;
  /** The generation that was applied last. */
  readonly generation: number;
  /** Whether all of its rules stand. */
  readonly ready: boolean;
  /** Why, as one CamelCase word. */
  readonly reason: string;
  /** Why, for a person. */
  readonly message: string;
}

/** A BGP peer of a node. */
export interface NodePeerState {
  /** Address of the peer. */
  readonly address: string;
  /** State of RFC 4271, section 8.2.2, such as `Active`. */
  readonly state: string;
  /** Whether routes are exchanged. */
  readonly established: boolean;
  /** Its AS number. */
  readonly asn?: number | undefined;
  /** Whether BFD finds the path to it up; absent without BFD. */
  readonly bfd?: "up" | "down" | undefined;
  /** Why the session is not up, in FRR's words. */
  readonly lastError?: string | undefined;
}

/** A VNI of a node. */
export interface NodeVniState {
  /** VXLAN network identifier. */
  readonly vni: number;
  /** Name of the VRF, such as `vrf-200`. */
  readonly vrf: string;
  /** Whether it routes (`l3vni`) or stretches a subnet (`l2vni`). */
  readonly type?: "l3vni" | "l2vni" | undefined;
  /** `Up` or `Down`. */
  readonly state: string;
  /** Other nodes that have the l2vni; absent for an l3vni. */
  readonly remoteVteps?: number | undefined;
}

/** The CNIConfig that a node has written. */
export interface NodeCniConfig {
  /** Name of the CNIConfig. */
  readonly name: string;
  /** Its UID. */
  readonly uid: string;
  /** The generation that was written. */
  readonly generation: number;
}

/** What a node has applied. */
export interface VRFNodeStateStatus {
  /** Whether the node takes pods. */
  readonly ready: boolean;
  /** Domains applied or being removed; one that is absent has left nothing behind. */
  readonly domains: readonly NodeDomainState[];
  /** Policies of those domains. */
  readonly policies: readonly NodePolicyState[];
  /** How many of the domains are in phase `Ready`. */
  readonly domainsReady: number;
  /** BGP peers. */
  readonly peers: readonly NodePeerState[];
  /** How many of the peers are established. */
  readonly peersUp: number;
  /** VNIs. */
  readonly vnis: readonly NodeVniState[];
  /** IPBlocks that the node holds. */
  readonly blocks: number;
  /** The CNIConfig that the runtime reads; absent where the node has written none. */
  readonly cniConfig?: NodeCniConfig | undefined;
  /** `Ready` and others. */
  readonly conditions: readonly Condition[];
}

/** What a node has applied. */
export interface VRFNodeState extends ResourceObject {
  /** As the node itself says. */
  readonly status?: VRFNodeStateStatus | undefined;
}

const domain: z.ZodType<NodeDomainState> = z.object({
  name: z.string().min(1),
  uid: z.string(),
  generation: z.int().min(0),
  phase: z.enum(["Applying", "Ready", "Failed", "Removing"]),
  reason: z.string(),
  message: z.string(),
  mtu: z.int().min(0).optional().describe("MTU of the pods"),
});

const policy: z.ZodType<NodePolicyState> = z.object({
  name: z.string().min(1),
  uid: z.string(),
  generation: z.int().min(0),
  ready: z.boolean(),
  reason: z.string(),
  message: z.string(),
});

const peer: z.ZodType<NodePeerState> = z.object({
  address: z.string().min(1),
  state: z.string(),
  established: z.boolean(),
  asn: z.int().min(1).max(2 ** 32 - 1).optional(),
  bfd: z.enum(["up", "down"]).optional(),
  lastError: z.string().optional(),
});

const vni: z.ZodType<NodeVniState> = z.object({
  vni: z.int().min(1).max(2 ** 24 - 1),
  vrf: z.string(),
  type: z.enum(["l3vni", "l2vni"]).optional()
    .describe("Whether it routes or stretches a subnet"),
  state: z.string(),
  remoteVteps: z.int().min(0).optional().describe("Other nodes that have the l2vni"),
});

const cniConfig: z.ZodType<NodeCniConfig> = z.object({
  name: z.string().min(1),
  uid: z.string(),
  generation: z.int().min(0),
});

/** Validates {@linkcode VRFNodeStateStatus}; what is absent is empty. */
export const vrfNodeStateStatus: Schema<VRFNodeStateStatus> = z.object({
  ready: z.boolean().default(false).describe("Whether the node takes pods"),
  domains: z.array(domain).default([])
    .describe("Domains applied or being removed; an absent one has left nothing behind"),
  policies: z.array(policy).default([]).describe("VRFRoutingPolicies of those domains"),
  domainsReady: z.int().min(0).default(0).describe("Domains in phase Ready"),
  peers: z.array(peer).default([]).describe("BGP peers"),
  peersUp: z.int().min(0).default(0).describe("Established BGP peers"),
  vnis: z.array(vni).default([]).describe("VXLAN network identifiers in use"),
  blocks: z.int().min(0).default(0).describe("IPBlocks that the node holds"),
  cniConfig: cniConfig.optional().describe("CNIConfig that the node has written"),
  conditions: zodOf(conditions).default([]),
});

/** The kind VRFNodeState. */
export const vrfNodeStateKind: ResourceKind<VRFNodeState> = {
  group: "cni.pyroute2.org",
  version: "v1alpha1",
  kind: "VRFNodeState",
  plural: "vrfnodestates",
  singular: "vrfnodestate",
  shortNames: ["vrns"],
  description: "What a node has applied, written by that node alone and named after it.",
  scope: "Cluster",
  status: true,
  printerColumns: [
    { name: "Ready", type: "boolean", jsonPath: ".status.ready" },
    { name: "Domains", type: "integer", jsonPath: ".status.domainsReady" },
    { name: "PeersUp", type: "integer", jsonPath: ".status.peersUp" },
  ],
  schema: objectSchema<VRFNodeState>({ status: zodOf(vrfNodeStateStatus).optional() }),
  parts: { status: vrfNodeStateStatus },
};
