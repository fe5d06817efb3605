/** What this node has given away, kept where a crash of the daemon cannot lose it and a reboot does. */
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { CodedError, messageOf } from "../../lib/errors.ts";
import { IpamError } from "./errors.ts";
import {
  type BlockRecord,
  columnsOf,
  type KeptRecord,
  parseAttachmentRow,
  parseBlockRow,
  parseKeptRow,
} from "./journal_rows.ts";
import { indexes, migrations, schema, schemaVersion } from "./journal_schema.ts";
import type { Attachment, AttachmentKey } from "./port.ts";

/** Where the journal lies unless the configuration says otherwise: a tmpfs, so that a reboot empties it. */
export const defaultJournalPath = "/run/pyroute2/journal.db";

/** Columns of an attachment that change after the insertion. */
export type AttachmentChange = Partial<
  Pick<Attachment, "state" | "mac" | "netnsPath" | "namespace" | "pod" | "podUid">
>;

/**
 * Durable rows of attachments and blocks. Each write is on disk when the call returns. Each method throws
 * {@linkcode IpamError} `JournalUnavailable` or `JournalCorrupt`.
 */
export interface AttachmentStore extends Disposable {
  /** Adds a row with all its addresses. Throws when the key or one of the VRF's addresses has one already. */
  insert(row: Attachment): void;
  /** Changes a row. False when there is none. */
  update(key: AttachmentKey, change: AttachmentChange): boolean;
  /** Forgets a row. False when there is none. */
  delete(key: AttachmentKey): boolean;
  /** The row of a key. */
  find(key: AttachmentKey): Attachment | undefined;
  /** The rows of a container: one for each interface. */
  ofContainer(containerId: string): readonly Attachment[];
  /** All rows. */
  list(): readonly Attachment[];
  /** The number of rows of each VRF that has any. */
  countByVrf(): ReadonlyMap<number, number>;
  /** Adds or replaces a block. */
  saveBlock(block: BlockRecord): void;
  /** Forgets a block. */
  deleteBlock(name: string): void;
  /** All blocks. */
  blocks(): readonly BlockRecord[];
  /** Adds or replaces an address that is kept. */
  saveKept(kept: KeptRecord): void;
  /** Keeps an address no longer. */
  deleteKept(vrf: number, address: string): void;
  /** All addresses that are kept. */
  kept(): readonly KeptRecord[];
}

/** How a journal is opened. */
export interface OpenOptions {
  /**
   * Whether a file that is no journal, is damaged or is of a later version is moved aside (`.corrupt-<time>` is added
   * to its name) and a new one begun. Attachments are forgotten then, though their pods still run.
   */
  readonly recover?: boolean;
  /** Milliseconds since 1970, for the name of a file moved aside. */
  readonly now?: () => number;
  /** Called after the file was found deleted and written anew. */
  readonly rewritten?: () => void;
}

/**
 * Opens the journal, making it (0600) and its directory (0700) when they are missing. The file is locked: a second
 * daemon on the same journal is refused. A journal of an earlier version is brought to the present one, in one transaction.
 *
 * @param path The file, or `:memory:` for a journal that nothing outlives
 * @throws {IpamError} `JournalCorrupt` if the content is not a sound journal of a known version and `recover` is not set
 * @throws {IpamError} `JournalUnavailable` if it cannot be made, is locked by another process or cannot be read
 */
export function openJournal(
  path: string = defaultJournalPath,
  options: OpenOptions = {},
): { journal: AttachmentStore; recovered: boolean } {
  try {
    return { journal: open(path, options.rewritten), recovered: false };
  } catch (error) {
    const corrupt = error instanceof IpamError && error.code === "JournalCorrupt";
    if (!corrupt || options.recover !== true) throw error;
    const suffix = `.corrupt-${(options.now ?? Date.now)()}`;
    for (const part of ["", "-wal", "-shm"]) moveAside(path + part, path + suffix + part);
    return { journal: open(path, options.rewritten), recovered: true };
  }
}

function open(path: string, rewritten?: () => void): AttachmentStore {
  const inMemory = path === ":memory:";
  const database = openDatabase(path);
  return new SqliteStore(database, path, inMemory ? undefined : fileIdentity(path), rewritten);
}

