/** Reading a collection: selectors, consistent pages, earlier revisions. */
import { apiVersionOf } from "../resources/kind.ts";
import { ApiError, badRequest, expired, invalidListOptions } from "./api_error.ts";
import type { ApiObject } from "./api_object.ts";
import { isJsonObject, type JsonObject, type JsonValue, own } from "./json.ts";
import { parseFieldSelector, parseLabelSelector, type Predicate } from "./selectors.ts";
import type { ServedKind } from "./served_kinds.ts";
import type { Snapshot, Store } from "./store.ts";

/** Query parameters of a collection. */
export interface CollectionQuery {
  /** Which objects. */
  readonly selected: Predicate;
  /** Whether there is any selector. */
  readonly selective: boolean;
  /** Objects in an answer; undefined for all. */
  readonly limit: number | undefined;
  /** Where to go on. */
  readonly continue: string | undefined;
  /** Revision that the client asks for; undefined for any. */
  readonly resourceVersion: number | undefined;
  /** Whether exactly that revision is meant. */
  readonly exact: boolean;
}

/** A page of a collection. */
export interface Page {
  /** Objects. */
  readonly items: readonly ApiObject[];
  /** ListMeta. */
  readonly metadata: JsonObject;
}

/** Reads one query parameter. */
export type QueryReader = (name: string) => string | undefined;

/**
 * Parses the query of a collection.
 *
 * @throws {ApiError} 400 for a selector, number or token that cannot be understood, 422 for a match that cannot be made
 */
export function parseCollectionQuery(served: ServedKind, query: QueryReader): CollectionQuery {
  const byLabel = parseLabelSelector(query("labelSelector") ?? "");
  const byField = parseFieldSelector(query("fieldSelector") ?? "", served.fields);
  const resourceVersion = parseCount("resourceVersion", query("resourceVersion"));
  const match = parseMatch(query, resourceVersion);
  const limit = parseCount("limit", query("limit"));
  const token = query("continue");
  return {
    selected: (object) => (byLabel?.(object) ?? true) && (byField?.(object) ?? true),
    selective: byLabel !== undefined || byField !== undefined,
    limit: limit === 0 ? undefined : limit,
    continue: token === "" ? undefined : token,
    resourceVersion,
    exact: match === "Exact",
  };
}

/** How close a list must come to a version (meta/v1, ListOptions); a watch with initial events names a match alone. */
function parseMatch(query: QueryReader, resourceVersion: number | undefined): string {
  const field = "resourceVersionMatch";
  const match = query(field) ?? "";
  const initial = query("sendInitialEvents") !== undefined;
  if (initial && match !== "NotOlderThan") {
    throw invalidListOptions(
      field,
      "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
    );
  }
  if (match === "" || initial) return match;
  if (resourceVersion === undefined) {
    throw invalidListOptions(field, `${field} is forbidden unless resourceVersion is provided`);
  }
  if (match !== "Exact" && match !== "NotOlderThan") {
    throw invalidListOptions(field, `expected Exact or NotOlderThan, found "${match}"`);
  }
  if (match === "Exact" && resourceVersion === 0) {
    throw invalidListOptions(field, `${field} "exact" is forbidden for resourceVersion "0"`);
  }
  return match;
}

/** Parses a number of a query. @throws {ApiError} 400 */
export function parseCount(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^\d{1,15}$/.test(text)) {
    throw badRequest(`Expected ${name} to be a number, found ${JSON.stringify(text)}`);
  }
  return Number(text);
}

/**
 * Reads a page of a collection. All pages of one list show the same revision.
 *
 * @throws {ApiError} 410 when that revision is no longer known, 504 when it is not yet
 */
export function readPage(
  store: Store,
  served: ServedKind,
  namespace: string,
  query: CollectionQuery,
): Page {
  const { after, snapshot } = readSnapshot(store, served, namespace, query);
  const matching = snapshot.items.filter((item) =>
    query.selected(item) && (after === undefined || pageKey(item) > after)
  );
  const items = query.limit === undefined ? matching : matching.slice(0, query.limit);
  const last = items.at(-1);
  const remaining = matching.length - items.length;
  const more = last === undefined || remaining === 0 ? {} : {
    continue: encodeToken({ revision: snapshot.revision, after: pageKey(last) }),
    ...(query.selective ? {} : { remainingItemCount: remaining }),
  };
  return { items, metadata: { resourceVersion: String(snapshot.revision), ...more } };
}

function readSnapshot(
  store: Store,
  served: ServedKind,
  namespace: string,
  query: CollectionQuery,
): { after: string | undefined; snapshot: Snapshot } {
  const token = query.continue === undefined ? undefined : decodeToken(query.continue);
  const exact = query.exact ? query.resourceVersion : undefined;
  const revision = token?.revision ?? exact;
  checkVersionKnown(store, query.resourceVersion);
  if (revision === undefined) {
    return { after: undefined, snapshot: store.list(served.resource, namespace) };
  }
  const snapshot = store.snapshot(served.resource, namespace, revision);
  if (snapshot === undefined) {
    throw expired(
      token === undefined
        ? `too old resource version: ${revision} (${store.oldestRevision})`
        : "The provided continue parameter is too old to display a consistent list result. Start a new list without the continue parameter",
    );
  }
  return { after: token?.after, snapshot };
}

/** Refuses to read at a version that is yet to come. @throws {ApiError} 504 */
export function checkVersionKnown(store: Store, resourceVersion: number | undefined): void {
  if (resourceVersion === undefined || resourceVersion <= store.revision) return;
  throw new ApiError(
    504,
    "Timeout",
    `Timeout: Too large resource version: ${resourceVersion}, current: ${store.revision}`,
    {
      causes: [{
        reason: "ResourceVersionTooLarge",
        message: "Too large resource version",
        field: "",
      }],
      retryAfterSeconds: 1,
    },
  );
}

/** A list object of a kind. */
export function renderList(served: ServedKind, page: Page): JsonObject {
  return {
    kind: `${served.kind.kind}List`,
    apiVersion: apiVersionOf(served.kind),
    metadata: page.metadata,
    items: page.items.map((item) => listItem(served, item)),
  };
}

/** Items of built-in kinds come without type, as from a cluster; those of custom resources with it. */
function listItem(served: ServedKind, item: ApiObject): JsonValue {
  if (served.custom) return item;
  const { apiVersion: _apiVersion, kind: _kind, ...rest } = item;
  return rest;
}

/** NUL sorts before every character of a name. */
function pageKey(object: ApiObject): string {
  return `${object.metadata.namespace ?? ""}\0${object.metadata.name}`;
}

interface Token {
  readonly revision: number;
  readonly after: string;
}

function encodeToken(token: Token): string {
  // Names are ASCII.
  return btoa(JSON.stringify(token)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function decodeToken(text: string): Token {
  try {
    const token: unknown = JSON.parse(atob(text.replaceAll("-", "+").replaceAll("_", "/")));
    const revision = isJsonObject(token) ? own(token, "revision") : undefined;
    const after = isJsonObject(token) ? own(token, "after") : undefined;
    if (
      Number.isSafeInteger(revision) && typeof revision === "number" && typeof after === "string"
    ) {
      return { revision, after };
    }
  } catch {
    // Refused below with all other forms.
  }
  throw badRequest("continue key is not valid: expected the continue value of an earlier answer");
}
