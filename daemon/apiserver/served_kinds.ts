/** The kinds that the embedded API serves, and in what they differ. */
import {
  coreKinds,
  eventKind,
  leaseKind,
  namespaceKind,
  nodeKind,
  podKind,
} from "../resources/core.ts";
import type { ResourceKind } from "../resources/kind.ts";
import { ownKinds } from "../resources/registry.ts";
import type { ErrorCause } from "./api_error.ts";
import { type ApiObject, resourceKey, withMeta } from "./api_object.ts";
import { isJsonObject, type JsonObject, own } from "./json.ts";

/** A kind and how it is served. */
export interface ServedKind {
  /** The kind. */
  readonly kind: ResourceKind;
  /** The store's name of it. */
  readonly resource: string;
  /**
   * Whether it behaves as a custom resource: it has a generation, unknown fields are pruned, and there is no strategic
   * merge.
   */
  readonly custom: boolean;
  /** Whether an update must name the version it is based on. */
  readonly versionedUpdates: boolean;
  /** Fields beside name and namespace that it can be selected by. */
  readonly fields: readonly string[];
  /** What the server adds to a new object. */
  readonly admit: (object: ApiObject) => ApiObject;
  /** What is wrong with an object in a namespace, beyond its schema. */
  readonly objections: (sent: JsonObject, namespace: string) => readonly ErrorCause[];
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
    // Of leases that is what an election stands on.
    versionedUpdates: custom || kind === leaseKind,
    fields: selectableFields.get(kind) ?? [],
    admit: admissions.get(kind) ?? ((object) => object),
    objections: kind === eventKind ? eventObjections : () => [],
  };
}

/** An event lives beside what it is about; one about an object of the cluster, in `default` or `kube-system`. */
function eventObjections(sent: JsonObject, namespace: string): readonly ErrorCause[] {
  const about = own(sent, "involvedObject");
  const found = (isJsonObject(about) ? own(about, "namespace") : undefined) ?? "";
  const fits = found === "" ? ["default", "kube-system"].includes(namespace) : found === namespace;
  return fits ? [] : [{
    reason: "FieldValueInvalid",
    message: `Invalid value: ${JSON.stringify(found)}: does not match event.namespace`,
    field: "involvedObject.namespace",
  }];
}

/** Whether a namespace stays, whoever wants to delete it. */
export function isImmortalNamespace(name: string): boolean {
  return ["default", "kube-system", "kube-public"].includes(name);
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
