/** Failures of the API as Kubernetes reports them: an HTTP status and a Status object. */
import { CodedError } from "../../lib/errors.ts";
import type { ResourceKind } from "../resources/kind.ts";
import type { JsonObject } from "./json.ts";

/** What concerns one field of a refused object. */
export interface ErrorCause {
  /** Machine-readable kind, such as `FieldValueInvalid`. */
  readonly reason: string;
  /** For a person. */
  readonly message: string;
  /** Where, such as `spec.attachments[0].vni`. */
  readonly field: string;
}

/** More on a failure. */
export interface ErrorDetails {
  /** Name of the object. */
  readonly name?: string | undefined;
  /** API group. */
  readonly group?: string | undefined;
  /** Kind or plural. */
  readonly kind?: string | undefined;
  /** UID of the object. */
  readonly uid?: string | undefined;
  /** Fields. */
  readonly causes?: readonly ErrorCause[] | undefined;
  /** When to try again. */
  readonly retryAfterSeconds?: number | undefined;
}

/** A request that the API refuses; `code` is the Status object's `reason`. */
export class ApiError extends CodedError {
  /** HTTP status. */
  readonly httpStatus: number;
  /** More on it. */
  readonly details: ErrorDetails | undefined;

  /**
   * Makes the failure.
   *
   * @param httpStatus HTTP status
   * @param reason The Status object's `reason`
   * @param message For a person
   * @param details More on it
   */
  constructor(httpStatus: number, reason: string, message: string, details?: ErrorDetails) {
    super(reason, message);
    this.httpStatus = httpStatus;
    this.details = details;
  }

  /** The Status object (meta/v1). */
  toStatus(): JsonObject {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: this.message,
      reason: this.code,
      ...(this.details === undefined ? {} : { details: detailsJson(this.details) }),
      code: this.httpStatus,
    };
  }
}

function detailsJson(details: ErrorDetails): JsonObject {
  return {
    name: details.name,
    group: details.group === "" ? undefined : details.group,
    kind: details.kind,
    uid: details.uid,
    causes: details.causes?.map((cause): JsonObject => ({ ...cause })),
    retryAfterSeconds: details.retryAfterSeconds,
  };
}

/** `vrfdomains.cni.pyroute2.org`, or the plural alone in the core group. */
export function qualifiedResource(kind: ResourceKind): string {
  return kind.group === "" ? kind.plural : `${kind.plural}.${kind.group}`;
}

/** 400: the request makes no sense. */
export function badRequest(message: string): ApiError {
  return new ApiError(400, "BadRequest", message);
}

/** 404: no such object. */
export function notFound(kind: ResourceKind, name: string): ApiError {
  return new ApiError(404, "NotFound", `${qualifiedResource(kind)} "${name}" not found`, {
    name,
    group: kind.group,
    kind: kind.plural,
  });
}

/** 404: no such path. */
export function noSuchResource(): ApiError {
  return new ApiError(404, "NotFound", "the server could not find the requested resource", {});
}

/** 409: the name is taken. */
export function alreadyExists(kind: ResourceKind, name: string): ApiError {
  return new ApiError(
    409,
    "AlreadyExists",
    `${qualifiedResource(kind)} "${name}" already exists`,
    { name, group: kind.group, kind: kind.plural },
  );
}

/** 409: somebody else was faster. */
export function conflict(kind: ResourceKind, name: string, why: string): ApiError {
  return new ApiError(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${qualifiedResource(kind)} "${name}": ${why}`,
    { name, group: kind.group, kind: kind.plural },
  );
}

/** The `why` of a stale resourceVersion. */
export const staleVersion =
  "the object has been modified; please apply your changes to the latest version and try again";

/** 403: known, but not now. */
export function forbidden(kind: ResourceKind, name: string, why: string): ApiError {
  return new ApiError(
    403,
    "Forbidden",
    `${qualifiedResource(kind)} "${name}" is forbidden: ${why}`,
    {
      name,
      group: kind.group,
      kind: kind.plural,
    },
  );
}

/** 422: fields are wrong. */
export function invalid(
  kind: ResourceKind,
  name: string,
  causes: readonly ErrorCause[],
): ApiError {
  const texts = causes.map((cause) => `${cause.field}: ${cause.message}`);
  const list = texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`;
  const qualified = kind.group === "" ? kind.kind : `${kind.kind}.${kind.group}`;
  return new ApiError(422, "Invalid", `${qualified} "${name}" is invalid: ${list}`, {
    name,
    group: kind.group,
    kind: kind.kind,
    causes,
  });
}

/** 422: a query parameter of a list, or how several of them go together, is wrong. */
export function invalidListOptions(field: string, why: string): ApiError {
  const message = `Forbidden: ${why}`;
  return new ApiError(
    422,
    "Invalid",
    `ListOptions.meta.k8s.io "" is invalid: ${field}: ${message}`,
    {
      group: "meta.k8s.io",
      kind: "ListOptions",
      causes: [{ reason: "FieldValueForbidden", message, field }],
    },
  );
}

/** 410: the asked-for version is no longer, or not yet, known. */
export function expired(message: string): ApiError {
  return new ApiError(410, "Expired", message);
}

/** 415: a body or patch of a type that is not understood here. */
export function unsupportedMediaType(accepted: readonly string[]): ApiError {
  return new ApiError(
    415,
    "UnsupportedMediaType",
    `the body of the request was in an unknown format - accepted media types include: ${
      accepted.join(", ")
    }`,
  );
}

/** 405: no such verb here. */
export function methodNotAllowed(): ApiError {
  return new ApiError(
    405,
    "MethodNotAllowed",
    "the server does not allow this method on the requested resource",
    {},
  );
}
