import assert from "node:assert/strict";
import { join } from "node:path";
import type { ApiObject } from "./api_object.ts";
import { openStore, type Store } from "./store.ts";
import { watchEvents, type WatchRequest } from "./watch_stream.ts";

const resource = "things.example.org";

function put(store: Store, name: string): void {
  store.put({ resource, namespace: "", name }, {
    apiVersion: "example.org/v1",
    kind: "Thing",
    metadata: {
      name,
      uid: name,
      resourceVersion: "",
      creationTimestamp: "2026-01-01T00:00:00Z",
    },
  });
}

function watch(store: Store, change: Partial<WatchRequest>, signal: AbortSignal) {
  const request: WatchRequest = {
    resource,
    namespace: "",
    selected: () => true,
    from: 0,
    markInitialEnd: false,
    bookmarks: false,
    timeout: 60_000,
    bookmarkInterval: 60_000,
    ...change,
  };
  const show = (object: ApiObject) => ({ name: object.metadata.name });
  return watchEvents(store, request, show, (revision) => ({ revision }), signal);
}

async function withStore(
  history: number,
  use: (store: Store, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "pr2t-" });
  const abort = new AbortController();
  try {
    using store = openStore(join(directory, "objects.sqlite"), { history });
    await use(store, abort.signal);
  } finally {
    abort.abort();
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("A watch that falls behind the history is told 410, and holds nothing meanwhile", () =>
  withStore(8, async (store, signal) => {
    await using events = watch(store, {}, signal);
    put(store, "a");
    assert.deepEqual((await events.next()).value, { type: "ADDED", object: { name: "a" } });
    for (let count = 0; count < 30; count++) put(store, `b${count}`);
    const { value } = await events.next();
    assert.equal(value?.type, "ERROR");
    assert.equal(value?.object["code"], 410);
    assert.equal((await events.next()).done, true);
  }));

Deno.test("A watch from a revision that is not yet is told 410 at once", () =>
  withStore(8, async (store, signal) => {
    await using events = watch(store, { from: 5 }, signal);
    const { value } = await events.next();
    assert.equal(value?.object["code"], 410);
  }));

Deno.test("A watch reads more changes than one batch, each once", () =>
  withStore(1000, async (store, signal) => {
    for (let count = 0; count < 250; count++) put(store, `a${count}`);
    await using events = watch(store, {}, signal);
    const names: unknown[] = [];
    for (let count = 0; count < 250; count++) {
      names.push((await events.next()).value?.object["name"]);
    }
    assert.deepEqual(names, Array.from({ length: 250 }, (_, index) => `a${index}`));
  }));

Deno.test("Writes to other resources move a bookmark on, not the watch", () =>
  withStore(1000, async (store, signal) => {
    await using events = watch(store, { bookmarks: true, bookmarkInterval: 5 }, signal);
    store.put({ resource: "others.example.org", namespace: "", name: "x" }, {
      apiVersion: "example.org/v1",
      kind: "Other",
      metadata: { name: "x", uid: "x", resourceVersion: "", creationTimestamp: "" },
    });
    assert.deepEqual((await events.next()).value, { type: "BOOKMARK", object: { revision: 1 } });
  }));

Deno.test("Steady writes to other resources do not keep bookmarks away", () =>
  withStore(1000, async (store) => {
    const deadline = AbortSignal.timeout(5_000);
    await using events = watch(store, { bookmarks: true, bookmarkInterval: 20 }, deadline);
    const writes = setInterval(() => {
      store.put({ resource: "others.example.org", namespace: "", name: "lease" }, {
        apiVersion: "example.org/v1",
        kind: "Other",
        metadata: { name: "lease", uid: "lease", resourceVersion: "", creationTimestamp: "" },
      });
    }, 1);
    try {
      const { value } = await events.next();
      assert.equal(value?.type, "BOOKMARK");
    } finally {
      clearInterval(writes);
    }
  }));

Deno.test("Aborting ends a waiting watch", () =>
  withStore(8, async (store) => {
    const abort = new AbortController();
    await using events = watch(store, {}, abort.signal);
    const next = events.next();
    abort.abort();
    assert.equal((await next).done, true);
  }));
