/** Requests on resources: from a path and a method to a verb and its answer. */
import { badRequest, methodNotAllowed, noSuchResource } from "./api_error.ts";
import type { ApiObject } from "./api_object.ts";
import {
  checkVersionKnown,
  parseCollectionQuery,
  parseCount,
  type QueryReader,
  readPage,
} from "./collection.ts";
import { parseFieldValidation } from "./content.ts";
import { isAccessReviewPath, reviewAccess } from "./discovery.ts";
import type { JsonObject } from "./json.ts";
import { negotiate } from "./negotiate.ts";
import { patchObject } from "./patch_request.ts";
import { createPresenter, type Presenter } from "./present.ts";
import { isDryRun, mediaType, readBody, readDeleteOptions, readObject } from "./request_body.ts";
import { findServedKind, parseResourcePath, type ResourcePath } from "./request_path.ts";
import { type ServedKind, servedKinds } from "./served_kinds.ts";
import type { DeleteOptions, ResourceService, Target, WriteOptions } from "./verbs.ts";
import type { Store } from "./store.ts";
import type { IncludeObject } from "./table.ts";
import type { WatchRequest } from "./watch_stream.ts";

/** What {@linkcode createResourceHandler} needs. */
export interface HandlerParts {
  /** Objects and history. */
  readonly store: Store;
  /** The verbs. */
  readonly service: ResourceService;
  /** The clock. */
  readonly now: () => Date;
  /** Turns a watch into an answer. */
  readonly watch: (request: WatchRequest, presenter: Presenter) => Response;
  /** Time between bookmarks, in milliseconds. */
  readonly bookmarkInterval: number;
}

/** A request, looked at. */
interface Call {
  readonly request: Request;
  readonly path: ResourcePath;
  readonly served: ServedKind;
  readonly query: QueryReader;
  readonly presenter: Presenter;
}

/** Watches end after at most this long, so that clients spread over restarted servers. */
const defaultWatchTimeout = 30 * 60_000;

/** Makes the handler of `/api/v1/...` and `/apis/<group>/<version>/...`. It throws ApiError. */
export function createResourceHandler(
  parts: HandlerParts,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const url = new URL(request.url);
    const path = parseResourcePath(url.pathname);
    if (path === undefined) throw noSuchResource();
    if (isAccessReviewPath(path.apiVersion, path.plural)) {
      if (request.method !== "POST") throw methodNotAllowed();
      return answer(reviewAccess(await readObject(request)), 201);
    }
    const served = findServedKind(servedKinds, path);
    if (served === undefined) throw noSuchResource();
    const query: QueryReader = (name) => url.searchParams.get(name) ?? undefined;
    const form = negotiate(request.headers.get("accept") ?? undefined);
    const presenter = createPresenter(served, form, includeObject(query), parts.now);
    const call: Call = { request, path, served, query, presenter };
    return path.name === "" ? await onCollection(parts, call) : await onObject(parts, call);
  };
}

function includeObject(query: QueryReader): IncludeObject {
  const text = query("includeObject") ?? "";
  if (text === "" || text === "Metadata") return "Metadata";
  if (text === "None" || text === "Object") return text;
  throw badRequest(`Expected includeObject to be None, Metadata or Object, found "${text}"`);
}

async function onCollection(parts: HandlerParts, call: Call): Promise<Response> {
  const { request, path, served, query, presenter } = call;
  switch (request.method) {
    case "GET":
      if (isTrue(query("watch"))) return watch(parts, call);
      return answer(presenter.page(
        readPage(parts.store, served, path.namespace, parseCollectionQuery(served, query)),
      ));
    case "POST": {
      if (served.kind.scope === "Namespaced" && path.namespace === "") throw methodNotAllowed();
      const write = writeOptions(query);
      const target = { served, namespace: path.namespace, subresource: "" } as const;
      const object = parts.service.create(target, await readObject(request), write.options);
      return answer(presenter.object(object), 201, write.warnings);
    }
    case "DELETE":
      return deleteCollection(parts, call, await readDeleteOptions(request, query));
    default:
      throw methodNotAllowed();
  }
}

