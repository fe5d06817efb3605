/** VRFNodeConfig: per-node BGP and VTEP settings. */
import { z } from "zod";
import {
  asNumber,
  type BgpPeer,
  type BgpPeerOptions,
  bgpPeerOptions,
  bgpPeers,
} from "./bgp_peer.ts";
import { type Condition, conditions } from "./conditions.ts";
import {
  interfaceName,
  ipAddress,
  ipv4Address,
  type NameRef,
  nameRef,
  objectSchema,
  zodOf,
} from "./fields.ts";
import { type NodeExtraConfig, nodeExtraConfig } from "./extra_config.ts";
import type { ResourceKind, ResourceObject, Schema } from "./kind.ts";

/** An interface of the underlay. */
export interface VRFNodeInterface {
  /** Interface name. */
  readonly name: string;
  /** Preferred local address on it. */
  readonly local: string;
}

/** What is wanted of a VRFNodeConfig. */
export interface VRFNodeConfigSpec {
  /** The node that is meant. */
  readonly nodeRef: NameRef;
  /** BGP router identifier. */
  readonly routerId?: string | undefined;
  /** The node's AS number; the installation's when absent. */
  readonly asn?: number | undefined;
  /** Addresses of route reflectors, instead of a full mesh. */
  readonly routeReflectors?: readonly string[] | undefined;
  /** Other peers, such as a top-of-rack switch. An entry for a reflector or another node says how to speak with it. */
  readonly peers?: readonly BgpPeer[] | undefined;
  /** What holds for every peer whose entry does not say otherwise, reflectors and other nodes too. */
  readonly peerDefaults?: BgpPeerOptions | undefined;
  /** Lines of FRR that no field covers. */
  readonly extraConfig?: NodeExtraConfig | undefined;
  /** Whether to peer with all other nodes; only without route reflectors and peers when absent. */
  readonly fullMesh?: boolean | undefined;
  /** Underlay interfaces. */
  readonly interfaces: readonly VRFNodeInterface[];
}

/** What has become of a VRFNodeConfig. */
export interface VRFNodeConfigStatus {
  /** Whether the node takes it. */
  readonly accepted?: boolean | undefined;
  /** Whether the node has applied it. */
  readonly ready?: boolean | undefined;
  /** Number of route reflectors. */
  readonly routeReflectorsCount?: number | undefined;
  /** Number of interfaces. */
  readonly interfacesCount?: number | undefined;
  /** `Accepted` and `Ready`. */
  readonly conditions?: readonly Condition[] | undefined;
}

/** Settings of one node. */
export interface VRFNodeConfig extends ResourceObject {
  /** What is wanted. */
  readonly spec: VRFNodeConfigSpec;
  /** What has become of it. */
  readonly status?: VRFNodeConfigStatus | undefined;
}

/** Validates {@linkcode VRFNodeConfigSpec}. */
export const vrfNodeConfigSpec: Schema<VRFNodeConfigSpec> = z.object({
  nodeRef: zodOf(nameRef).describe("Target node"),
  routerId: zodOf(ipv4Address).optional().describe("Preferred router ID for this node"),
  routeReflectors: z.array(zodOf(ipAddress)).max(256).optional()
    .describe("Explicit BGP route reflector peers for this node"),
  asn: zodOf(asNumber).optional().describe("AS number of this node, instead of [bgp] asn"),
  peers: zodOf(bgpPeers).optional().describe("BGP peers besides route reflectors and other nodes"),
  peerDefaults: zodOf(bgpPeerOptions).optional()
    .describe("What holds for every peer whose entry does not say otherwise"),
  extraConfig: zodOf(nodeExtraConfig).optional()
    .describe("Lines of FRR in the node's BGP instance that no field covers"),
  fullMesh: z.boolean().optional().describe(
    "Whether to peer with all other nodes; only without route reflectors and peers when absent",
  ),
  interfaces: z.array(z.object({
    name: zodOf(interfaceName).describe("Interface name"),
    local: zodOf(ipAddress).describe("Preferred local address"),
  })).max(256).describe("Underlay interfaces"),
});

/** Validates {@linkcode VRFNodeConfigStatus}. */
export const vrfNodeConfigStatus: Schema<VRFNodeConfigStatus> = z.object({
  accepted: z.boolean().optional().describe("Whether the node takes it"),
  ready: z.boolean().optional().describe("Whether the node has applied it"),
  routeReflectorsCount: z.int().min(0).optional().describe("Number of route reflectors"),
  interfacesCount: z.int().min(0).optional().describe("Number of interfaces"),
  conditions: zodOf(conditions).optional(),
});

/** The kind VRFNodeConfig. */
export const vrfNodeConfigKind: ResourceKind<VRFNodeConfig> = {
  group: "cni.pyroute2.org",
  version: "v1alpha1",
  kind: "VRFNodeConfig",
  plural: "vrfnodeconfigs",
  singular: "vrfnodeconfig",
  shortNames: ["vrnc"],
  description: "BGP and VTEP settings of one node.",
  scope: "Cluster",
  status: true,
  printerColumns: [
    { name: "routerId", type: "string", jsonPath: ".spec.routerId" },
    { name: "routeReflectors", type: "integer", jsonPath: ".status.routeReflectorsCount" },
    { name: "interfaces", type: "integer", jsonPath: ".status.interfacesCount" },
    { name: "Accepted", type: "boolean", jsonPath: ".status.accepted" },
    { name: "Ready", type: "boolean", jsonPath: ".status.ready" },
  ],
  schema: objectSchema<VRFNodeConfig>({
    spec: vrfNodeConfigSpec,
    status: zodOf(vrfNodeConfigStatus).optional(),
  }),
  parts: { spec: vrfNodeConfigSpec, status: vrfNodeConfigStatus },
};
