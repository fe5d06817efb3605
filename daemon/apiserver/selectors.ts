/** Label and field selectors (Kubernetes, "Labels and Selectors" and "Field Selectors"). */
import type { ApiObject } from "./api_object.ts";
import { badRequest } from "./api_error.ts";
import { valueAt } from "./json.ts";

/** Whether an object is selected. */
export type Predicate = (object: ApiObject) => boolean;

interface Requirement {
  readonly key: string;
  readonly operator: "exists" | "absent" | "in" | "notin" | "gt" | "lt";
  readonly values: readonly string[];
}

const keyPattern = /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/;

/**
 * Parses a label selector such as `app=web,tier in (a, b),!old`.
 *
 * @returns Undefined for an empty selector, which selects all
 * @throws {ApiError} 400 when it cannot be understood
 */
export function parseLabelSelector(text: string): Predicate | undefined {
  if (text.trim() === "") return undefined;
  const requirements = splitOutsideParentheses(text).map(parseRequirement);
  return (object) => {
    const labels = object.metadata.labels ?? {};
    return requirements.every((requirement) => {
      const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
      return satisfies(requirement, value);
    });
  };
}

function satisfies({ operator, values }: Requirement, value: string | undefined): boolean {
  switch (operator) {
    case "exists":
      return value !== undefined;
    case "absent":
      return value === undefined;
    case "in":
      return value !== undefined && values.includes(value);
    case "notin":
      return value === undefined || !values.includes(value);
    case "gt":
      return value !== undefined && Number(value) > Number(values[0]);
    case "lt":
      return value !== undefined && Number(value) < Number(values[0]);
  }
}

function parseRequirement(text: string): Requirement {
  const term = text.trim();
  const set = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(term);
  if (set !== null) {
    const values = (set[3] ?? "").split(",").map((value) => value.trim());
    return requirement(text, set[1], set[2] === "in" ? "in" : "notin", values);
  }
  const comparison = /^([^\s=!<>]+)\s*(==|=|!=|<|>)\s*([^\s=!<>]*)$/.exec(term);
  if (comparison !== null) {
    const operator = ({ "!=": "notin", ">": "gt", "<": "lt" } as const)[comparison[2] ?? ""] ??
      "in";
    return requirement(text, comparison[1], operator, [comparison[3] ?? ""]);
  }
  const bare = /^(!?)\s*(\S+)$/.exec(term);
  return requirement(text, bare?.[2], bare?.[1] === "!" ? "absent" : "exists", []);
}

function requirement(
  text: string,
  key: string | undefined,
  operator: Requirement["operator"],
  values: readonly string[],
): Requirement {
  if (key === undefined || !keyPattern.test(key)) {
    throw badRequest(
      `unable to parse requirement: expected a label selector such as "app=web", found ${
        JSON.stringify(text)
      }`,
    );
  }
  return { key, operator, values };
}

function splitOutsideParentheses(text: string): string[] {
  const terms: string[] = [];
  let start = 0;
  let inside = false;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "(") inside = true;
    else if (text[at] === ")") inside = false;
    else if (text[at] === "," && !inside) {
      terms.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...terms, text.slice(start)];
}

/**
 * Parses a field selector such as `metadata.name=a,spec.nodeName!=b`.
 *
 * @param text The selector
 * @param fields The fields that the kind can be selected by, beside name and namespace
 * @returns Undefined for an empty selector, which selects all
 * @throws {ApiError} 400 for another field or syntax
 */
export function parseFieldSelector(
  text: string,
  fields: readonly string[],
): Predicate | undefined {
  if (text.trim() === "") return undefined;
  const terms = text.split(",").filter((term) => term !== "").map((term) => {
    const at = term.search(/[=!]/);
    const match = /^(==|=|!=)(.*)$/s.exec(term.slice(at));
    const field = term.slice(0, at).trim();
    if (at < 0 || match === null || field === "") {
      throw badRequest(`invalid selector: ${JSON.stringify(text)}; can't understand "${term}"`);
    }
    if (!["metadata.name", "metadata.namespace", ...fields].includes(field)) {
      throw badRequest(`field label not supported: ${field}`);
    }
    return { path: field.split("."), equal: match[1] !== "!=", value: match[2]?.trim() ?? "" };
  });
  return (object) =>
    terms.every(({ path, equal, value }) => {
      const found = valueAt(object, path);
      const text = typeof found === "string" || typeof found === "number" ||
          typeof found === "boolean"
        ? String(found)
        : "";
      return (text === value) === equal;
    });
}
