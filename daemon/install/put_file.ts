/** Writes files whole or not at all, also over programs that run at that moment. */
import { basename, dirname, join } from "node:path";
import { CodedError, messageOf } from "../../lib/errors.ts";
import { InstallError } from "./errors.ts";

/** A file as it shall be. */
export interface FileWish {
  /** Its path. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** User and group; those of the running process when absent. */
  readonly owner?: Owner | undefined;
  /** Its content, or the file that has the same. */
  readonly content: string | Uint8Array<ArrayBuffer> | { readonly copyOf: string };
  /** Judges the finished draft before it takes the place; throws when it is no good. */
  readonly verify?: ((draft: string) => Promise<void>) | undefined;
}

/** User and group of a file, by number. */
export interface Owner {
  /** User. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
}

const chunkBytes = 1 << 20;

/** Whether there is no such file, or another one. A link is another one, whatever it leads to. */
export async function fileDiffers(wish: FileWish): Promise<boolean> {
  const found = await Deno.lstat(wish.path).catch(ignoreAbsence);
  if (found === undefined || !found.isFile) return true;
  if (((found.mode ?? 0) & 0o7777) !== wish.mode) return true;
  const { owner, content } = wish;
  if (owner !== undefined && (found.uid !== owner.uid || found.gid !== owner.gid)) return true;
  if (typeof content === "object" && "copyOf" in content) {
    return !await sameContent(content.copyOf, wish.path);
  }
  const wanted = typeof content === "string" ? new TextEncoder().encode(content) : content;
  if (found.size !== wanted.length) return true;
  const bytes = await Deno.readFile(wish.path);
  return bytes.some((byte, at) => byte !== wanted[at]);
}

/**
 * Makes the file as it shall be, in one step: a draft beside it is written, brought to the disk, judged, and renamed over it. Who
 * opens or executes the path at any time gets the old file or the new one; a program that runs goes on with the old one.
 * Drafts that a killed run left are removed.
 *
 * @throws {InstallError} `DirectoryUnusable` when the folder is missing or cannot be written, `WriteFailed` otherwise
 * @throws {CodedError} What `verify` throws
 */
export async function putFile(wish: FileWish): Promise<void> {
  const directory = dirname(wish.path);
  await removeDrafts(wish.path, staleMs);
  const draft = join(directory, `${draftPrefix(wish.path)}${crypto.randomUUID()}`);
  try {
    await writeDraft(draft, wish);
    await wish.verify?.(draft);
    await Deno.rename(draft, wish.path);
    await syncDirectory(directory);
  } catch (thrown) {
    await Deno.remove(draft).catch(ignoreAbsence);
    throw typed(thrown, wish.path);
  }
}

async function writeDraft(draft: string, { mode, owner, content }: FileWish): Promise<void> {
  // Closed to others until it is complete: what it holds may be a secret.
  using file = await Deno.open(draft, { createNew: true, write: true, mode: 0o600 });
  if (typeof content === "object" && "copyOf" in content) {
    using source = await openSource(content.copyOf);
    const buffer = new Uint8Array(chunkBytes);
    for (let n = await source.read(buffer); n !== null; n = await source.read(buffer)) {
      await writeAll(file, buffer.subarray(0, n));
    }
  } else {
    await writeAll(file, typeof content === "string" ? new TextEncoder().encode(content) : content);
  }
  if (owner !== undefined) await Deno.chown(draft, owner.uid, owner.gid);
  await Deno.chmod(draft, mode);
  // Otherwise a power cut after the rename could leave the name with an empty file.
  await file.sync();
}

async function openSource(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (cause) {
    throw new InstallError(
      "ProgramsMissing",
      `Expected to read "${path}", found "${messageOf(cause)}"`,
      { cause },
    );
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/**
 * Removes drafts of the file that killed runs left.
 *
 * @param olderThan Milliseconds; a younger one may be that of a run under way
 */
export async function removeDrafts(path: string, olderThan: number): Promise<void> {
  const directory = dirname(path);
  const newest = Date.now() - olderThan;
  try {
    for await (const { name } of Deno.readDir(directory)) {
      if (!name.startsWith(draftPrefix(path))) continue;
      const draft = join(directory, name);
      const found = await Deno.lstat(draft).catch(ignoreAbsence);
      if ((found?.mtime?.getTime() ?? Infinity) > newest) continue;
      await Deno.remove(draft).catch(ignoreAbsence);
    }
  } catch (thrown) {
    throw typed(thrown, path);
  }
}

/** Milliseconds after which a draft that nobody writes to is taken for abandoned. */
const staleMs = 10 * 60_000;

/** Dot first: runtimes and shells pass over such names. */
function draftPrefix(path: string): string {
  return `.${basename(path)}.new-`;
}

async function syncDirectory(path: string): Promise<void> {
  using directory = await Deno.open(path);
  await directory.sync();
}

async function sameContent(one: string, other: string): Promise<boolean> {
  using a = await Deno.open(one);
  using b = await Deno.open(other);
  if ((await a.stat()).size !== (await b.stat()).size) return false;
  const [left, right] = [new Uint8Array(chunkBytes), new Uint8Array(chunkBytes)];
  for (;;) {
    const [n, m] = [await readFull(a, left), await readFull(b, right)];
    if (n !== m) return false;
    if (n === 0) return true;
    for (let at = 0; at < n; at++) if (left[at] !== right[at]) return false;
  }
}

async function readFull(file: Deno.FsFile, buffer: Uint8Array): Promise<number> {
  let at = 0;
  while (at < buffer.length) {
    const n = await file.read(buffer.subarray(at));
    if (n === null) break;
    at += n;
  }
  return at;
}

function typed(thrown: unknown, path: string): CodedError {
  if (thrown instanceof CodedError) return thrown;
  const directory = dirname(path);
  if (thrown instanceof Deno.errors.NotFound || thrown instanceof Deno.errors.NotADirectory) {
    return new InstallError(
      "DirectoryUnusable",
      `Expected the directory "${directory}" for "${
        basename(path)
      }", found none; create or mount it`,
      { cause: thrown },
    );
  }
  if (isReadOnly(thrown) || thrown instanceof Deno.errors.PermissionDenied) {
    return new InstallError(
      "DirectoryUnusable",
      `Expected to write in the directory "${directory}", found "${
        messageOf(thrown)
      }"; run it as root and mount the directory writable`,
      { cause: thrown },
    );
  }
  return new InstallError(
    "WriteFailed",
    `Expected to write "${path}", found "${
      messageOf(thrown)
    }"; what stood there before is unchanged`,
    { cause: thrown },
  );
}

/** Deno has no class for EROFS. */
function isReadOnly(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === "EROFS";
}

function ignoreAbsence(thrown: unknown): undefined {
  if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
}
