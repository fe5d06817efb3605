/** A watch: the changes of a collection as lines of JSON, read from the store's history as fast as the client takes them. */
import { ApiError } from "./api_error.ts";
import type { ApiObject } from "./api_object.ts";
import { withMeta } from "./api_object.ts";
import type { JsonObject } from "./json.ts";
import type { Predicate } from "./selectors.ts";
import type { Change, Store } from "./store.ts";

/** What is watched, and how. */
export interface WatchRequest {
  /** The store's name of the resource. */
  readonly resource: string;
  /** Namespace, or empty for all. */
  readonly namespace: string;
  /** Which objects. */
  readonly selected: Predicate;
  /** Revision after which to begin; undefined to begin with all objects as they are. */
  readonly from: number | undefined;
  /** Whether to mark the end of the initial objects with a bookmark. */
  readonly markInitialEnd: boolean;
  /** Whether to send bookmarks. */
  readonly bookmarks: boolean;
  /** When to end, in milliseconds from now. */
  readonly timeout: number;
  /** Time between bookmarks, in milliseconds. */
  readonly bookmarkInterval: number;
}

/** A type of event and its object. */
export interface WatchEvent {
  /** Type. */
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  /** The object, or a Status. */
  readonly object: JsonObject;
}

/** Changes that are read from the history at once. */
const batch = 100;

/**
 * The events of a watch. It holds no buffer: a slow client reads from the history, and gets `410 Expired` once that has been
 * cut off behind it.
 *
 * @param store Where objects and history are
 * @param request What is watched
 * @param present How an object is shown
 * @param bookmark How a bookmark of a revision is shown
 * @param signal Ends the watch
 */
export async function* watchEvents(
  store: Store,
  request: WatchRequest,
  present: (object: ApiObject) => JsonObject,
  bookmark: (revision: number, annotations?: Record<string, string>) => JsonObject,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent, void, void> {
  using wake = new Wake(store, request, signal);
  let cursor = request.from ?? store.revision;
  if (cursor > store.revision) {
    // From the future, or from another store that was once served here: the client must list again.
    yield tooOld(cursor, store.revision);
    return;
  }
  if (request.from === undefined) {
    for (const object of store.list(request.resource, request.namespace).items) {
      if (request.selected(object)) yield { type: "ADDED", object: present(object) };
    }
    if (request.markInitialEnd) {
      yield {
        type: "BOOKMARK",
        object: bookmark(cursor, { "k8s.io/initial-events-end": "true" }),
      };
    }
  }
  let bookmarkDue = false;
  while (!wake.ended) {
    const newest = store.revision;
    const changes = store.changesSince(request.resource, cursor, batch);
    if (changes === undefined) {
      yield tooOld(cursor, store.oldestRevision);
      return;
    }
    for (const change of changes) {
      const event = visible(change, request);
      if (event !== undefined) yield { type: event.type, object: present(event.object) };
    }
    cursor = changes.length === batch ? changes.at(-1)?.revision ?? cursor : newest;
    if (changes.length === batch || store.revision > newest) continue;
    if (bookmarkDue) {
      bookmarkDue = false;
      yield { type: "BOOKMARK", object: bookmark(cursor) };
      continue;
    }
    // Other resources may have moved the revision on meanwhile: the bookmark waits until all up to it is read.
    bookmarkDue = await wake.wait() === "bookmark" && request.bookmarks;
  }
  if (request.bookmarks && !signal.aborted) {
    yield { type: "BOOKMARK", object: bookmark(cursor) };
  }
}

/** Waits for the next change, the time of a bookmark, or the end. */
class Wake implements Disposable {
  readonly #stops: (() => void)[] = [];
  #resolve: ((reason: "change" | "bookmark" | "end") => void) | undefined;
  #changed = false;
  ended = false;

  constructor(store: Store, request: WatchRequest, signal: AbortSignal) {
    const end = () => {
      this.ended = true;
      this.#resolve?.("end");
    };
    this.#stops.push(store.subscribe(request.resource, () => {
      this.#changed = true;
      this.#resolve?.("change");
    }));
    const timeout = setTimeout(end, request.timeout);
    const bookmarks = setInterval(() => this.#resolve?.("bookmark"), request.bookmarkInterval);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
    this.#stops.push(
      () => clearTimeout(timeout),
      () => clearInterval(bookmarks),
      () => signal.removeEventListener("abort", end),
    );
  }

  async wait(): Promise<"change" | "bookmark" | "end"> {
    if (this.ended) return "end";
    if (!this.#changed) {
      const reason = await new Promise<"change" | "bookmark" | "end">((resolve) => {
        this.#resolve = resolve;
      });
      this.#resolve = undefined;
      if (reason !== "change") return reason;
    }
    this.#changed = false;
    return "change";
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stops) stop();
  }
}

/** What a change is to a watcher that sees selected objects only: leaving the selection is a deletion. */
function visible(
  change: Change,
  { namespace, selected }: WatchRequest,
): { type: Change["type"]; object: ApiObject } | undefined {
  if (namespace !== "" && change.object.metadata.namespace !== namespace) return undefined;
  const before = change.previous !== undefined && selected(change.previous);
  const after = change.type !== "DELETED" && selected(change.object);
  if (after) return { type: before ? "MODIFIED" : "ADDED", object: change.object };
  if (!before || change.previous === undefined) return undefined;
  const { resourceVersion } = change.object.metadata;
  return { type: "DELETED", object: withMeta(change.previous, { resourceVersion }) };
}

function tooOld(from: number, oldest: number): WatchEvent {
  const error = new ApiError(410, "Expired", `too old resource version: ${from} (${oldest})`);
  return { type: "ERROR", object: error.toStatus() };
}
