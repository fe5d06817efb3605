/** What a write must fulfil before it is looked at any closer. */
import { apiVersionOf } from "../resources/kind.ts";
import {
  ApiError,
  badRequest,
  conflict,
  type ErrorCause,
  invalid,
  staleVersion,
} from "./api_error.ts";
import type { ApiObject } from "./api_object.ts";
import { isJsonObject, type JsonObject, own } from "./json.ts";
import type { SentMeta } from "./object_meta.ts";
import type { ServedKind } from "./served_kinds.ts";
import type { DeleteOptions, Target, WriteOptions } from "./verbs.ts";

/** Refuses a body of another kind or version. @throws {ApiError} 400; 422 for another kind where a definition serves it */
export function checkTypeMeta({ kind, custom }: ServedKind, sent: JsonObject): void {
  const expected = { apiVersion: apiVersionOf(kind), kind: kind.kind };
  for (const [field, value] of Object.entries(expected)) {
    const found = own(sent, field);
    if (found === value || (found === undefined && !custom)) continue;
    // A definition's schema judges the kind like any other field.
    if (field === "kind" && custom && typeof found === "string" && found !== "") {
      const message = `Invalid value: ${JSON.stringify(found)}: must be ${value}`;
      throw invalid(kind, sentName(sent), [{ reason: "FieldValueInvalid", message, field }]);
    }
    throw badRequest(
      `the ${field} in the data (${
        JSON.stringify(found ?? "")
      }) does not match the expected ${field} ("${value}")`,
    );
  }
}

function sentName(sent: JsonObject): string {
  const metadata = own(sent, "metadata");
  const name = isJsonObject(metadata) ? own(metadata, "name") : undefined;
  return typeof name === "string" ? name : "";
}

/** Refuses a body of another namespace. @throws {ApiError} 400 */
export function checkNamespace(meta: SentMeta, namespace: string): void {
  if (meta.namespace === undefined || meta.namespace === "" || meta.namespace === namespace) return;
  throw badRequest(
    `the namespace of the provided object does not match the namespace sent on the request ("${meta.namespace}" instead of "${namespace}")`,
  );
}

/** Refuses an update of another object, another incarnation or a stale version. @throws {ApiError} 400, 409 or 422 */
export function checkIdentity(
  target: Target,
  current: ApiObject,
  meta: SentMeta,
  options: WriteOptions,
): void {
  const { kind, versionedUpdates } = target.served;
  checkNamespace(meta, target.namespace);
  if (meta.name !== undefined && meta.name !== target.name) {
    throw badRequest(
      `the name of the object (${meta.name}) does not match the name on the URL (${target.name})`,
    );
  }
  if (meta.uid !== undefined && meta.uid !== "" && meta.uid !== current.metadata.uid) {
    throw conflict(kind, target.name, uidMismatch(meta.uid, current.metadata.uid));
  }
  if (meta.resourceVersion === undefined || meta.resourceVersion === "") {
    if (!versionedUpdates || options.unconditional === true) return;
    throw invalid(kind, target.name, [{
      reason: "FieldValueInvalid",
      message: "Invalid value: 0x0: must be specified for an update",
      field: "metadata.resourceVersion",
    }]);
  }
  if (meta.resourceVersion !== current.metadata.resourceVersion) {
    throw conflict(kind, target.name, staleVersion);
  }
}

/** Refuses to delete another incarnation or version than was meant. @throws {ApiError} 409 */
export function checkPreconditions(
  target: Target,
  current: ApiObject,
  options: DeleteOptions,
): void {
  const { uid, resourceVersion } = current.metadata;
  if (options.uid !== undefined && options.uid !== uid) {
    throw conflict(target.served.kind, target.name, uidMismatch(options.uid, uid));
  }
  if (options.resourceVersion !== undefined && options.resourceVersion !== resourceVersion) {
    throw conflict(
      target.served.kind,
      target.name,
      `Precondition failed: ResourceVersion in precondition: ${options.resourceVersion}, ResourceVersion in object meta: ${resourceVersion}`,
    );
  }
}

function uidMismatch(expected: string, found: string): string {
  return `Precondition failed: UID in precondition: ${expected}, UID in object meta: ${found}`;
}

/** What is wrong with finalizers: an object on its way out takes no new ones. */
export function finalizerCauses(current: ApiObject, meta: SentMeta): readonly ErrorCause[] {
  if (current.metadata.deletionTimestamp === undefined) return [];
  const before = current.metadata.finalizers ?? [];
  const added = (meta.finalizers ?? []).filter((name) => !before.includes(name));
  return added.length === 0 ? [] : [{
    reason: "FieldValueForbidden",
    message:
      `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers ${
        JSON.stringify(added)
      }`,
    field: "metadata.finalizers",
  }];
}

/** Refuses with 409 what other managers own. */
export function applyConflict(
  target: Target,
  conflicts: readonly { readonly field: string; readonly manager: string }[],
): ApiError {
  const count = conflicts.length === 1 ? "1 conflict" : `${conflicts.length} conflicts`;
  const list = conflicts.map(({ field, manager }) => `conflict with "${manager}": ${field}`);
  return new ApiError(
    409,
    "Conflict",
    `Apply failed with ${count}: ${list.join(", ")}`,
    {
      name: target.name,
      group: target.served.kind.group,
      kind: target.served.kind.plural,
      causes: conflicts.map(({ field, manager }) => ({
        reason: "FieldManagerConflict",
        message: `conflict with "${manager}"`,
        field,
      })),
    },
  );
}
