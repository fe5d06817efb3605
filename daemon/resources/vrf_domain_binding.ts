/** VRFDomainBinding: the pods of a namespace go to a VRF. */
import { z } from "zod";
import { type Condition, conditions } from "./conditions.ts";
import { type NameRef, nameRef, objectSchema, zodOf } from "./fields.ts";
import type { ResourceKind, ResourceObject, Schema } from "./kind.ts";

/** What is wanted of a VRFDomainBinding. */
export interface VRFDomainBindingSpec {
  /** The namespace whose pods are meant. */
  readonly namespaceRef: NameRef;
  /** The VRFDomain that they go to. */
  readonly vrfDomainRef: NameRef;
}

/** What has become of a VRFDomainBinding. */
export interface VRFDomainBindingStatus {
  /** `Ready` and others. */
  readonly conditions?: readonly Condition[] | undefined;
}

/** Binds a namespace to a VRFDomain. */
export interface VRFDomainBinding extends ResourceObject {
  /** What is wanted. */
  readonly spec: VRFDomainBindingSpec;
  /** What has become of it. */
  readonly status?: VRFDomainBindingStatus | undefined;
}

/** Validates {@linkcode VRFDomainBindingSpec}. */
export const vrfDomainBindingSpec: Schema<VRFDomainBindingSpec> = z.object({
  namespaceRef: zodOf(nameRef).describe("Target namespace"),
  vrfDomainRef: zodOf(nameRef).describe("Cluster-scoped VRFDomain resource"),
});

/** Validates {@linkcode VRFDomainBindingStatus}. */
export const vrfDomainBindingStatus: Schema<VRFDomainBindingStatus> = z.object({
  conditions: zodOf(conditions).optional(),
});

/** The kind VRFDomainBinding. */
export const vrfDomainBindingKind: ResourceKind<VRFDomainBinding> = {
  group: "cni.pyroute2.org",
  version: "v1alpha1",
  kind: "VRFDomainBinding",
  plural: "vrfdomainbindings",
  singular: "vrfdomainbinding",
  shortNames: ["vrb"],
  description: "Pods of a namespace go to a VRFDomain.",
  scope: "Cluster",
  status: true,
  printerColumns: [
    { name: "Namespace", type: "string", jsonPath: ".spec.namespaceRef.name" },
    { name: "VRFDomain", type: "string", jsonPath: ".spec.vrfDomainRef.name" },
    {
      name: "Accepted",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Accepted")].status',
    },
    { name: "Ready", type: "string", jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  ],
  schema: objectSchema<VRFDomainBinding>({
    spec: vrfDomainBindingSpec,
    status: zodOf(vrfDomainBindingStatus).optional(),
  }),
  parts: { spec: vrfDomainBindingSpec, status: vrfDomainBindingStatus },
};
