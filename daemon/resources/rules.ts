/** Rules that a schema's types and bounds cannot say, each told once: as CEL for API servers and as a predicate for here. */
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { ResourceKind, SchemaIssue } from "./kind.ts";

/** What must hold of a value. Both tellings must agree on every value that fits the types and bounds. */
export interface Rule<in T> {
  /**
   * CEL over `self` (apiextensions/v1, `x-kubernetes-validations`). Its functions on addresses and prefixes need
   * Kubernetes 1.30; every string and list that it reads must have a maximum, or the server refuses its cost.
   */
  readonly cel: string;
  /** The same here. */
  readonly holds: (self: T) => boolean;
  /** What was expected, for a person. */
  readonly message: string;
  /** The field of the value that is at fault; the value itself when absent. */
  readonly field?: (keyof T & string) | undefined;
}

/** Keyword of a structural schema under which rules stand. */
export const rulesKeyword = "x-kubernetes-validations";

/** A rule as it stands in a CRD. */
export interface ValidationRule {
  /** CEL. */
  readonly rule: string;
  /** For a person. */
  readonly message: string;
  /** JSONPath of the field at fault, from the value. */
  readonly fieldPath?: string;
}

/**
 * Adds rules to a schema: it refuses what breaks one, and its OpenAPI form carries them.
 *
 * @internal
 */
export function withRules<T>(schema: z.ZodType<T>, rules: readonly Rule<T>[]): z.ZodType<T> {
  return schema.superRefine((value, context) => {
    for (const { holds, field, message } of rules) {
      if (holds(value)) continue;
      const found = JSON.stringify(field === undefined ? value : value[field]);
      context.addIssue({
        code: "custom",
        path: field === undefined ? [] : [field],
        message: `${message}, found ${found}`,
      });
    }
  }).meta({ [rulesKeyword]: rules.map(validationRule) });
}

function validationRule({ cel, message, field }: Rule<never>): ValidationRule {
  return { rule: cel, message, ...(field === undefined ? {} : { fieldPath: `.${field}` }) };
}

/** The rule of each field that {@linkcode ResourceKind.immutable} names, as it stands in a CRD. */
export const immutableRule: ValidationRule = {
  rule: "self == oldSelf",
  message: "Expected the value that it was created with: delete the object and create another",
};

/**
 * The rule of a part that an optional field of it stays once it is set: the field's own rule is not looked at when it goes.
 *
 * @param field Name of the field within the part
 */
export function stayingRule(field: string): ValidationRule {
  return {
    rule: `!has(oldSelf.${field}) || has(self.${field})`,
    message: immutableRule.message,
    fieldPath: `.${field}`,
  };
}

/**
 * What a change of an object breaks: fields that keep their value for the object's life.
 *
 * @param kind The object's kind
 * @param before The object as it is
 * @param after The object as it shall be
 */
export function immutabilityIssues(
  kind: Pick<ResourceKind, "immutable">,
  before: unknown,
  after: unknown,
): readonly SchemaIssue[] {
  return (kind.immutable ?? []).map((field) => field.split(".")).flatMap((path) => {
    const [was, is] = [valueAt(before, path), valueAt(after, path)];
    // A field that is new has nothing to be compared with.
    if (was === undefined || isDeepStrictEqual(was, is)) return [];
    return [{ code: "custom", path, message: immutableRule.message }];
  });
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null && Object.hasOwn(inner, key)
        ? Reflect.get(inner, key)
        : undefined,
    value,
  );
}
