/** An object's content beside metadata: pruned to what its kind knows, defaulted and validated, as a structural CRD does. */
import { badRequest, type ErrorCause } from "./api_error.ts";
import { secretKind } from "../resources/core.ts";
import { foldStringData } from "./secret_content.ts";
import type { ResourceKind, Schema, SchemaIssue } from "../resources/kind.ts";
import { immutabilityIssues } from "../resources/rules.ts";
import {
  formatFieldPath,
  isJsonArray,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  own,
  valueAt,
  withoutPath,
} from "./json.ts";

/** Outcome of {@linkcode validateContent}. */
export interface Content {
  /** What is kept, without metadata. */
  readonly kept: JsonObject;
  /** What is wrong; empty when the object is valid. */
  readonly causes: readonly ErrorCause[];
  /** Paths of fields that the kind does not know, which were dropped. */
  readonly unknown: readonly string[];
}

const envelope: readonly string[] = ["apiVersion", "kind", "metadata"];

/**
 * Validates what is beside metadata.
 *
 * @param kind The kind; one without parts takes any content
 * @param object The object as sent
 * @param only Parts to validate, such as `spec`; others are dropped
 */
export function validateContent(
  kind: ResourceKind,
  object: JsonObject,
  only: (part: string) => boolean,
): Content {
  if (kind.parts === undefined) return anyContent(kind, object, only);
  const kept: Record<string, JsonValue> = {};
  const causes: ErrorCause[] = [];
  const unknown = Object.keys(object).filter((key) =>
    !envelope.includes(key) && !Object.hasOwn(kind.parts ?? {}, key)
  );
  for (const [part, schema] of Object.entries(kind.parts)) {
    if (!only(part)) continue;
    const value = own(object, part);
    if (value === undefined && part === "status") continue;
    const outcome = validatePart(part, schema, value);
    if (outcome.kept !== undefined) kept[part] = outcome.kept;
    causes.push(...outcome.causes);
    unknown.push(...outcome.unknown);
  }
  return { kept, causes, unknown };
}

function anyContent(
  kind: ResourceKind,
  object: JsonObject,
  only: (part: string) => boolean,
): Content {
  const causes = issueCauses(kind.schema, object).filter((cause) =>
    !cause.field.startsWith("metadata")
  );
  const entries = Object.entries(object).filter(([key]) => !envelope.includes(key) && only(key));
  const content = Object.fromEntries(entries);
  return { kept: kind === secretKind ? foldStringData(content) : content, causes, unknown: [] };
}

function validatePart(
  part: string,
  schema: Schema<unknown>,
  given: JsonValue | undefined,
): { kept?: JsonValue; causes: readonly ErrorCause[]; unknown: readonly string[] } {
  let value = given;
  let result = schema.safeParse(value);
  if (!result.success && value !== undefined) {
    // Nulls where the schema allows none count as absent, so that defaults apply.
    const nulls = result.error.issues.filter((issue) => valueAt(value, issue.path) === null);
    for (const issue of nulls) value = withoutPath(value, issue.path);
    if (nulls.length > 0) result = schema.safeParse(value);
  }
  if (!result.success) {
    const causes = result.error.issues.map((issue) => toCause(issue, value, [part]));
    return { causes, unknown: [] };
  }
  const kept = JSON.parse(JSON.stringify(result.data)) as JsonValue;
  return { kept, causes: [], unknown: droppedPaths(value, kept, [part]) };
}

function issueCauses(schema: Schema<unknown>, value: JsonValue): readonly ErrorCause[] {
  const result = schema.safeParse(value);
  return result.success ? [] : result.error.issues.map((issue) => toCause(issue, value, []));
}

/** What a change breaks of what must stay as it was created; see {@linkcode immutabilityIssues}. */
export function immutabilityCauses(
  kind: ResourceKind,
  before: JsonObject,
  after: JsonObject,
): readonly ErrorCause[] {
  return immutabilityIssues(kind, before, after).map((issue) => toCause(issue, after, []));
}

function toCause(
  issue: SchemaIssue,
  value: JsonValue | undefined,
  prefix: readonly PropertyKey[],
): ErrorCause {
  const field = formatFieldPath([...prefix, ...issue.path]);
  const found = valueAt(value, issue.path);
  if (found === undefined) {
    return { reason: "FieldValueRequired", message: "Required value", field };
  }
  const text = isJsonObject(found) || isJsonArray(found)
    ? (isJsonObject(found) ? "object" : "array")
    : JSON.stringify(found);
  return issue.code === "invalid_value"
    ? {
      reason: "FieldValueNotSupported",
      message: `Unsupported value: ${text}: ${issue.message}`,
      field,
    }
    : {
      reason: issue.code === "invalid_type" ? "FieldValueTypeInvalid" : "FieldValueInvalid",
      message: `Invalid value: ${text}: ${issue.message}`,
      field,
    };
}

function droppedPaths(
  before: JsonValue | undefined,
  after: JsonValue | undefined,
  path: readonly PropertyKey[],
): string[] {
  if (isJsonArray(before) && isJsonArray(after)) {
    return before.flatMap((item, index) => droppedPaths(item, after[index], [...path, index]));
  }
  if (!isJsonObject(before) || !isJsonObject(after)) return [];
  return Object.entries(before).flatMap(([key, value]) => {
    const kept = own(after, key);
    if (value === undefined || value === null) return [];
    return kept === undefined
      ? [formatFieldPath([...path, key])]
      : droppedPaths(value, kept, [...path, key]);
  });
}

/** What to do with unknown fields: the query parameter `fieldValidation`. */
export type FieldValidation = "Strict" | "Warn" | "Ignore";

/**
 * Reads the query parameter `fieldValidation`.
 *
 * @throws {ApiError} 400 for another value
 */
export function parseFieldValidation(text: string | undefined): FieldValidation {
  if (text === undefined || text === "") return "Warn";
  if (text === "Strict" || text === "Warn" || text === "Ignore") return text;
  throw badRequest(
    `Expected fieldValidation to be Strict, Warn or Ignore, found ${JSON.stringify(text)}`,
  );
}

/**
 * Refuses unknown fields or turns them into warnings.
 *
 * @returns Warnings for the client
 * @throws {ApiError} 400 when the client asked for strictness
 */
export function judgeUnknownFields(
  unknown: readonly string[],
  validation: FieldValidation,
): readonly string[] {
  if (unknown.length === 0 || validation === "Ignore") return [];
  const texts = unknown.map((path) => `unknown field "${path}"`);
  if (validation === "Warn") return texts;
  throw badRequest(`strict decoding error: ${texts.join(", ")}`);
}
