/** OpenAPI schemas of the resource kinds: what a CRD embeds and what the embedded API publishes. */
import { z } from "zod";
import { zodOf } from "./fields.ts";
import type { ResourceKind, Schema } from "./kind.ts";
import { immutableRule, rulesKeyword, stayingRule, type ValidationRule } from "./rules.ts";

/** A node of an OpenAPI 3.0 schema. */
export interface OpenApiSchema {
  /** Value of a keyword. */
  readonly [keyword: string]: unknown;
}

/** Bounds that zod puts on every integer: those of a double, not of the field. */
const doubleBounds: readonly unknown[] = [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER];

/** Keywords that structural schemas do not take (apiextensions/v1, "Specifying a structural schema"). */
const foreignKeywords: readonly string[] = ["$schema", "propertyNames"];

/** The OpenAPI schema of a whole kind: apiVersion, kind, metadata and its parts. */
export function openApiSchemaOf(kind: ResourceKind): OpenApiSchema {
  const parts = Object.entries(kind.parts ?? {});
  return {
    ...(kind.description === undefined ? {} : { description: kind.description }),
    type: "object",
    ...(kind.parts?.["spec"] === undefined ? {} : { required: ["spec"] }),
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { type: "object" },
      ...Object.fromEntries(parts.map(([part, schema]) => [
        part,
        withImmutable(openApiSchema(schema), fieldsOf(kind.immutable ?? [], part)),
      ])),
    },
    ...(kind.parts === undefined ? { "x-kubernetes-preserve-unknown-fields": true } : {}),
  };
}

/** The OpenAPI schema of a part, such as a kind's spec, in structural form. */
export function openApiSchema(schema: Schema<unknown>): OpenApiSchema {
  return structural(
    z.toJSONSchema(zodOf(schema), { target: "openapi-3.0", io: "input", reused: "inline" }),
    "",
  );
}

/** The fields within a part, such as `vrf` for `spec.vrf` in `spec`. */
function fieldsOf(paths: readonly string[], part: string): readonly string[] {
  return paths.filter((path) => path.startsWith(`${part}.`))
    .map((path) => path.slice(part.length + 1));
}

function withImmutable(schema: OpenApiSchema, fields: readonly string[]): OpenApiSchema {
  const { properties, required } = schema;
  if (!isObject(properties)) return schema;
  const marked = Object.entries(properties).map(([name, property]): [string, unknown] =>
    isObject(property) && fields.includes(name)
      ? [name, withAddedRules(property, [immutableRule])]
      : [name, property]
  );
  const optional = fields.filter((name) => !(Array.isArray(required) && required.includes(name)));
  return {
    ...withAddedRules(schema, optional.map(stayingRule)),
    properties: Object.fromEntries(marked),
  };
}

function withAddedRules(schema: object, added: readonly ValidationRule[]): OpenApiSchema {
  const rules: unknown = Reflect.get(schema, rulesKeyword);
  if (added.length === 0) return { ...schema };
  return { ...schema, [rulesKeyword]: [...(Array.isArray(rules) ? rules : []), ...added] };
}

function structural(node: object, field: string): OpenApiSchema {
  const entries = Object.entries(node).flatMap(([keyword, value]): [string, unknown][] => {
    if (foreignKeywords.includes(keyword) || doubleBounds.includes(value)) return [];
    // The server knows the format itself; zod's pattern for it fills half a page.
    if (keyword === "pattern" && Reflect.get(node, "format") === "date-time") return [];
    if (keyword === "additionalProperties") return additionalProperties(value);
    if (keyword === "properties" && isObject(value)) {
      const properties = Object.entries(value).map(([name, child]) => [
        name,
        isObject(child) ? structural(child, name) : child,
      ]);
      return [[keyword, Object.fromEntries(properties)]];
    }
    if (keyword === "items" && isObject(value)) return [[keyword, structural(value, "")]];
    if (keyword === "allOf" && Array.isArray(value)) return allOf(value);
    return [[keyword, value]];
  });
  // Conditions are merged by type, so that several writers may each own one.
  const listMap = field === "conditions"
    ? { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"] }
    : {};
  return { ...Object.fromEntries(entries), ...listMap };
}

function additionalProperties(value: unknown): [string, unknown][] {
  if (!isObject(value)) return [];
  return Object.keys(value).length === 0
    ? [["x-kubernetes-preserve-unknown-fields", true]]
    : [["additionalProperties", structural(value, "")]];
}

/** zod states several patterns as allOf; inside it, structural schemas take value validations alone. */
function allOf(list: readonly unknown[]): [string, unknown][] {
  const validations = list.filter(isObject).map((item) =>
    Object.fromEntries(Object.entries(item).filter(([keyword]) => keyword !== "type"))
  );
  return validations.length === 0 ? [] : [["allOf", validations]];
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
