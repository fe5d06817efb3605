/** What is known of a resource kind, and the parts that all objects share. */
import { z } from "zod";

/** Reference to the object that owns another. */
export interface OwnerReference {
  /** API group and version of the owner. */
  readonly apiVersion: string;
  /** Kind of the owner. */
  readonly kind: string;
  /** Name of the owner. */
  readonly name: string;
  /** UID of the owner. */
  readonly uid: string;
  /** Whether the owner is the one that manages the object. */
  readonly controller?: boolean | undefined;
  /** Whether the owner's foreground deletion waits for the object. */
  readonly blockOwnerDeletion?: boolean | undefined;
}

/** Object metadata (Kubernetes API conventions, "Metadata"). What the server sets is absent in an object not yet sent. */
export interface ObjectMeta {
  /** Name, unique per kind and namespace. */
  readonly name: string;
  /** Namespace; absent for cluster-scoped objects. */
  readonly namespace?: string | undefined;
  /** Identity in time: a new object of the same name has another. */
  readonly uid?: string | undefined;
  /** Opaque version for optimistic concurrency. */
  readonly resourceVersion?: string | undefined;
  /** Raised by the server with each change of the desired state. */
  readonly generation?: number | undefined;
  /** RFC 3339. */
  readonly creationTimestamp?: string | undefined;
  /** RFC 3339; set once deletion was asked for, while finalizers remain. */
  readonly deletionTimestamp?: string | undefined;
  /** Who must act before the object goes away. */
  readonly finalizers?: readonly string[] | undefined;
  /** Labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Annotations. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** Owners. */
  readonly ownerReferences?: readonly OwnerReference[] | undefined;
}

/** The least that every object has. */
export interface ResourceObject {
  /** API group and version; servers omit it in lists of built-in kinds. */
  readonly apiVersion?: string | undefined;
  /** Kind; servers omit it in lists of built-in kinds. */
  readonly kind?: string | undefined;
  /** Metadata. */
  readonly metadata: ObjectMeta;
}

/** What of a validation failure concerns one field. */
export interface SchemaIssue {
  /** Kind of failure, such as `invalid_type`. */
  readonly code?: string | undefined;
  /** Where, from the validated value. */
  readonly path: readonly PropertyKey[];
  /** What was expected. */
  readonly message: string;
}

/** Outcome of {@linkcode Schema.safeParse}. */
export type SchemaResult<T> =
  | { readonly success: true; readonly data: T }
  | { readonly success: false; readonly error: { readonly issues: readonly SchemaIssue[] } };

/** A zod schema, as far as its users see it: fills in defaults, drops unknown fields, names what is wrong. */
export interface Schema<out T> {
  /** Validates without throwing. */
  safeParse(value: unknown): SchemaResult<T>;
  /**
   * Validates.
   *
   * @throws {Error} A ZodError with the issues, when the value does not fit
   */
  parse(value: unknown): T;
}

/** A column of `kubectl get`, as in a CRD's additionalPrinterColumns. */
export interface PrinterColumn {
  /** Heading. */
  readonly name: string;
  /** OpenAPI type of the value. */
  readonly type: "string" | "integer" | "boolean" | "date";
  /** Simple JSONPath into the object, such as `.spec.vrf`. */
  readonly jsonPath: string;
}

/** A resource kind: where the API serves it, what it holds, how it is shown. */
export interface ResourceKind<out T extends ResourceObject = ResourceObject> {
  /** API group; empty for the core group. */
  readonly group: string;
  /** API version. */
  readonly version: string;
  /** Kind. */
  readonly kind: string;
  /** Plural in the URL. */
  readonly plural: string;
  /** Singular. */
  readonly singular: string;
  /** Abbreviations for kubectl. */
  readonly shortNames: readonly string[];
  /** What an object of the kind is, for `kubectl explain`. */
  readonly description?: string | undefined;
  /** Whether objects live in a namespace. */
  readonly scope: "Cluster" | "Namespaced";
  /** Whether there is a status subresource. */
  readonly status: boolean;
  /** Columns between name and age. */
  readonly printerColumns: readonly PrinterColumn[];
  /**
   * Fields that keep their value for an object's life, such as `spec.vrf`. One that is optional may be set once, and stays then.
   */
  readonly immutable?: readonly string[] | undefined;
  /** The whole object. */
  readonly schema: Schema<T>;
  /** Its parts beside metadata (`spec`, `status`, …), from which CRDs are made; undefined where any content is taken. */
  readonly parts?: Readonly<Record<string, Schema<unknown>>> | undefined;
}

/** `v1` or `group/version`. */
export function apiVersionOf(kind: Pick<ResourceKind, "group" | "version">): string {
  return kind.group === "" ? kind.version : `${kind.group}/${kind.version}`;
}

const ownerReference: z.ZodType<OwnerReference> = z.object({
  apiVersion: z.string(),
  kind: z.string(),
  name: z.string(),
  uid: z.string(),
  controller: z.boolean().optional(),
  blockOwnerDeletion: z.boolean().optional(),
});

/** Validates object metadata as a server sends it. */
export const objectMeta: Schema<ObjectMeta> = z.object({
  name: z.string().min(1),
  namespace: z.string().optional(),
  uid: z.string().optional(),
  resourceVersion: z.string().optional(),
  generation: z.number().optional(),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  finalizers: z.array(z.string()).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
  ownerReferences: z.array(ownerReference).optional(),
});
