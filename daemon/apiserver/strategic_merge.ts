/**
 * Kubernetes' strategic merge patch, as far as the built-in kinds served here need it: a merge patch in which some lists are
 * merged by a key of their items (sig-api-machinery, "strategic-merge-patch.md").
 */
import {
  equalJson,
  isJsonArray,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  own,
} from "./json.ts";
import { PatchError } from "./json_patch.ts";

/** The key by which the items of a list are told apart, by the list's field name. */
const mergeKeys: Readonly<Record<string, string>> = {
  addresses: "type",
  conditions: "type",
  containers: "name",
  containerStatuses: "name",
  env: "name",
  ephemeralContainers: "name",
  hostAliases: "ip",
  imagePullSecrets: "name",
  initContainers: "name",
  initContainerStatuses: "name",
  ownerReferences: "uid",
  podIPs: "ip",
  ports: "containerPort",
  volumeDevices: "devicePath",
  volumeMounts: "mountPath",
  volumes: "name",
};

/** Lists of plain values that are merged as sets. */
const mergedSets: readonly string[] = ["finalizers"];

/** The merge key of a list of objects; undefined where a list is replaced as a whole. */
export function mergeKeyOf(field: string): string | undefined {
  return Object.hasOwn(mergeKeys, field) ? mergeKeys[field] : undefined;
}

/**
 * Applies a strategic merge patch.
 *
 * @throws {PatchError} `PatchMalformed` for a list item without its merge key
 */
export function applyStrategicMerge(document: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (!isJsonObject(patch)) return patch;
  const directive = own(patch, "$patch");
  if (directive === "delete") return {};
  const replaced = directive === "replace" || !isJsonObject(document);
  const result = new Map(Object.entries(replaced ? {} : document));
  const retained = own(patch, "$retainKeys");
  if (isJsonArray(retained)) {
    for (const key of result.keys()) if (!retained.includes(key)) result.delete(key);
  }
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined || key === "$patch" || key === "$retainKeys") continue;
    if (key.startsWith("$setElementOrder/")) continue;
    const deleted = key.startsWith("$deleteFromPrimitiveList/") ? key.split("/")[1] : undefined;
    if (deleted !== undefined) {
      const list = result.get(deleted);
      if (isJsonArray(list) && isJsonArray(value)) {
        result.set(deleted, list.filter((item) => !value.some((other) => equalJson(item, other))));
      }
    } else if (value === null) result.delete(key);
    else result.set(key, mergeField(key, result.get(key), value));
  }
  for (const [key, order] of Object.entries(patch)) {
    if (key.startsWith("$setElementOrder/")) reorder(result, key.split("/")[1] ?? "", order);
  }
  return Object.fromEntries(result);
}

function mergeField(key: string, before: JsonValue | undefined, value: JsonValue): JsonValue {
  if (!isJsonArray(value)) return applyStrategicMerge(before, value);
  const list = isJsonArray(before) ? before : [];
  if (mergedSets.includes(key)) {
    return [...list, ...value.filter((item) => !list.some((other) => equalJson(item, other)))];
  }
  const mergeKey = mergeKeyOf(key);
  return mergeKey === undefined || !value.every(isJsonObject)
    ? value
    : mergeList(list, value, mergeKey);
}

function mergeList(
  list: readonly JsonValue[],
  patch: readonly JsonObject[],
  mergeKey: string,
): JsonValue {
  if (patch.some((item) => own(item, "$patch") === "replace")) {
    return patch.filter((item) => own(item, "$patch") !== "replace");
  }
  let result = [...list];
  for (const item of patch) {
    const id = own(item, mergeKey);
    if (id === undefined) {
      throw new PatchError(
        "PatchMalformed",
        `Expected list items with the merge key "${mergeKey}", found ${JSON.stringify(item)}`,
      );
    }
    const at = result.findIndex((other) =>
      isJsonObject(other) && equalJson(own(other, mergeKey), id)
    );
    if (own(item, "$patch") === "delete") result = result.filter((_, index) => index !== at);
    else if (at === -1) result.push(applyStrategicMerge(undefined, item));
    else result[at] = applyStrategicMerge(result[at], item);
  }
  return result;
}

function reorder(
  result: Map<string, JsonValue | undefined>,
  field: string,
  order: JsonValue | undefined,
): void {
  const list = result.get(field);
  if (!isJsonArray(list) || !isJsonArray(order)) return;
  const mergeKey = mergeKeyOf(field);
  const place = (item: JsonValue): number => {
    const id = mergeKey !== undefined && isJsonObject(item) ? own(item, mergeKey) : item;
    return order.findIndex((other) => {
      const key = mergeKey !== undefined && isJsonObject(other) ? own(other, mergeKey) : other;
      return equalJson(key, id);
    });
  };
  // Items that the order does not name stay behind those that it does.
  const rank = (item: JsonValue) => (place(item) + order.length + 1) % (order.length + 1);
  result.set(field, list.toSorted((a, b) => rank(a) - rank(b)));
}
