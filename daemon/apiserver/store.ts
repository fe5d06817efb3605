/** The objects and their history, in SQLite. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { CodedError } from "../../lib/errors.ts";
import type { ApiObject, ObjectKey } from "./api_object.ts";
import { withMeta } from "./api_object.ts";

/** The store cannot be opened or read. */
export class StoreError extends CodedError {}

/** One change of one object. */
export interface Change {
  /** Revision that the change made. */
  readonly revision: number;
  /** What happened. */
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  /** The object after it; for `DELETED` as it last was, with the revision of its deletion. */
  readonly object: ApiObject;
  /** The object before it. */
  readonly previous: ApiObject | undefined;
}

/** Objects at one revision. */
export interface Snapshot {
  /** The revision. */
  readonly revision: number;
  /** Objects, sorted by namespace and name. */
  readonly items: readonly ApiObject[];
}

/**
 * Keeps objects and a bounded history of their changes. All calls are synchronous: what is read and written without an
 * `await` between is atomic. Each write is durable when it returns.
 */
export interface Store {
  /** The revision of the newest change. */
  readonly revision: number;
  /** The oldest revision that {@linkcode changesSince} and {@linkcode snapshot} still know. */
  readonly oldestRevision: number;
  /** One object. */
  get(key: ObjectKey): ApiObject | undefined;
  /** All objects of a resource, of one namespace or of all (empty). */
  list(resource: string, namespace: string): Snapshot;
  /** The same at an earlier revision; undefined when the history does not reach back to it. */
  snapshot(resource: string, namespace: string, revision: number): Snapshot | undefined;
  /** Adds or replaces an object; returns it with its new resourceVersion. */
  put(key: ObjectKey, object: ApiObject): ApiObject;
  /** Removes an object; returns it as it last was, with the revision of its deletion, or undefined if it was not there. */
  remove(key: ObjectKey): ApiObject | undefined;
  /** Changes of a resource after a revision, oldest first; undefined when the history does not reach back to it. */
  changesSince(resource: string, revision: number, limit: number): readonly Change[] | undefined;
  /** Calls `changed` after each write to a resource; returns the way to stop. */
  subscribe(resource: string, changed: () => void): () => void;
  /** Closes the files. */
  [Symbol.dispose](): void;
}

/** How {@linkcode openStore} keeps history. */
export interface StoreOptions {
  /** Changes that are kept at least; up to a quarter more may be. */
  readonly history?: number;
}

