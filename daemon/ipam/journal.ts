/** What this node has given away, kept where a crash of the daemon cannot lose it and a reboot does. */
import { dirname } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { CodedError, messageOf } from "../../lib/errors.ts";
import { IpamError } from "./errors.ts";
import { type BlockRecord, parseAttachmentRow, parseBlockRow } from "./journal_rows.ts";
import type { Attachment, AttachmentKey } from "./port.ts";

/** Where the journal lies unless the configuration says otherwise: a tmpfs, so that a reboot empties it. */
export const defaultJournalPath = "/run/pyroute2/journal.db";

/** Layout of the tables; a journal of another version is not read, for its addresses might be misunderstood. */
const schemaVersion = 1;

const schema = `
  CREATE TABLE attachments (
    network TEXT NOT NULL, container_id TEXT NOT NULL, ifname TEXT NOT NULL,
    namespace TEXT NOT NULL, pod TEXT NOT NULL, pod_uid TEXT NOT NULL,
    domain TEXT NOT NULL, vrf INTEGER NOT NULL,
    address TEXT NOT NULL, prefix_length INTEGER NOT NULL, gateway TEXT NOT NULL, block TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'attached', 'releasing')),
    host_ifname TEXT NOT NULL, mac TEXT NOT NULL, netns_path TEXT NOT NULL, created_at INTEGER NOT NULL,
    PRIMARY KEY (network, container_id, ifname),
    UNIQUE (vrf, address)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE blocks (
    name TEXT PRIMARY KEY, vrf INTEGER NOT NULL, cidr TEXT NOT NULL, uid TEXT NOT NULL,
    releasing INTEGER NOT NULL CHECK (releasing IN (0, 1))
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${schemaVersion};
`;

/** Columns of an attachment that change after the insertion. */
export type AttachmentChange = Partial<
  Pick<Attachment, "state" | "mac" | "netnsPath" | "namespace" | "pod" | "podUid">
>;

/**
 * Durable rows of attachments and blocks. Each write is on disk when the call returns. Each method throws
 * {@linkcode IpamError} `JournalUnavailable` or `JournalCorrupt`.
 */
export interface AttachmentStore extends Disposable {
  /** Adds a row. Throws when the key or the VRF's address has one already. */
  insert(row: Attachment): void;
  /** Changes a row. False when there is none. */
  update(key: AttachmentKey, change: AttachmentChange): boolean;
  /** Forgets a row. False when there is none. */
  delete(key: AttachmentKey): boolean;
  /** The row of a key. */
  find(key: AttachmentKey): Attachment | undefined;
  /** All rows. */
  list(): readonly Attachment[];
  /** Adds or replaces a block. */
  saveBlock(block: BlockRecord): void;
  /** Forgets a block. */
  deleteBlock(name: string): void;
  /** All blocks. */
  blocks(): readonly BlockRecord[];
}

/** How a journal is opened. */
export interface OpenOptions {
  /**
   * Whether a file that is no journal, is damaged or is of another version is moved aside (`.corrupt-<time>` is added
   * to its name) and a new one begun. Attachments are forgotten then, though their pods still run.
   */
  readonly recover?: boolean;
  /** Milliseconds since 1970, for the name of a file moved aside. */
  readonly now?: () => number;
}

/**
 * Opens the journal, making it (0600) and its directory (0700) when they are missing. The file is locked: a second
 * daemon on the same journal is refused.
 *
 * @param path The file, or `:memory:` for a journal that nothing outlives
 * @throws {IpamError} `JournalCorrupt` if the content is not a sound journal of this version and `recover` is not set
 * @throws {IpamError} `JournalUnavailable` if it cannot be made, is locked by another process or cannot be read
 */
export function openJournal(
  path: string = defaultJournalPath,
  options: OpenOptions = {},
): { journal: AttachmentStore; recovered: boolean } {
  try {
    return { journal: open(path), recovered: false };
  } catch (error) {
    const corrupt = error instanceof IpamError && error.code === "JournalCorrupt";
    if (!corrupt || options.recover !== true) throw error;
    const suffix = `.corrupt-${(options.now ?? Date.now)()}`;
    for (const part of ["", "-wal", "-shm"]) moveAside(path + part, path + suffix + part);
    return { journal: open(path), recovered: true };
  }
}

function open(path: string): AttachmentStore {
  const inMemory = path === ":memory:";
  let database: DatabaseSync | undefined;
  try {
    if (!inMemory) prepareFile(path);
    database = new DatabaseSync(path);
    database.exec(
      "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
    );
    checkSoundness(database, path);
    return new SqliteStore(database, path, inMemory ? undefined : fileIdentity(path));
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
  if (version !== schemaVersion) {
    throw corrupt(path, `schema version "${version}" instead of "${schemaVersion}"`);
  }
  const verdict = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
  if (verdict !== "ok") throw corrupt(path, String(verdict));
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

class SqliteStore implements AttachmentStore {
  readonly #database: DatabaseSync;
  readonly #path: string;
  /** Device and inode when the file was opened; none for a journal in memory. */
  readonly #identity: string | undefined;
  readonly #statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();

  constructor(database: DatabaseSync, path: string, identity: string | undefined) {
    this.#database = database;
    this.#path = path;
    this.#identity = identity;
  }

  insert(row: Attachment): void {
    this.#write(
      "INSERT INTO attachments (network, container_id, ifname, namespace, pod, pod_uid, domain, vrf, address, " +
        "prefix_length, gateway, block, state, host_ifname, mac, netns_path, created_at) " +
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      ...[row.network, row.containerId, row.ifname, row.namespace, row.pod, row.podUid],
      ...[row.domain, row.vrf, row.address, row.prefixLength, row.gateway, row.block],
      ...[row.state, row.hostIfname, row.mac, row.netnsPath, row.createdAt],
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

  list(): readonly Attachment[] {
    return this.#read("SELECT * FROM attachments").map(parseAttachmentRow);
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
    let found: string;
    try {
      found = fileIdentity(this.#path);
    } catch (cause) {
      throw unavailable(this.#path, "the file was deleted", cause);
    }
    if (found !== this.#identity) throw unavailable(this.#path, "the file was replaced by another");
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
