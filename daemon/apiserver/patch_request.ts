/** PATCH in its four forms. */
import { rfc3339Seconds } from "../resources/conditions.ts";
import { ApiError, badRequest, unsupportedMediaType } from "./api_error.ts";
import type { ApiObject } from "./api_object.ts";
import { applyConflict } from "./checks.ts";
import { isJsonObject, type JsonObject, type JsonValue, own } from "./json.ts";
import { applyJsonPatch, applyMergePatch, PatchError } from "./json_patch.ts";
import { serverSideApply } from "./server_side_apply.ts";
import type { ServedKind } from "./served_kinds.ts";
import type { ResourceService, Target, WriteOptions } from "./verbs.ts";
import { applyStrategicMerge } from "./strategic_merge.ts";

/** Media types of patches. */
export const patchTypes = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
} as const;

/** Media types that a kind accepts; as in a cluster, custom resources have no strategic merge. */
export function acceptedPatchTypes(served: ServedKind): readonly string[] {
  return Object.values(patchTypes).filter((type) =>
    !served.custom || type !== patchTypes.strategic
  );
}

/** A patch as it came. */
export interface PatchRequest {
  /** Media type without parameters. */
  readonly type: string;
  /** The decoded body. */
  readonly patch: JsonValue;
  /** Who applies (server-side apply). */
  readonly fieldManager: string | undefined;
  /** Whether to take fields from other managers (server-side apply). */
  readonly force: boolean;
  /** The present time. */
  readonly now: Date;
}

/** What a patch has led to. */
export interface PatchResult {
  /** The object. */
  readonly object: ApiObject;
  /** Whether it is new. */
  readonly created: boolean;
}

/**
 * Patches an object.
 *
 * @throws {ApiError} 400 for a malformed patch, 415 for an unknown type, 422 when it does not fit, and those of an update
 */
export function patchObject(
  service: ResourceService,
  target: Target,
  request: PatchRequest,
  options: WriteOptions,
): PatchResult {
  const accepted = acceptedPatchTypes(target.served);
  if (!accepted.includes(request.type)) throw unsupportedMediaType(accepted);
  if (request.type === patchTypes.apply) return apply(service, target, request, options);
  const current = service.get(target);
  const patched = patchDocument(current, request);
  if (!isJsonObject(patched)) throw badRequest("Expected the patched object to be a JSON object");
  const object = service.update(target, patched, { ...options, unconditional: true });
  return { object, created: false };
}

function patchDocument(current: ApiObject, { type, patch }: PatchRequest): JsonValue {
  return refusing(() => {
    if (type === patchTypes.json) return applyJsonPatch(current, patch);
    if (!isJsonObject(patch)) throw new PatchError("PatchMalformed", "Expected a JSON object");
    return type === patchTypes.merge
      ? applyMergePatch(current, patch)
      : applyStrategicMerge(current, patch);
  });
}

/** Makes an answer of a patch that cannot be applied. @throws {ApiError} 400 when it is malformed, 422 when it does not fit */
function refusing<T>(change: () => T): T {
  try {
    return change();
  } catch (error) {
    if (!(error instanceof PatchError)) throw error;
    if (error.code === "PatchMalformed") throw badRequest(error.message);
    throw new ApiError(
      422,
      "Invalid",
      `the server rejected our request due to an error in our request: ${error.message}`,
      {},
    );
  }
}

function apply(
  service: ResourceService,
  target: Target,
  request: PatchRequest,
  options: WriteOptions,
): PatchResult {
  const { fieldManager, patch, force, now } = request;
  if (fieldManager === undefined || fieldManager === "") {
    throw badRequest(
      "PatchOptions.meta.k8s.io: fieldManager: Required value: is required for apply patch",
    );
  }
  if (!isJsonObject(patch)) throw badRequest("Expected the applied configuration to be an object");
  const live = find(service, target);
  const config = relevantParts(target, patch);
  const outcome = refusing(() =>
    serverSideApply(live, config, {
      manager: fieldManager,
      force,
      subresource: target.subresource,
      time: rfc3339Seconds(now),
    })
  );
  if (outcome.conflicts.length > 0) throw applyConflict(target, outcome.conflicts);
  const write = { ...options, managedFields: outcome.managedFields, unconditional: true };
  if (live !== undefined) {
    return { object: service.update(target, outcome.merged, write), created: false };
  }
  if (target.subresource !== "") service.get(target);
  return {
    object: service.create(target, withName(outcome.merged, target.name), write),
    created: true,
  };
}

function find(service: ResourceService, target: Target): ApiObject | undefined {
  try {
    return service.get(target);
  } catch (error) {
    if (error instanceof ApiError && error.httpStatus === 404) return undefined;
    throw error;
  }
}

/** What the endpoint can change of an applied configuration: the rest is not to be owned either. */
function relevantParts({ served, subresource }: Target, config: JsonObject): JsonObject {
  const metadata = own(config, "metadata");
  if (isJsonObject(metadata) && own(metadata, "managedFields") !== undefined) {
    throw badRequest("metadata.managedFields must be nil");
  }
  if (!served.kind.status) return config;
  const { status, ...desired } = config;
  if (subresource === "") return desired;
  const { apiVersion, kind } = config;
  return { apiVersion, kind, metadata: {}, ...(status === undefined ? {} : { status }) };
}

function withName(object: JsonObject, name: string): JsonObject {
  const metadata = own(object, "metadata");
  const found = isJsonObject(metadata) ? metadata : {};
  const given = own(found, "name");
  if (given !== undefined && given !== name) {
    // Not String(): an object may have a member "toString" that is none.
    const text = typeof given === "string" ? given : JSON.stringify(given);
    throw badRequest(
      `the name of the object (${text}) does not match the name on the URL (${name})`,
    );
  }
  return { ...object, metadata: { ...found, name } };
}
