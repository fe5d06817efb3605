/** What the API does with objects: its verbs, what they are told, and what they answer. */
import type { ApiObject } from "./api_object.ts";
import type { FieldValidation } from "./content.ts";
import type { JsonObject, JsonValue } from "./json.ts";
import type { ServedKind } from "./served_kinds.ts";

/** Which object is meant. */
export interface Target {
  /** Its kind. */
  readonly served: ServedKind;
  /** Namespace, or empty. */
  readonly namespace: string;
  /** Name. */
  readonly name: string;
  /** `status`, or empty for the object itself. */
  readonly subresource: "" | "status";
}

/** How a write is done. */
export interface WriteOptions {
  /** Whether to do everything but keep the result. */
  readonly dryRun: boolean;
  /** What to do with unknown fields. */
  readonly fieldValidation: FieldValidation;
  /** Takes warnings for the client. */
  readonly warn: (text: string) => void;
  /** Field ownership to keep with the object, from server-side apply. */
  readonly managedFields?: readonly JsonValue[] | undefined;
  /** Whether the request is based on the current object, as a patch is, and need not name its version. */
  readonly unconditional?: boolean | undefined;
}

/** Conditions of a deletion. */
export interface DeleteOptions {
  /** Whether to do everything but keep the result. */
  readonly dryRun: boolean;
  /** UID that the object must have. */
  readonly uid?: string | undefined;
  /** Version that the object must have. */
  readonly resourceVersion?: string | undefined;
}

/** What a deletion has done. */
export interface Deletion {
  /** The object: as it last was, or marked for deletion while finalizers remain. */
  readonly object: ApiObject;
  /** Whether it is gone. */
  readonly gone: boolean;
}

/** The verbs that change objects or read one. Each throws an ApiError. */
export interface ResourceService {
  /** Reads an object. */
  get(target: Target): ApiObject;
  /** Creates an object. */
  create(target: Omit<Target, "name">, sent: JsonObject, options: WriteOptions): ApiObject;
  /** Replaces an object or its status. */
  update(target: Target, sent: JsonObject, options: WriteOptions): ApiObject;
  /** Deletes an object, or marks it for deletion while finalizers remain. */
  delete(target: Target, options: DeleteOptions): Deletion;
}