function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    if (path !== ":memory:") prepareFile(path);
    database = new DatabaseSync(path);
    database.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
    );
    checkSoundness(database, path);
    database.exec(indexes);
    return database;
  } catch (error) {
    try {
      database?.close();
    } catch { /* The first error is the one that tells. */ }
    throw typed(error, path);
  }
}

function prepareFile(path: string): void {
  // A directory that exists keeps its mode: it may be shared, and the file itself is closed to others.
  Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // SQLite gives its -wal file the mode of the database.
  Deno.openSync(path, { create: true, write: true, mode: 0o600 }).close();
  Deno.chmodSync(path, 0o600);
}

function checkSoundness(database: DatabaseSync, path: string): void {
  const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"] ?? -1);
  const tables = Number(
    database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"] ?? 0,
  );
  if (version === 0 && tables === 0) {
    database.exec(`BEGIN; ${schema} COMMIT;`);
    return;
  }
  const steps = migrations.slice(version - 1);
  if (version < 1 || version > schemaVersion) {
    throw corrupt(path, `schema version "${version}" instead of "${schemaVersion}"`);
  }
  const verdict = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
  if (verdict !== "ok") throw corrupt(path, String(verdict));
  if (steps.length > 0) {
    database.exec(`BEGIN; ${steps.join("")} PRAGMA user_version = ${schemaVersion}; COMMIT;`);
  }
}

function fileIdentity(path: string): string {
  const info = Deno.statSync(path);
  return `${info.dev}:${info.ino}`;
}

function moveAside(from: string, to: string): void {
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw typed(error, from);
  }
}

/** Copies a database, whose file need not have a name any more, to a new file in one piece. */
function copyTo(path: string, database: DatabaseSync): void {
  const copy = `${path}.new`;
  Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  removeFile(copy);
  database.prepare("VACUUM INTO ?").run(copy);
  using file = Deno.openSync(copy, { read: true, write: true });
  Deno.chmodSync(copy, 0o600);
  file.syncSync();
}

function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

class SqliteStore implements AttachmentStore {
  #database: DatabaseSync;
  readonly #path: string;
  /** Device and inode when the file was opened; none for a journal in memory. */
  #identity: string | undefined;
  readonly #rewritten: (() => void) | undefined;
  readonly #statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();

  constructor(
    database: DatabaseSync,
    path: string,
    identity: string | undefined,
    rewritten: (() => void) | undefined,
  ) {
    this.#database = database;
    this.#path = path;
    this.#identity = identity;
    this.#rewritten = rewritten;
  }

