/** JSON values, as objects of the API are made of them. */

/** Any JSON value. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;

/** A JSON object; a key whose value is undefined counts as absent. */
export interface JsonObject {
  /** Value of a key. */
  readonly [key: string]: JsonValue | undefined;
}

/** Whether a value is a JSON object, and neither null nor an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value is a JSON array. */
export function isJsonArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** Parses JSON text. @throws {SyntaxError} If it is none */
export function parseJson(text: string): JsonValue {
  return JSON.parse(text);
}

/** Whether two values are the same JSON, whatever the order of keys. */
export function equalJson(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  if (a === b) return true;
  if (isJsonArray(a)) {
    return isJsonArray(b) && a.length === b.length &&
      a.every((item, index) => equalJson(item, b[index]));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) if (!equalJson(own(a, key), own(b, key))) return false;
  return true;
}

/** An object's own value at a key; never one that every JavaScript object inherits, such as `constructor`. */
export function own(object: JsonObject, key: string): JsonValue | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** The value at a path of keys and indices, if there is one. */
export function valueAt(
  root: JsonValue | undefined,
  path: readonly PropertyKey[],
): JsonValue | undefined {
  let value = root;
  for (const key of path) {
    if (isJsonArray(value) && typeof key === "number") value = value[key];
    else if (isJsonObject(value)) value = own(value, String(key));
    else return undefined;
  }
  return value;
}

/** A path as the API writes it: `spec.attachments[0].vni`. */
export function formatFieldPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const key of path) {
    if (typeof key === "number") text += `[${key}]`;
    else text += text === "" ? String(key) : `.${String(key)}`;
  }
  return text;
}

/** A copy without one path; arrays keep their other items. */
export function withoutPath(root: JsonValue, path: readonly PropertyKey[]): JsonValue {
  const [key, ...rest] = path;
  if (key === undefined) return root;
  if (isJsonArray(root) && typeof key === "number") {
    return rest.length === 0
      ? root.filter((_, index) => index !== key)
      : root.map((item, index) => index === key ? withoutPath(item, rest) : item);
  }
  if (!isJsonObject(root)) return root;
  const name = String(key);
  const child = own(root, name);
  if (child === undefined) return root;
  if (rest.length > 0) return { ...root, [name]: withoutPath(child, rest) };
  return Object.fromEntries(Object.entries(root).filter(([other]) => other !== name));
}