const schema = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS objects (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (resource, namespace, name)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS history (
    revision INTEGER PRIMARY KEY, resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    type TEXT NOT NULL, data TEXT NOT NULL, previous TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS history_by_resource ON history (resource, revision);
`;
const schemaVersion = 1;

/**
 * Opens a store; makes it when the file is not there.
 *
 * @param path The database file
 * @throws {StoreError} `StoreUnavailable` when another process has it open or it is of another version
 */
export function openStore(path: string, options: StoreOptions = {}): Store {
  let database: DatabaseSync | undefined;
  try {
    // Made here, because SQLite would let the umask decide who may read it.
    Deno.openSync(path, { append: true, create: true, mode: 0o600 }).close();
    database = new DatabaseSync(path);
    // Exclusive locking, taken at once: two servers on one directory would each hand out the same revisions.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL; BEGIN EXCLUSIVE; COMMIT");
    const version = database.prepare("PRAGMA user_version").get()?.["user_version"];
    if (version !== 0 && version !== schemaVersion) {
      throw new StoreError(
        "StoreUnavailable",
        `Expected a store of version ${schemaVersion} in "${path}", found version ${version}`,
      );
    }
    database.exec(`${schema} PRAGMA user_version = ${schemaVersion}`);
    return new SqliteStore(database, options.history ?? 10_000);
  } catch (cause) {
    database?.close();
    if (cause instanceof StoreError) throw cause;
    throw new StoreError(
      "StoreUnavailable",
      `Expected a database that no other process uses at "${path}"; check for another server on the same directory`,
      { cause },
    );
  }
}

class SqliteStore implements Store {
  readonly #database: DatabaseSync;
  readonly #history: number;
  readonly #subscribers = new Map<string, Set<() => void>>();
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  readonly #list: StatementSync;
  readonly #record: StatementSync;
  readonly #since: StatementSync;
  readonly #setOldest: StatementSync;
  readonly #forget: StatementSync;
  #revision: number;
  #oldest: number;

  constructor(database: DatabaseSync, history: number) {
    this.#database = database;
    this.#history = history;
    const prepare = (sql: string) => database.prepare(sql);
    this.#get = prepare("SELECT data FROM objects WHERE resource=? AND namespace=? AND name=?");
    this.#put = prepare("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)");
    this.#remove = prepare("DELETE FROM objects WHERE resource=? AND namespace=? AND name=?");
    this.#list = prepare(
      "SELECT data FROM objects WHERE resource=?1 AND (?2='' OR namespace=?2) ORDER BY namespace, name",
    );
    this.#record = prepare("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)");
    this.#since = prepare(
      "SELECT revision, type, data, previous FROM history WHERE resource=? AND revision>? ORDER BY revision LIMIT ?",
    );
    this.#setOldest = prepare("INSERT OR REPLACE INTO meta VALUES ('oldest', ?)");
    this.#forget = prepare("DELETE FROM history WHERE revision<=?");
    this.#oldest = count(
      prepare("SELECT coalesce(max(value), 0) AS n FROM meta WHERE name='oldest'"),
    );
    const newest = count(prepare("SELECT coalesce(max(revision), 0) AS n FROM history"));
    this.#revision = Math.max(newest, this.#oldest);
  }

  get revision(): number {
    return this.#revision;
  }

  get oldestRevision(): number {
    return this.#oldest;
  }

  get(key: ObjectKey): ApiObject | undefined {
    const row = this.#get.get(key.resource, key.namespace, key.name);
    return row === undefined ? undefined : decode(row["data"]);
  }

  list(resource: string, namespace: string): Snapshot {
    const items = this.#list.all(resource, namespace).map((row) => decode(row["data"]));
    return { revision: this.#revision, items };
  }

  snapshot(resource: string, namespace: string, revision: number): Snapshot | undefined {
    if (revision > this.#revision) return undefined;
    const later = this.changesSince(resource, revision, -1);
    if (later === undefined) return undefined;
    const items = new Map<string, ApiObject>();
    for (const item of this.list(resource, namespace).items) items.set(sortKey(item), item);
    // Undone from the newest on, each change leaves what was before it.
    for (const change of later.toReversed()) {
      if (namespace !== "" && change.object.metadata.namespace !== namespace) continue;
      if (change.previous === undefined) items.delete(sortKey(change.object));
      else items.set(sortKey(change.previous), change.previous);
    }
    const sorted = [...items].toSorted(([a], [b]) => a < b ? -1 : 1).map(([, item]) => item);
    return { revision, items: sorted };
  }

  put(key: ObjectKey, object: ApiObject): ApiObject {
    const previous = this.get(key);
    const revision = this.#revision + 1;
    const kept = withMeta(object, { resourceVersion: String(revision) });
    const data = JSON.stringify(kept);
    this.#write(
      key,
      revision,
      previous === undefined ? "ADDED" : "MODIFIED",
      data,
      previous,
      () => {
        this.#put.run(key.resource, key.namespace, key.name, data);
      },
    );
    return kept;
  }

  remove(key: ObjectKey): ApiObject | undefined {
    const previous = this.get(key);
    if (previous === undefined) return undefined;
    const revision = this.#revision + 1;
    const last = withMeta(previous, { resourceVersion: String(revision) });
    this.#write(key, revision, "DELETED", JSON.stringify(last), previous, () => {
      this.#remove.run(key.resource, key.namespace, key.name);
    });
    return last;
  }

  changesSince(resource: string, revision: number, limit: number): readonly Change[] | undefined {
    if (revision < this.#oldest) return undefined;
    return this.#since.all(resource, revision, limit).map((row): Change => ({
      revision: Number(row["revision"]),
      type: changeType(row["type"]),
      object: decode(row["data"]),
      previous: row["previous"] === null ? undefined : decode(row["previous"]),
    }));
  }

  subscribe(resource: string, changed: () => void): () => void {
    const subscribers = this.#subscribers.get(resource) ?? new Set();
    this.#subscribers.set(resource, subscribers.add(changed));
    return () => subscribers.delete(changed);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #write(
    key: ObjectKey,
    revision: number,
    type: Change["type"],
    data: string,
    previous: ApiObject | undefined,
    change: () => void,
  ): void {
    // Forgetting in batches: the deletion costs as much as the write itself.
    const oldest = revision - this.#oldest > this.#history * 1.25
      ? revision - this.#history
      : undefined;
    this.#database.exec("BEGIN");
    try {
      change();
      const before = previous === undefined ? null : JSON.stringify(previous);
      this.#record.run(revision, key.resource, key.namespace, key.name, type, data, before);
      if (oldest !== undefined) {
        this.#setOldest.run(oldest);
        this.#forget.run(oldest);
      }
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
    this.#revision = revision;
    if (oldest !== undefined) this.#oldest = oldest;
    for (const changed of [...this.#subscribers.get(key.resource) ?? []]) changed();
  }
}

function count(statement: StatementSync): number {
  return Number(statement.get()?.["n"]);
}

function sortKey(object: ApiObject): string {
  // NUL sorts before every character of a name, as SQLite's order by namespace, then name does.
  return `${object.metadata.namespace ?? ""}\0${object.metadata.name}`;
}

function decode(data: unknown): ApiObject {
  // The store reads only what it has written itself.
  if (typeof data !== "string") throw new StoreError("StoreCorrupt", "Expected JSON text in a row");
  return JSON.parse(data) as ApiObject;
}

function changeType(value: unknown): Change["type"] {
  if (value === "ADDED" || value === "MODIFIED" || value === "DELETED") return value;
  throw new StoreError("StoreCorrupt", `Expected a type of change, found ${JSON.stringify(value)}`);
}
