/**
 * Server-side apply with field ownership: a manager's next apply removes what it no longer names, and two managers cannot set
 * the same field to different values unless one insists. Changes that are not applies own nothing here.
 */
import {
  equalJson,
  isJsonArray,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  own,
} from "./json.ts";
import { applyStrategicMerge, mergeKeyOf } from "./strategic_merge.ts";

/** A field that another manager has set otherwise. */
export interface ApplyConflict {
  /** Path of the field, such as `.spec.vrf`. */
  readonly field: string;
  /** The other manager. */
  readonly manager: string;
}

/** Outcome of {@linkcode serverSideApply}. */
export interface ApplyOutcome {
  /** The merged object, without managedFields. */
  readonly merged: JsonObject;
  /** Field ownership afterwards. */
  readonly managedFields: readonly JsonValue[];
  /** Fields in dispute; nothing may be changed unless this is empty. */
  readonly conflicts: readonly ApplyConflict[];
}

/** Who applies. */
export interface ApplyOptions {
  /** Name of the manager. */
  readonly manager: string;
  /** Whether to take fields from other managers. */
  readonly force: boolean;
  /** `status`, or empty. */
  readonly subresource: string;
  /** The present time, RFC 3339. */
  readonly time: string;
}

/** A field as keys of fieldsV1: `f:spec`, `k:{"type":"Ready"}`, joined by NUL. */
type Leaf = string;

/**
 * Merges an applied configuration into an object.
 *
 * @param live The object, or undefined when the apply creates it
 * @param config The applied configuration
 */
export function serverSideApply(
  live: JsonObject | undefined,
  config: JsonObject,
  options: ApplyOptions,
): ApplyOutcome {
  const entries = readEntries(live);
  const isOwn = (entry: Entry) =>
    entry.manager === options.manager && entry.subresource === options.subresource;
  const others = entries.filter((entry) => !isOwn(entry));
  const owned = new Set(entries.find(isOwn)?.leaves ?? []);
  const wanted = new Set(leavesOf(config));

  const disputed = others.flatMap((other) =>
    other.leaves.filter((leaf) =>
      wanted.has(leaf) && !equalJson(leafValue(live, leaf), leafValue(config, leaf))
    ).map((leaf) => ({ leaf, manager: other.manager }))
  );
  const taken = new Set(disputed.map(({ leaf }) => leaf));
  const kept = others.map((other) => ({
    ...other,
    leaves: other.leaves.filter((leaf) => !taken.has(leaf)),
  }));

  let merged = applyStrategicMerge(live ?? {}, withoutManagedFields(config));
  const stillOwned = new Set(kept.flatMap((entry) => entry.leaves));
  for (const leaf of [...owned].toSorted((a, b) => Number(isItemKey(a)) - Number(isItemKey(b)))) {
    const dropped = !wanted.has(leaf) && !stillOwned.has(leaf);
    // An empty object that was applied has since been filled: that is not this manager's to take away.
    if (dropped && !isFilled(leafValue(merged, leaf))) {
      merged = removeLeaf(merged, leaf.split("\0"));
    }
  }
  const apiVersion = own(config, "apiVersion") ?? "";
  const mine: Entry = {
    manager: options.manager,
    subresource: options.subresource,
    leaves: [...wanted],
    apiVersion,
    time: options.time,
  };
  const conflicts = options.force
    ? []
    : disputed.map(({ leaf, manager }) => ({ field: leafText(leaf), manager }));
  const all = [...kept.filter((entry) => entry.leaves.length > 0), mine];
  return {
    merged: isJsonObject(merged) ? withoutManagedFields(merged) : {},
    managedFields: all.map(writeEntry),
    conflicts,
  };
}

interface Entry {
  readonly manager: string;
  readonly subresource: string;
  readonly leaves: readonly Leaf[];
  readonly apiVersion: JsonValue;
  readonly time: JsonValue;
}

function readEntries(live: JsonObject | undefined): Entry[] {
  const metadata = live === undefined ? undefined : own(live, "metadata");
  const list = isJsonObject(metadata) ? own(metadata, "managedFields") : undefined;
  if (!isJsonArray(list)) return [];
  return list.filter(isJsonObject).map((item) => {
    const fields = own(item, "fieldsV1");
    return {
      manager: String(own(item, "manager") ?? ""),
      subresource: String(own(item, "subresource") ?? ""),
      leaves: isJsonObject(fields) ? fieldsToLeaves(fields, []) : [],
      apiVersion: own(item, "apiVersion") ?? "",
      time: own(item, "time") ?? "",
    };
  });
}

