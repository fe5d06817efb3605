/** JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396). */
import { CodedError } from "../../lib/errors.ts";
import { equalJson, isJsonArray, isJsonObject, type JsonValue, own, withoutPath } from "./json.ts";

/** A patch that is malformed (`PatchMalformed`) or does not fit the object (`PatchFailed`). */
export class PatchError extends CodedError {}

/** Operations that one patch may have. */
const maxOperations = 10_000;

/** Characters of JSON that one patch may copy: a value that is copied into itself doubles each time. */
const maxCopied = 3 * 1024 * 1024;

type Path = readonly string[];

/**
 * Applies a JSON Patch.
 *
 * @throws {PatchError} `PatchMalformed`, or `PatchFailed` when a path is not there or a test fails
 */
export function applyJsonPatch(document: JsonValue, patch: JsonValue): JsonValue {
  if (!isJsonArray(patch) || patch.length > maxOperations) {
    throw malformed(`an array of at most ${maxOperations} operations`, patch);
  }
  const budget = { copied: 0 };
  return patch.reduce<JsonValue>(
    (changed, operation) => applyOperation(changed, operation, budget),
    document,
  );
}

function applyOperation(
  document: JsonValue,
  operation: JsonValue,
  budget: { copied: number },
): JsonValue {
  if (!isJsonObject(operation)) throw malformed("an operation", operation);
  const path = parsePointer(own(operation, "path"));
  const from = () => parsePointer(own(operation, "from"));
  const value = () => {
    const given = own(operation, "value");
    if (given === undefined) throw malformed('an operation with "value"', operation);
    return given;
  };
  switch (own(operation, "op")) {
    case "add":
      return add(document, path, value());
    case "remove":
      return remove(document, path);
    case "replace": {
      lookUp(document, path);
      const given = value();
      return path.length === 0 ? given : add(remove(document, path), path, given);
    }
    case "move": {
      const source = from();
      if (path.length > source.length && source.every((key, at) => path[at] === key)) {
        throw malformed("a move to outside what is moved", operation);
      }
      return add(remove(document, source), path, lookUp(document, source));
    }
    case "copy": {
      const copied = lookUp(document, from());
      budget.copied += sizeWithin(copied, maxCopied - budget.copied);
      if (budget.copied > maxCopied) {
        throw malformed(`a patch that copies at most ${maxCopied} characters`, operation);
      }
      return add(document, path, copied);
    }
    case "test":
      if (!equalJson(lookUp(document, path), value())) {
        throw new PatchError("PatchFailed", `testing value ${pointerText(path)} failed`);
      }
      return document;
    default:
      throw malformed('"op" to be add, remove, replace, move, copy or test', operation);
  }
}

/** About how many characters a value has as JSON; no more is counted than it takes to exceed the limit. */
function sizeWithin(value: JsonValue, limit: number): number {
  const left: (JsonValue | undefined)[] = [value];
  let size = 0;
  while (left.length > 0 && size <= limit) {
    const next = left.pop();
    size += typeof next === "string" ? next.length + 2 : 2;
    if (isJsonArray(next)) {
      for (const item of next) left.push(item);
    } else if (isJsonObject(next)) {
      for (const [key, child] of Object.entries(next)) {
        size += key.length + 3;
        left.push(child);
      }
    }
  }
  return size;
}

function parsePointer(text: JsonValue | undefined): Path {
  if (text === "") return [];
  if (typeof text !== "string" || !text.startsWith("/")) {
    throw malformed('a pointer such as "/metadata/labels"', text ?? null);
  }
  return text.slice(1).split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function lookUp(document: JsonValue, path: Path): JsonValue {
  let value: JsonValue | undefined = document;
  for (const key of path) {
    if (isJsonArray(value)) value = value[arrayIndex(key, value.length - 1, path)];
    else value = isJsonObject(value) ? own(value, key) : undefined;
    if (value === undefined) throw missing(path);
  }
  return value;
}

function add(document: JsonValue, path: Path, value: JsonValue): JsonValue {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  if (isJsonArray(document)) {
    if (rest.length > 0) {
      const index = arrayIndex(key, document.length - 1, path);
      return document.map((item, at) => at === index ? add(item, rest, value) : item);
    }
    const index = key === "-" ? document.length : arrayIndex(key, document.length, path);
    return document.toSpliced(index, 0, value);
  }
  if (!isJsonObject(document)) throw missing(path);
  if (rest.length === 0) return { ...document, [key]: value };
  const child = own(document, key);
  if (child === undefined) throw missing(path);
  return { ...document, [key]: add(child, rest, value) };
}

function remove(document: JsonValue, path: Path): JsonValue {
  lookUp(document, path);
  if (path.length === 0) return null;
  const steps: PropertyKey[] = [];
  let value: JsonValue | undefined = document;
  for (const key of path) {
    const step: string | number = isJsonArray(value) ? Number(key) : key;
    steps.push(step);
    if (isJsonArray(value)) value = value[Number(key)];
    else value = isJsonObject(value) ? own(value, key) : undefined;
  }
  return withoutPath(document, steps);
}

function arrayIndex(key: string, last: number, path: Path): number {
  const index = /^(0|[1-9]\d*)$/.test(key) ? Number(key) : NaN;
  if (!(index <= last)) throw missing(path);
  return index;
}

function pointerText(path: Path): string {
  return path.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

function missing(path: Path): PatchError {
  return new PatchError(
    "PatchFailed",
    `Expected a value at "${pointerText(path)}", found none; the patch does not fit the object`,
  );
}

function malformed(expected: string, found: JsonValue): PatchError {
  const text = JSON.stringify(found).slice(0, 200);
  return new PatchError("PatchMalformed", `Expected ${expected}, found ${text}`);
}

/** Applies a JSON Merge Patch: null removes, objects merge, all else replaces. */
export function applyMergePatch(document: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (!isJsonObject(patch)) return patch;
  const result = new Map(Object.entries(isJsonObject(document) ? document : {}));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || value === undefined) result.delete(key);
    else result.set(key, applyMergePatch(result.get(key), value));
  }
  return Object.fromEntries(result);
}
