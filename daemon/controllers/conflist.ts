/**
 * The node's CNI configuration lists in the runtime's folder.
 *
 * A list that this project wrote carries a marker of its own beside the keys of the CNI specification, which runtimes pass over.
 * The mark is in the file, not in a record elsewhere: the daemon's own folder is emptied by a reboot, the runtime's is not, and a
 * file that somebody has replaced by another is no longer ours.
 */
import { join } from "node:path";
import { CodedError } from "../../lib/errors.ts";
import type { CNIConfigSpec } from "../resources/cni_config.ts";

/** The key of the marker, and its value. */
const marker = { key: "cni.pyroute2.org/managed-by", value: "pyroute2-cni" } as const;

/**
 * The network's name in each list: attachments are known by it, so that a pod of one CNIConfig can be deleted after another has
 * become active.
 */
export const networkName = "pyroute2";

const temporary = /^\.pyroute2-[0-9a-f-]{36}\.tmp$/;
/** No list is larger, in bytes; a larger file is somebody else's. */
const largest = 1_048_576;

/** A file could not be written: `FileTaken` when it is somebody else's, `FileNameInvalid` when it would not be in the folder. */
export class ConflistError extends CodedError {
  /**
   * Makes the error.
   *
   * @param code Stable identifier
   * @param message What was expected, what was found and what to do
   */
  constructor(code: "FileTaken" | "FileNameInvalid", message: string) {
    super(code, message);
  }
}

/** Whether a name is that of a list in the runtime's folder: no path leads out of it, whoever let the name pass. */
export function isConflistName(fileName: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/.test(fileName) && fileName.endsWith(".conflist");
}

/** The text of a CNIConfig's file. Version 1.0.0 is what all present runtimes read. */
export function renderConflist({ plugins }: Pick<CNIConfigSpec, "plugins">): string {
  const list = {
    cniVersion: "1.0.0",
    name: networkName,
    [marker.key]: marker.value,
    plugins,
  };
  return `${JSON.stringify(list, undefined, 2)}\n`;
}

/**
 * Makes `fileName` the only list of ours in a folder: written in one step with mode 0644 where it differs, then the others that
 * carry the marker are removed. Files without it are never touched.
 *
 * @param directory The runtime's folder; made when it is absent
 * @param fileName Name of the file, without a path
 * @param text Its content
 * @returns Whether anything was changed
 * @throws {ConflistError} `FileTaken` when a file of that name is somebody else's, `FileNameInvalid`
 */
export async function keepConflist(
  directory: string,
  fileName: string,
  text: string,
): Promise<boolean> {
  if (!isConflistName(fileName)) {
    throw new ConflistError(
      "FileNameInvalid",
      `Expected the name of a list without a path, found ${JSON.stringify(fileName)}`,
    );
  }
  await Deno.mkdir(directory, { recursive: true, mode: 0o755 });
  const path = join(directory, fileName);
  const written = await replace(directory, path, text);
  return await removeOthers(directory, fileName) || written;
}

/**
 * Removes all lists of ours from a folder.
 *
 * @param directory The runtime's folder; may be absent
 * @returns Whether there were any
 */
export function removeConflists(directory: string): Promise<boolean> {
  return removeOthers(directory, undefined);
}

async function replace(directory: string, path: string, text: string): Promise<boolean> {
  const found = await Deno.lstat(path).catch(ignoreAbsence);
  if (found !== undefined) {
    const content = found.isFile && found.size <= largest ? await Deno.readTextFile(path) : "";
    if (!isManagedConflist(content)) {
      throw new ConflistError(
        "FileTaken",
        `Expected no file "${path}" or one that this daemon wrote, found another's; move it away or choose another "fileName"`,
      );
    }
    if (content === text && ((found.mode ?? 0) & 0o777) === 0o644) return false;
  }
  const draft = join(directory, `.pyroute2-${crypto.randomUUID()}.tmp`);
  try {
    await Deno.writeTextFile(draft, text, { createNew: true, mode: 0o600 });
    using file = await Deno.open(draft, { write: true });
    await file.sync();
    await Deno.chmod(draft, 0o644);
    await Deno.rename(draft, path);
  } catch (error) {
    await Deno.remove(draft).catch(ignoreAbsence);
    throw error;
  }
  return true;
}

async function removeOthers(directory: string, kept: string | undefined): Promise<boolean> {
  let removed = false;
  for (const name of await namesIn(directory)) {
    const path = join(directory, name);
    const ours = temporary.test(name) ||
      name.endsWith(".conflist") && name !== kept && await isOurs(path);
    if (!ours) continue;
    await Deno.remove(path).catch(ignoreAbsence);
    removed = true;
  }
  return removed;
}

async function namesIn(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isFile } of Deno.readDir(directory)) if (isFile) names.push(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names;
}

async function isOurs(path: string): Promise<boolean> {
  const found = await Deno.lstat(path).catch(ignoreAbsence);
  if (found === undefined || !found.isFile || found.size > largest) return false;
  return isManagedConflist(await Deno.readTextFile(path).catch(ignoreAbsence) ?? "");
}

/** Whether a list of this text is one that the daemon wrote. */
export function isManagedConflist(text: string): boolean {
  try {
    const list: unknown = JSON.parse(text);
    return typeof list === "object" && list !== null &&
      Object.entries(list).some(([key, value]) => key === marker.key && value === marker.value);
  } catch {
    return false;
  }
}

function ignoreAbsence(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
