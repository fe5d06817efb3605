/** The JSONPath subset of CRD printer columns: `.a.b`, `['a.b']`, `[0]`, `[*]` and `[?(@.a=="b")]`. */
import { isJsonArray, isJsonObject, type JsonValue, own } from "./json.ts";

/** The first value that a path leads to. */
export function firstAtJsonPath(root: JsonValue, path: string): JsonValue | undefined {
  let values: JsonValue[] = [root];
  for (
    const step of path.matchAll(/\.?([\w-]+)|\['([^']+)'\]|\[(\d+)\]|\[\*\]|\[\?\(([^)]*)\)\]/g)
  ) {
    const [, field = step[2], , index, filter] = step;
    values = values.flatMap((value): readonly JsonValue[] => {
      if (field !== undefined) {
        const child = isJsonObject(value) ? own(value, field) : undefined;
        return child === undefined ? [] : [child];
      }
      if (!isJsonArray(value)) return [];
      if (index !== undefined) return value.slice(Number(index), Number(index) + 1);
      return filter === undefined ? value : value.filter((item) => holds(item, filter));
    });
  }
  return values[0];
}

function holds(item: JsonValue, filter: string): boolean {
  const match = /^@\.([\w.-]+)\s*==\s*["']([^"']*)["']$/.exec(filter.trim());
  if (match === null) return false;
  const found = firstAtJsonPath(item, `.${match[1]}`);
  return String(found) === match[2];
}
