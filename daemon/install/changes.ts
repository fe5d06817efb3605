/** Files and folders that shall be, compared with those that are, and changed where they differ. */
import { dirname } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { InstallError } from "./errors.ts";
import { fileDiffers, type FileWish, putFile } from "./put_file.ts";

/** Something that was, or would be, changed. */
export interface Change {
  /** What is done. */
  readonly action: "create" | "replace" | "remove" | "enable" | "start" | "restart" | "stop";
  /** A path, or the name of a service. */
  readonly what: string;
}

/** How changes are made. */
export interface ApplyOptions {
  /** Tell only what would be done. */
  readonly dryRun: boolean;
}

/**
 * Writes the files that differ, in the order given.
 *
 * @returns What was changed, or would be
 * @throws {InstallError} When one cannot be written; those before it are
 */
export async function applyFiles(
  files: readonly FileWish[],
  { dryRun }: ApplyOptions,
): Promise<readonly Change[]> {
  const changes: Change[] = [];
  for (const file of files) {
    if (!await fileDiffers(file)) continue;
    const action = await exists(file.path) ? "replace" : "create";
    if (!dryRun) await putFile(file);
    changes.push({ action, what: file.path });
  }
  return changes;
}

/**
 * Makes a folder with its parents.
 *
 * @param mode Permission bits of the folder; parents get 0755
 * @returns The folders that were missing, parents first
 * @throws {InstallError} `DirectoryUnusable`
 */
export async function makeDirectory(
  path: string,
  mode: number,
  { dryRun }: ApplyOptions,
): Promise<readonly string[]> {
  const missing: string[] = [];
  for (let at = path; !await exists(at); at = dirname(at)) missing.unshift(at);
  if (dryRun) return missing;
  try {
    for (const each of missing) {
      await Deno.mkdir(each);
      await Deno.chmod(each, each === path ? mode : 0o755);
    }
    if (!(await Deno.stat(path)).isDirectory) throw new Error("another kind of file");
    return missing;
  } catch (cause) {
    throw new InstallError(
      "DirectoryUnusable",
      `Expected to have the directory "${path}", found "${messageOf(cause)}"; run it as root`,
      { cause },
    );
  }
}

/**
 * Gives a folder its mode, where it has another one.
 *
 * @returns Whether it had
 * @throws {InstallError} `DirectoryUnusable`
 */
export async function keepMode(
  path: string,
  mode: number,
  { dryRun }: ApplyOptions,
): Promise<boolean> {
  const found = await Deno.stat(path).catch(() => undefined);
  if (found === undefined || ((found.mode ?? 0) & 0o7777) === mode) return false;
  if (dryRun) return true;
  try {
    await Deno.chmod(path, mode);
    return true;
  } catch (cause) {
    throw new InstallError(
      "DirectoryUnusable",
      `Expected to set the mode of "${path}", found "${messageOf(cause)}"; run it as root`,
      { cause },
    );
  }
}

/** Whether anything stands at the path, a link that leads nowhere too. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return false;
    throw thrown;
  }
}
