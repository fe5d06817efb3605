/** CNIConfigSelection: which CNIConfig every node writes. */
import { z } from "zod";
import { type Condition, conditions } from "./conditions.ts";
import { type NameRef, nameRef, objectSchema, zodOf } from "./fields.ts";
import type { ResourceKind, ResourceObject, Schema } from "./kind.ts";

/** What is wanted of a CNIConfigSelection. */
export interface CNIConfigSelectionSpec {
  /** The CNIConfig to write. */
  readonly activeRef: NameRef;
}

/** What has become of a CNIConfigSelection. */
export interface CNIConfigSelectionStatus {
  /** The generation that was looked at. */
  readonly observedGeneration?: number | undefined;
  /** `Ready`: whether every node has written it. */
  readonly conditions?: readonly Condition[] | undefined;
}

/** The choice among CNIConfigs. */
export interface CNIConfigSelection extends ResourceObject {
  /** What is wanted. */
  readonly spec: CNIConfigSelectionSpec;
  /** What has become of it. */
  readonly status?: CNIConfigSelectionStatus | undefined;
}

/** Validates {@linkcode CNIConfigSelectionSpec}. */
export const cniConfigSelectionSpec: Schema<CNIConfigSelectionSpec> = z.object({
  activeRef: zodOf(nameRef).describe("The CNIConfig that nodes write"),
});

/** Validates {@linkcode CNIConfigSelectionStatus}. */
export const cniConfigSelectionStatus: Schema<CNIConfigSelectionStatus> = z.object({
  observedGeneration: z.int().optional().describe("Generation that was looked at"),
  conditions: zodOf(conditions).optional(),
});

/** The kind CNIConfigSelection. */
export const cniConfigSelectionKind: ResourceKind<CNIConfigSelection> = {
  group: "cni.pyroute2.org",
  version: "v1alpha1",
  kind: "CNIConfigSelection",
  plural: "cniconfigselections",
  singular: "cniconfigselection",
  shortNames: ["cnics"],
  description: "Which CNIConfig every node writes.",
  scope: "Cluster",
  status: true,
  printerColumns: [
    { name: "Active", type: "string", jsonPath: ".spec.activeRef.name" },
    { name: "Ready", type: "string", jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  ],
  schema: objectSchema<CNIConfigSelection>({
    spec: cniConfigSelectionSpec,
    status: zodOf(cniConfigSelectionStatus).optional(),
  }),
  parts: { spec: cniConfigSelectionSpec, status: cniConfigSelectionStatus },
};