function writeEntry(entry: Entry): JsonObject {
  const fields: FieldTree = new Map();
  for (const leaf of entry.leaves) {
    let tree = fields;
    for (const key of leaf.split("\0")) {
      const next: FieldTree = tree.get(key) ?? new Map();
      tree.set(key, next);
      tree = next;
    }
  }
  return {
    manager: entry.manager,
    operation: "Apply",
    apiVersion: entry.apiVersion,
    time: entry.time,
    fieldsType: "FieldsV1",
    fieldsV1: treeToJson(fields),
    ...(entry.subresource === "" ? {} : { subresource: entry.subresource }),
  };
}

interface FieldTree extends Map<string, FieldTree> {}

function treeToJson(tree: FieldTree): JsonObject {
  return Object.fromEntries([...tree].map(([key, child]) => [key, treeToJson(child)]));
}

function fieldsToLeaves(fields: JsonObject, path: readonly string[]): Leaf[] {
  return Object.entries(fields).flatMap(([key, child]) => {
    const here = [...path, key];
    return isJsonObject(child) && Object.keys(child).length > 0
      ? fieldsToLeaves(child, here)
      : [here.join("\0")];
  });
}

/** Identity and what the server sets are owned by nobody. */
const unowned: readonly string[] = [
  "apiVersion",
  "kind",
  ...[
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
  ].map((field) => `metadata.${field}`),
];

function leavesOf(config: JsonObject): Leaf[] {
  return objectLeaves(config, []).filter((leaf) =>
    !unowned.includes(leaf.split("\0").slice(0, 2).map((key) => key.slice(2)).join("."))
  );
}

function objectLeaves(object: JsonObject, path: readonly string[]): Leaf[] {
  return Object.entries(object).flatMap(([key, value]) => {
    const here = [...path, `f:${key}`];
    if (value === undefined) return [];
    const mergeKey = isJsonArray(value) ? mergeKeyOf(key) : undefined;
    if (isJsonArray(value) && mergeKey !== undefined && value.every(isJsonObject)) {
      return value.flatMap((item) => {
        const id = own(item, mergeKey);
        return objectLeaves(item, [...here, `k:${JSON.stringify({ [mergeKey]: id })}`]);
      });
    }
    return isJsonObject(value) && Object.keys(value).length > 0
      ? objectLeaves(value, here)
      : [here.join("\0")];
  });
}

function leafValue(root: JsonValue | undefined, leaf: Leaf): JsonValue | undefined {
  let value = root;
  for (const key of leaf.split("\0")) {
    if (key.startsWith("k:") && isJsonArray(value)) {
      value = value.find((item) => itemMatches(item, key));
    } else value = isJsonObject(value) ? own(value, key.slice(2)) : undefined;
  }
  return value;
}

function itemMatches(item: JsonValue, key: string): boolean {
  const id: JsonValue = JSON.parse(key.slice(2));
  return isJsonObject(item) && isJsonObject(id) &&
    Object.entries(id).every(([name, value]) => equalJson(own(item, name), value));
}

function removeLeaf(root: JsonValue, path: readonly string[]): JsonValue {
  const [key = "", ...rest] = path;
  if (key.startsWith("k:") && isJsonArray(root)) {
    return root.flatMap((item) => {
      if (!itemMatches(item, key)) return [item];
      const left = removeLeaf(item, rest);
      // An item whose fields were all this manager's goes with the last of them, its key.
      return isJsonObject(left) && Object.keys(left).length === 0 ? [] : [left];
    });
  }
  if (!isJsonObject(root)) return root;
  const name = key.slice(2);
  const child = own(root, name);
  if (child === undefined) return root;
  const left = rest.length === 0 ? undefined : removeLeaf(child, rest);
  const others = Object.fromEntries(Object.entries(root).filter(([other]) => other !== name));
  return left === undefined ? others : { ...others, [name]: left };
}

/** Whether a leaf is the key by which a list's item is found; it goes last, or the item's other fields are lost sight of. */
function isItemKey(leaf: Leaf): boolean {
  const [item = "", field = ""] = leaf.split("\0").slice(-2);
  return item.startsWith("k:") && item.startsWith(`k:{${JSON.stringify(field.slice(2))}:`);
}

function isFilled(value: JsonValue | undefined): boolean {
  return isJsonObject(value) && Object.keys(value).length > 0;
}

function leafText(leaf: Leaf): string {
  return leaf.split("\0").map((key) =>
    key.startsWith("k:") ? `[${key.slice(2)}]` : `.${key.slice(2)}`
  )
    .join("");
}

function withoutManagedFields(object: JsonObject): JsonObject {
  const metadata = own(object, "metadata");
  if (!isJsonObject(metadata)) return object;
  const { managedFields: _dropped, ...kept } = metadata;
  return { ...object, metadata: kept };
}