function deleteCollection(parts: HandlerParts, call: Call, options: DeleteOptions): Response {
  const { path, served, query, presenter } = call;
  const page = readPage(parts.store, served, path.namespace, parseCollectionQuery(served, query));
  for (const { metadata } of page.items) {
    const target = targetOf(served, metadata.namespace ?? "", metadata.name);
    parts.service.delete(target, options);
  }
  return answer(presenter.page(page));
}

async function onObject(parts: HandlerParts, call: Call): Promise<Response> {
  const { request, path, served, query, presenter } = call;
  const isStatus = path.subresource === "status" && served.kind.status;
  if (path.subresource !== "" && !isStatus) throw noSuchResource();
  const target = targetOf(served, path.namespace, path.name, isStatus ? "status" : "");
  const write = writeOptions(query);
  switch (request.method) {
    case "GET":
      if (isTrue(query("watch"))) throw methodNotAllowed();
      checkVersionKnown(parts.store, parseCount("resourceVersion", query("resourceVersion")));
      return answer(presenter.object(parts.service.get(target)));
    case "PUT": {
      const object = parts.service.update(target, await readObject(request), write.options);
      return answer(presenter.object(object), 200, write.warnings);
    }
    case "PATCH": {
      const type = mediaType(request.headers.get("content-type") ?? undefined);
      const patch = await readBody(request, type);
      const { object, created } = patchObject(parts.service, target, {
        type,
        patch,
        fieldManager: query("fieldManager"),
        force: isTrue(query("force")),
        now: parts.now(),
      }, write.options);
      return answer(presenter.object(object), created ? 201 : 200, write.warnings);
    }
    case "DELETE": {
      if (isStatus) throw methodNotAllowed();
      const options = await readDeleteOptions(request, query);
      const { object, gone } = parts.service.delete(target, options);
      return answer(gone ? deletedStatus(served, object) : presenter.object(object));
    }
    default:
      throw methodNotAllowed();
  }
}

function watch(parts: HandlerParts, call: Call): Response {
  const { path, served, query, presenter } = call;
  const collection = parseCollectionQuery(served, query);
  const initial = isTrue(query("sendInitialEvents"));
  // A client that declines initial events begins with the next change.
  const from = query("sendInitialEvents") === "false"
    ? collection.resourceVersion || parts.store.revision
    : collection.resourceVersion;
  const seconds = parseCount("timeoutSeconds", query("timeoutSeconds"));
  return parts.watch({
    resource: served.resource,
    namespace: path.namespace,
    selected: collection.selected,
    from: initial || from === 0 ? undefined : from,
    markInitialEnd: initial,
    bookmarks: isTrue(query("allowWatchBookmarks")),
    timeout: seconds === undefined || seconds === 0
      ? defaultWatchTimeout
      : Math.min(seconds * 1000, 2 ** 31 - 1),
    bookmarkInterval: parts.bookmarkInterval,
  }, presenter);
}

function targetOf(
  served: ServedKind,
  namespace: string,
  name: string,
  subresource: Target["subresource"] = "",
): Target {
  return { served, namespace, name, subresource };
}

function writeOptions(query: QueryReader): { options: WriteOptions; warnings: string[] } {
  const warnings: string[] = [];
  const options = {
    dryRun: isDryRun(query("dryRun")),
    fieldValidation: parseFieldValidation(query("fieldValidation")),
    warn: (text: string) => warnings.push(text),
  };
  return { options, warnings };
}

function isTrue(text: string | undefined): boolean {
  return text === "true" || text === "1";
}

function deletedStatus({ kind }: ServedKind, object: ApiObject): JsonObject {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: {
      name: object.metadata.name,
      ...(kind.group === "" ? {} : { group: kind.group }),
      kind: kind.plural,
      uid: object.metadata.uid,
    },
  };
}

function answer(body: JsonObject, status = 200, warnings: readonly string[] = []): Response {
  const headers = new Headers({ "content-type": "application/json" });
  for (const text of warnings) headers.append("warning", `299 - ${quoted(text)}`);
  return new Response(JSON.stringify(body) + "\n", { status, headers });
}

/** A quoted string of RFC 9110, section 5.6.4; what a header cannot carry is left out. */
function quoted(text: string): string {
  return `"${text.replaceAll(/[^\x20-\x7e]/g, "").replaceAll(/["\\]/g, "\\$&")}"`;
}
