/** CNIConfig: a CNI configuration list; the enabled one of highest priority is active. */
import { z } from "zod";
import { type Condition, conditions } from "./conditions.ts";
import { objectSchema, zodOf } from "./fields.ts";
import type { ResourceKind, ResourceObject, Schema } from "./kind.ts";

/** What is wanted of a CNIConfig. */
export interface CNIConfigSpec {
  /** Name of the file in the CNI configuration directory, without a path. */
  readonly fileName: string;
  /** Whether it may become active. */
  readonly enabled: boolean;
  /** Higher wins. */
  readonly priority: number;
  /** The list's plugins, as the CNI specification has them. */
  readonly plugins: readonly Readonly<Record<string, unknown>>[];
}

/** What has become of a CNIConfig. */
export interface CNIConfigStatus {
  /** Whether it is the chosen one. */
  readonly active?: boolean | undefined;
  /** Nodes that have written it. */
  readonly nodes?: { readonly applied?: number | undefined } | undefined;
  /** `Ready` and others. */
  readonly conditions?: readonly Condition[] | undefined;
}

/** A CNI configuration list. */
export interface CNIConfig extends ResourceObject {
  /** What is wanted. */
  readonly spec: CNIConfigSpec;
  /** What has become of it. */
  readonly status?: CNIConfigStatus | undefined;
}

/** Validates {@linkcode CNIConfigSpec}. */
export const cniConfigSpec: Schema<CNIConfigSpec> = z.object({
  // A path would let an API object write anywhere on every node.
  fileName: z.string().min(1).max(255).regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/)
    .describe("Name of the file in the CNI configuration directory"),
  enabled: z.boolean().describe("Whether it may become active"),
  // JSON's numbers are exact to 2^53 here, and to 2^63 at other readers: where they differ, another one would win.
  priority: z.int().min(-(2 ** 31)).max(2 ** 31 - 1).describe("Higher wins"),
  plugins: z.array(z.record(z.string(), z.unknown())).max(64)
    .describe("Plugins of the list, as the CNI specification has them"),
});

/** Validates {@linkcode CNIConfigStatus}. */
export const cniConfigStatus: Schema<CNIConfigStatus> = z.object({
  active: z.boolean().optional().describe("Whether it is the chosen one"),
  nodes: z.object({
    applied: z.int().min(0).optional().describe("Nodes that have written it"),
  }).optional(),
  conditions: zodOf(conditions).optional(),
});

/** The kind CNIConfig. */
export const cniConfigKind: ResourceKind<CNIConfig> = {
  group: "cni.pyroute2.org",
  version: "v1alpha1",
  kind: "CNIConfig",
  plural: "cniconfigs",
  singular: "cniconfig",
  shortNames: ["cnic"],
  description: "A CNI configuration list; the enabled one of highest priority becomes active.",
  scope: "Cluster",
  status: true,
  printerColumns: [
    { name: "Enabled", type: "boolean", jsonPath: ".spec.enabled" },
    { name: "Priority", type: "integer", jsonPath: ".spec.priority" },
    { name: "Active", type: "boolean", jsonPath: ".status.active" },
    { name: "Applied", type: "integer", jsonPath: ".status.nodes.applied" },
  ],
  schema: objectSchema<CNIConfig>({
    spec: cniConfigSpec,
    status: zodOf(cniConfigStatus).optional(),
  }),
  parts: { spec: cniConfigSpec, status: cniConfigStatus },
};
