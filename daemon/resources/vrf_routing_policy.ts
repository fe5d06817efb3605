/** VRFRoutingPolicy: policy-routing rules into a VRF's table. */
import { z } from "zod";
import { type Condition, conditions } from "./conditions.ts";
import { interfaceName, ipPrefix, type NameRef, nameRef, objectSchema, zodOf } from "./fields.ts";
import type { ResourceKind, ResourceObject, Schema } from "./kind.ts";
import { withRules } from "./rules.ts";

/** Selectors of one rule; all that are given must match. */
export interface VRFRoutingPolicyMatch {
  /** Destination prefix. */
  readonly dst?: string | undefined;
  /** Source prefix. */
  readonly src?: string | undefined;
  /** Output interface. */
  readonly oifname?: string | undefined;
  /** Input interface. */
  readonly iifname?: string | undefined;
}

/** What is wanted of a VRFRoutingPolicy. */
export interface VRFRoutingPolicySpec {
  /** The VRFDomain whose table the rules lead to. */
  readonly vrfDomainRef: NameRef;
  /** One rule each. */
  readonly match: readonly VRFRoutingPolicyMatch[];
}

/** What has become of a VRFRoutingPolicy. */
export interface VRFRoutingPolicyStatus {
  /** `Accepted` and `Ready`. */
  readonly conditions?: readonly Condition[] | undefined;
  /** Nodes that have applied it, of all nodes. */
  readonly nodes?: { readonly ready: number; readonly total: number } | undefined;
}

/** Rules into a VRF's table. */
export interface VRFRoutingPolicy extends ResourceObject {
  /** What is wanted. */
  readonly spec: VRFRoutingPolicySpec;
  /** What has become of it. */
  readonly status?: VRFRoutingPolicyStatus | undefined;
}

const selectors: z.ZodType<VRFRoutingPolicyMatch> = z.object({
  dst: zodOf(ipPrefix).optional().describe("Destination network/prefixlen"),
  src: zodOf(ipPrefix).optional().describe("Source network/prefixlen"),
  oifname: zodOf(interfaceName).optional().describe("Output interface"),
  iifname: zodOf(interfaceName).optional().describe("Input interface"),
});

const match = withRules(selectors, [
  // Without a selector the rule would take every packet of the node.
  {
    cel: "has(self.dst) || has(self.src) || has(self.oifname) || has(self.iifname)",
    holds: (entry) => Object.values(entry).some((value) => value !== undefined),
    message: 'Expected at least one of "dst", "src", "oifname" and "iifname"',
  },
  // A rule is of one IP version.
  {
    cel: "!has(self.dst) || !has(self.src) || self.dst.contains(':') == self.src.contains(':')",
    holds: ({ dst, src }) =>
      dst === undefined || src === undefined || dst.includes(":") === src.includes(":"),
    message: 'Expected "dst" and "src" of one IP version',
  },
]);

/** Validates {@linkcode VRFRoutingPolicySpec}. */
export const vrfRoutingPolicySpec: Schema<VRFRoutingPolicySpec> = z.object({
  vrfDomainRef: zodOf(nameRef).describe("Cluster-scoped VRFDomain resource"),
  match: z.array(match).min(1).max(1024).describe("RPDB selectors"),
});

/** Validates {@linkcode VRFRoutingPolicyStatus}. */
export const vrfRoutingPolicyStatus: Schema<VRFRoutingPolicyStatus> = z.object({
  conditions: zodOf(conditions).optional(),
  nodes: z.object({
    ready: z.int().min(0).describe("Nodes that have applied it"),
    total: z.int().min(0).describe("Nodes that should"),
  }).optional(),
});

/** The kind VRFRoutingPolicy. */
export const vrfRoutingPolicyKind: ResourceKind<VRFRoutingPolicy> = {
  group: "cni.pyroute2.org",
  version: "v1alpha1",
  kind: "VRFRoutingPolicy",
  plural: "vrfroutingpolicies",
  singular: "vrfroutingpolicy",
  shortNames: ["vrp"],
  description: "Policy-routing rules into the routing table of a VRFDomain.",
  scope: "Cluster",
  status: true,
  printerColumns: [
    { name: "VRFDomain", type: "string", jsonPath: ".spec.vrfDomainRef.name" },
    {
      name: "Accepted",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Accepted")].status',
    },
    { name: "Ready", type: "string", jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  ],
  schema: objectSchema<VRFRoutingPolicy>({
    spec: vrfRoutingPolicySpec,
    status: zodOf(vrfRoutingPolicyStatus).optional(),
  }),
  parts: { spec: vrfRoutingPolicySpec, status: vrfRoutingPolicyStatus },
};