  insert(row: Attachment): void {
    const columns = Object.entries(columnsOf(row));
    this.#write(
      `INSERT INTO attachments (${columns.map(([name]) => name).join(", ")}) ` +
        `VALUES (${columns.map(() => "?").join(", ")})`,
      ...columns.map(([, value]) => value),
    );
  }

  update(key: AttachmentKey, change: AttachmentChange): boolean {
    return this.#write(
      "UPDATE attachments SET state = coalesce(?, state), mac = coalesce(?, mac), " +
        "netns_path = coalesce(?, netns_path), namespace = coalesce(?, namespace), pod = coalesce(?, pod), " +
        "pod_uid = coalesce(?, pod_uid) WHERE network = ? AND container_id = ? AND ifname = ?",
      ...[change.state ?? null, change.mac ?? null, change.netnsPath ?? null],
      ...[change.namespace ?? null, change.pod ?? null, change.podUid ?? null],
      ...[key.network, key.containerId, key.ifname],
    ) > 0;
  }

  delete(key: AttachmentKey): boolean {
    return this.#write(
      "DELETE FROM attachments WHERE network = ? AND container_id = ? AND ifname = ?",
      ...[key.network, key.containerId, key.ifname],
    ) > 0;
  }

  find(key: AttachmentKey): Attachment | undefined {
    const row = this.#read(
      "SELECT * FROM attachments WHERE network = ? AND container_id = ? AND ifname = ?",
      ...[key.network, key.containerId, key.ifname],
    )[0];
    return row && parseAttachmentRow(row);
  }

  ofContainer(containerId: string): readonly Attachment[] {
    return this.#read("SELECT * FROM attachments WHERE container_id = ?", containerId)
      .map(parseAttachmentRow);
  }

  list(): readonly Attachment[] {
    return this.#read("SELECT * FROM attachments").map(parseAttachmentRow);
  }

  countByVrf(): ReadonlyMap<number, number> {
    const rows = this.#read("SELECT vrf, count(*) AS count FROM attachments GROUP BY vrf");
    return new Map(rows.map(({ vrf, count }) => [Number(vrf), Number(count)]));
  }

  saveBlock(block: BlockRecord): void {
    this.#write(
      "INSERT OR REPLACE INTO blocks (name, vrf, cidr, uid, releasing) VALUES (?, ?, ?, ?, ?)",
      ...[block.name, block.vrf, block.cidr, block.uid, block.releasing ? 1 : 0],
    );
  }

  deleteBlock(name: string): void {
    this.#write("DELETE FROM blocks WHERE name = ?", name);
  }

  blocks(): readonly BlockRecord[] {
    return this.#read("SELECT * FROM blocks").map(parseBlockRow);
  }

  saveKept({ vrf, address, pod, ifname, seconds, until }: KeptRecord): void {
    this.#write(
      "INSERT OR REPLACE INTO kept (vrf, address, pod, ifname, seconds, until) VALUES (?, ?, ?, ?, ?, ?)",
      ...[vrf, address, pod, ifname, seconds, until ?? null],
    );
  }

  deleteKept(vrf: number, address: string): void {
    this.#write("DELETE FROM kept WHERE vrf = ? AND address = ?", vrf, address);
  }

  kept(): readonly KeptRecord[] {
    return this.#read("SELECT * FROM kept").map(parseKeptRow);
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    this.#database.close();
  }

  #read(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    try {
      return this.#prepared(sql).all(...values);
    } catch (error) {
      throw typed(error, this.#path);
    }
  }

  #write(sql: string, ...values: SQLInputValue[]): number {
    try {
      this.#checkFile();
      return Number(this.#prepared(sql).run(...values).changes);
    } catch (error) {
      throw typed(error, this.#path);
    }
  }

  #prepared(sql: string): ReturnType<DatabaseSync["prepare"]> {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /** SQLite would go on writing to a file that no longer has a name, and the next start would find nothing. */
  #checkFile(): void {
    if (this.#identity === undefined) return;
    try {
      if (fileIdentity(this.#path) === this.#identity) return;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return this.#rewrite();
    }
    throw unavailable(this.#path, "the file was replaced by another");
  }

  /** Gives the journal its file again: what SQLite has open is whole, though it has no name. */
  #rewrite(): void {
    copyTo(this.#path, this.#database);
    this.#statements.clear();
    this.#database.close();
    // What the deleted file had beside it must not be taken for the new one's.
    for (const part of ["-wal", "-shm"]) removeFile(this.#path + part);
    Deno.renameSync(`${this.#path}.new`, this.#path);
    this.#database = openDatabase(this.#path);
    this.#identity = fileIdentity(this.#path);
    this.#rewritten?.();
  }
}

/** Node's errors of SQLite carry no result code under Deno, so damage is told by SQLite's own texts. */
function typed(error: unknown, path: string): CodedError {
  if (error instanceof CodedError) return error;
  const message = messageOf(error);
  if (/not a database|malformed|unsupported file format/.test(message)) {
    return corrupt(path, message, error);
  }
  return unavailable(path, message, error);
}

function corrupt(path: string, found: string, cause?: unknown): IpamError {
  return new IpamError(
    "JournalCorrupt",
    `Expected a sound journal in "${path}", found "${found}"; move it aside and start the daemon again`,
    { cause },
  );
}

function unavailable(path: string, found: string, cause?: unknown): IpamError {
  return new IpamError(
    "JournalUnavailable",
    `Expected to use the journal "${path}", found "${found}"; check the directory and restart the daemon`,
    { cause },
  );
}
