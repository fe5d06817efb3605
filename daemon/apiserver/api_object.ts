/** Objects as the embedded API keeps them. */
import type { ResourceKind } from "../resources/kind.ts";
import type { JsonObject, JsonValue } from "./json.ts";

/** Metadata of a kept object. */
export interface ApiMeta extends JsonObject {
  /** Name. */
  readonly name: string;
  /** Namespace of a namespaced object. */
  readonly namespace?: string | undefined;
  /** Identity in time. */
  readonly uid: string;
  /** Revision of the last change, as decimal text; empty before it is first kept. */
  readonly resourceVersion: string;
  /** Version of the desired state, for kinds that have one. */
  readonly generation?: number | undefined;
  /** RFC 3339. */
  readonly creationTimestamp: string;
  /** RFC 3339, while finalizers hold the object back. */
  readonly deletionTimestamp?: string | undefined;
  /** Who must act before it goes away. */
  readonly finalizers?: readonly string[] | undefined;
  /** Labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Annotations. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** Owners, not interpreted here. */
  readonly ownerReferences?: readonly JsonValue[] | undefined;
  /** Field ownership of server-side apply. */
  readonly managedFields?: readonly JsonValue[] | undefined;
}

/** An object of the API. */
export interface ApiObject extends JsonObject {
  /** API group and version. */
  readonly apiVersion: string;
  /** Kind. */
  readonly kind: string;
  /** Metadata. */
  readonly metadata: ApiMeta;
}

/** Where an object is: resource, namespace (empty when cluster-scoped) and name. */
export interface ObjectKey {
  /** `plural.group`, see {@linkcode resourceKey}. */
  readonly resource: string;
  /** Namespace, or empty. */
  readonly namespace: string;
  /** Name. */
  readonly name: string;
}

/** The store's name of a kind: versions of a kind share their objects. */
export function resourceKey(kind: ResourceKind): string {
  return `${kind.plural}.${kind.group}`;
}

/** The key of an object of a kind. */
export function objectKey(kind: ResourceKind, object: ApiObject): ObjectKey {
  return {
    resource: resourceKey(kind),
    namespace: object.metadata.namespace ?? "",
    name: object.metadata.name,
  };
}

/** The object with other metadata. */
export function withMeta(object: ApiObject, change: Partial<ApiMeta>): ApiObject {
  return { ...object, metadata: { ...object.metadata, ...change } };
}
