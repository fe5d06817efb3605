/** The kinds that the embedded API serves, and in what they differ. */
import { coreKinds, eventKind, namespaceKind, nodeKind, podKind } from "../resources/core.ts";
import type { ResourceKind } from "../resources/kind.ts";
import { ownKinds } from "../resources/registry.ts";
import { type ApiObject, resourceKey, withMeta } from "./api_object.ts";
import { isJsonObject, own } from "./json.ts";

/** A kind and how it is served. */
export interface ServedKind {
  /** The kind. */
  readonly kind: ResourceKind;
  /** The store's name of it. */
  readonly resource: string;
  /**
   * Whether it behaves as a custom resource: it has a generation, an update must name the version it is based on, unknown
   * fields are pruned, and there is no strategic merge.
   */
  readonly custom: boolean;
  /** Fields beside name and namespace that it can be selected by. */
  readonly fields: readonly string[];
  /** What the server adds to a new object. */
  readonly admit: (object: ApiObject) => ApiObject;
}

const selectableFields = new Map<ResourceKind, readonly string[]>([
  [namespaceKind, ["status.phase"]],
  [nodeKind, ["spec.unschedulable"]],
  [podKind, [
    "spec.hostNetwork",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
  ]],
  [eventKind, [
    "involvedObject.apiVersion",
    "involvedObject.fieldPath",
    "involvedObject.kind",
    "involvedObject.name",
    "involvedObject.namespace",
    "involvedObject.resourceVersion",
    "involvedObject.uid",
    "reason",
    "reportingComponent",
    "source",
    "type",
  ]],
]);

const admissions = new Map<ResourceKind, ServedKind["admit"]>([
  [namespaceKind, (object) => ({
    ...withMeta(object, {
      labels: { ...object.metadata.labels, "kubernetes.io/metadata.name": object.metadata.name },
    }),
    status: { phase: "Active" },
  })],
  [podKind, (object) => ({ ...object, status: { phase: "Pending" } })],
]);

/** All kinds of the embedded API. */
export const servedKinds: readonly ServedKind[] = [
  ...coreKinds.map((kind) => served(kind, false)),
  ...ownKinds.map((kind) => served(kind, true)),
];

function served(kind: ResourceKind, custom: boolean): ServedKind {
  return {
    kind,
    resource: resourceKey(kind),
    custom,
    fields: selectableFields.get(kind) ?? [],
    admit: admissions.get(kind) ?? ((object) => object),
  };
}

/** Whether the status in a request that creates an object is dropped; nodes register with theirs. */
export function dropsStatusOnCreate(kind: ResourceKind): boolean {
  return kind.status && kind !== nodeKind;
}

/** Whether a namespace is going away. */
export function isTerminating(namespace: ApiObject | undefined): boolean {
  return namespace?.metadata.deletionTimestamp !== undefined;
}

/** The namespace, marked as going away. */
export function asTerminating(namespace: ApiObject): ApiObject {
  const status = own(namespace, "status");
  return {
    ...namespace,
    status: { ...(isJsonObject(status) ? status : {}), phase: "Terminating" },
  };
}
