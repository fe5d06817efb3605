import assert from "node:assert/strict";
import { join } from "node:path";
import type { ApiObject, ObjectKey } from "./api_object.ts";
import { openStore, type Store, StoreError } from "./store.ts";

const resource = "things.example.org";

function key(name: string, namespace = ""): ObjectKey {
  return { resource, namespace, name };
}

function object(name: string, value: number, namespace?: string): ApiObject {
  return {
    apiVersion: "example.org/v1",
    kind: "Thing",
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid: name,
      resourceVersion: "",
      creationTimestamp: "2026-01-01T00:00:00Z",
    },
    value,
  };
}

function values(items: readonly ApiObject[]): unknown[] {
  return items.map((item) => [item.metadata.name, item["value"]]);
}

async function withPath(use: (path: string) => void): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "pr2t-" });
  try {
    use(join(directory, "objects.sqlite"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function withStore(history: number, use: (store: Store) => void): Promise<void> {
  await withPath((path) => {
    using store = openStore(path, { history });
    use(store);
  });
}

Deno.test("A file that is no database is refused", () =>
  withPath((path) => {
    Deno.writeTextFileSync(path, "not a database, however long it may be".repeat(100));
    assert.throws(() => openStore(path), (error: unknown) => error instanceof StoreError);
  }));

Deno.test("Each write raises the revision and is stamped on the object", () =>
  withStore(100, (store) => {
    const first = store.put(key("a"), object("a", 1));
    const second = store.put(key("a"), object("a", 2));
    assert.deepEqual([first, second].map((kept) => kept.metadata.resourceVersion), ["1", "2"]);
    assert.deepEqual(store.get(key("a")), second);
    assert.equal(store.revision, 2);
  }));

Deno.test("Removing what is not there changes nothing", () =>
  withStore(100, (store) => {
    assert.equal(store.remove(key("a")), undefined);
    assert.equal(store.revision, 0);
  }));

Deno.test("An earlier revision is rebuilt from the history", () =>
  withStore(100, (store) => {
    store.put(key("a"), object("a", 1));
    store.put(key("b"), object("b", 1));
    store.put(key("a"), object("a", 2));
    store.remove(key("b"));
    store.put(key("c"), object("c", 1));
    const at = (revision: number) => values(store.snapshot(resource, "", revision)?.items ?? []);
    assert.deepEqual(at(0), []);
    assert.deepEqual(at(1), [["a", 1]]);
    assert.deepEqual(at(2), [["a", 1], ["b", 1]]);
    assert.deepEqual(at(3), [["a", 2], ["b", 1]]);
    assert.deepEqual(at(4), [["a", 2]]);
    assert.deepEqual(at(5), [["a", 2], ["c", 1]]);
    assert.equal(store.snapshot(resource, "", 6), undefined);
  }));

Deno.test("A namespace's list and snapshot hold nothing of another's", () =>
  withStore(100, (store) => {
    store.put(key("a", "one"), object("a", 1, "one"));
    store.put(key("a", "two"), object("a", 2, "two"));
    store.remove(key("a", "two"));
    assert.deepEqual(values(store.list(resource, "one").items), [["a", 1]]);
    assert.deepEqual(values(store.snapshot(resource, "two", 2)?.items ?? []), [["a", 2]]);
    assert.deepEqual(values(store.snapshot(resource, "one", 2)?.items ?? []), [["a", 1]]);
  }));

Deno.test("The history is bounded, and what it no longer reaches is undefined", () =>
  withStore(8, (store) => {
    for (let value = 1; value <= 30; value++) store.put(key("a"), object("a", value));
    assert.equal(store.changesSince(resource, 1, 100), undefined);
    assert.equal(store.snapshot(resource, "", 1), undefined);
    const kept = store.changesSince(resource, store.oldestRevision, 100) ?? [];
    assert.ok(kept.length >= 8 && kept.length <= 10, `${kept.length} changes kept`);
    assert.equal(kept.at(-1)?.object["value"], 30);
  }));

Deno.test("A change tells what was before and after, and wakes its resource's subscribers alone", () =>
  withStore(100, (store) => {
    let woken = 0;
    const stop = store.subscribe(resource, () => woken++);
    store.subscribe("others.example.org", () => assert.fail("not its resource"));
    store.put(key("a"), object("a", 1));
    store.remove(key("a"));
    stop();
    store.put(key("b"), object("b", 1));
    assert.equal(woken, 2);
    const changes = store.changesSince(resource, 0, 2) ?? [];
    assert.deepEqual(changes.map(({ type }) => type), ["ADDED", "DELETED"]);
    assert.equal(changes[0]?.previous, undefined);
    assert.equal(changes[1]?.previous?.metadata.resourceVersion, "1");
    assert.equal(changes[1]?.object.metadata.resourceVersion, "2");
  }));

Deno.test("A store that is opened again knows its objects, revision and oldest revision", () =>
  withPath((path) => {
    let oldest: number;
    {
      using store = openStore(path, { history: 8 });
      for (let value = 1; value <= 30; value++) store.put(key("a"), object("a", value));
      oldest = store.oldestRevision;
    }
    using store = openStore(path, { history: 8 });
    assert.deepEqual([store.revision, store.oldestRevision], [30, oldest]);
    assert.equal(store.get(key("a"))?.["value"], 30);
  }));

Deno.test("A store that is open cannot be opened by another", () =>
  withPath((path) => {
    using _store = openStore(path);
    assert.throws(
      () => openStore(path),
      (error: unknown) => error instanceof StoreError && error.code === "StoreUnavailable",
    );
  }));
