/** Metadata as clients send it: decoded, pruned and validated. */
import { z } from "zod";
import type { ResourceKind } from "../resources/kind.ts";
import { badRequest, type ErrorCause } from "./api_error.ts";
import { formatFieldPath, isJsonObject, type JsonObject, type JsonValue, own } from "./json.ts";

/** Metadata of a request. What only the server sets is read too, to compare it. */
export interface SentMeta {
  /** Name. */
  readonly name?: string | undefined;
  /** Prefix of a name that the server completes. */
  readonly generateName?: string | undefined;
  /** Namespace. */
  readonly namespace?: string | undefined;
  /** Identity that the client means. */
  readonly uid?: string | undefined;
  /** Version that the client has seen. */
  readonly resourceVersion?: string | undefined;
  /** Labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Annotations. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** Finalizers. */
  readonly finalizers?: readonly string[] | undefined;
  /** Owners. */
  readonly ownerReferences?: readonly JsonObject[] | undefined;
  /** Field ownership. */
  readonly managedFields?: readonly JsonValue[] | undefined;
}

/** Metadata fields of Kubernetes; others are unknown. */
const knownFields: readonly string[] = [
  "annotations",
  "creationTimestamp",
  "deletionGracePeriodSeconds",
  "deletionTimestamp",
  "finalizers",
  "generateName",
  "generation",
  "labels",
  "managedFields",
  "name",
  "namespace",
  "ownerReferences",
  "resourceVersion",
  "selfLink",
  "uid",
];

const text = z.string().nullish().transform((value) => value ?? undefined);
const texts = z.record(z.string(), z.string()).nullish().transform((value) => value ?? undefined);
const anyObject = z.custom<JsonObject>(isJsonObject);
const anyJson = z.custom<JsonValue>((value) => value !== undefined);

const sentMeta = z.object({
  name: text,
  generateName: text,
  namespace: text,
  uid: text,
  resourceVersion: text,
  labels: texts,
  annotations: texts,
  finalizers: z.array(z.string()).nullish().transform((value) => value ?? undefined),
  ownerReferences: z.array(anyObject).nullish().transform((value) => value ?? undefined),
  managedFields: z.array(anyJson).nullish().transform((value) => value ?? undefined),
});

/** A request's metadata, decoded. */
export interface DecodedMeta {
  /** What is known of it. */
  readonly meta: SentMeta;
  /** Paths of unknown fields. */
  readonly unknown: readonly string[];
}

/**
 * Decodes the metadata of a request.
 *
 * @throws {ApiError} 400 when a field is of the wrong type
 */
export function decodeMeta(object: JsonObject): DecodedMeta {
  const given = own(object, "metadata") ?? {};
  const result = sentMeta.safeParse(given);
  if (!result.success) {
    const issue = result.error.issues[0];
    const path = formatFieldPath(["metadata", ...issue?.path ?? []]);
    throw badRequest(`the object cannot be decoded: ${path}: ${issue?.message ?? "invalid"}`);
  }
  const unknown = isJsonObject(given)
    ? Object.keys(given).filter((key) => !knownFields.includes(key)).map((key) => `metadata.${key}`)
    : [];
  return { meta: result.data, unknown };
}

const dnsLabel = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
const dnsSubdomain = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;
const namePart = /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/;

/** What is wrong with metadata (RFC 1123 names; Kubernetes' syntax of labels and annotations). */
export function metaCauses(kind: ResourceKind, meta: SentMeta): readonly ErrorCause[] {
  return [
    ...nameCauses(kind, meta.name),
    ...Object.entries(meta.labels ?? {}).flatMap(([key, value]) => labelCauses(key, value)),
    ...Object.keys(meta.annotations ?? {}).filter((key) => !isQualifiedName(key.toLowerCase()))
      .map((key) => invalidCause("metadata.annotations", key, "must be a qualified name")),
    ...(meta.finalizers ?? []).filter((name) => !isQualifiedName(name))
      .map((name) => invalidCause("metadata.finalizers", name, "must be a qualified name")),
  ];
}

function nameCauses(kind: ResourceKind, name: string | undefined): ErrorCause[] {
  const field = "metadata.name";
  if (name === undefined || name === "") {
    return [{
      reason: "FieldValueRequired",
      message: "Required value: name or generateName is required",
      field,
    }];
  }
  if (kind.kind === "Namespace") {
    return dnsLabel.test(name) && name.length <= 63
      ? []
      : [invalidCause(field, name, "must be a lowercase RFC 1123 label of at most 63 characters")];
  }
  return dnsSubdomain.test(name) && name.length <= 253 ? [] : [
    invalidCause(field, name, "must be a lowercase RFC 1123 subdomain of at most 253 characters"),
  ];
}

function labelCauses(key: string, value: string): ErrorCause[] {
  const field = "metadata.labels";
  if (!isQualifiedName(key)) return [invalidCause(field, key, "must be a qualified name")];
  return value === "" || (value.length <= 63 && namePart.test(value)) ? [] : [
    invalidCause(field, value, "must be at most 63 of A-Z, a-z, 0-9, '-', '_', '.', or empty"),
  ];
}

function isQualifiedName(key: string): boolean {
  const slash = key.indexOf("/");
  const prefix = slash === -1 ? undefined : key.slice(0, slash);
  const name = key.slice(slash + 1);
  return name.length <= 63 && namePart.test(name) &&
    (prefix === undefined || (prefix.length <= 253 && dnsSubdomain.test(prefix)));
}

function invalidCause(field: string, value: string, why: string): ErrorCause {
  return {
    reason: "FieldValueInvalid",
    message: `Invalid value: ${JSON.stringify(value)}: ${why}`,
    field,
  };
}
