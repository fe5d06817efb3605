/** Reads what an installation has to know of the host. */
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { parseConfig } from "../config.ts";
import { InstallError } from "./errors.ts";
import type { FoundFile, FrrFacts } from "./frr_plan.ts";
import { layout } from "./layout.ts";
import type { HostFacts } from "./plan.ts";
import { type InstallRecord, parseRecord } from "./record.ts";

/** Largest configuration that is read, in bytes; a larger file is nobody's. */
const largest = 1 << 20;

/**
 * Reads all facts that stand in files.
 *
 * @param root What stands before each path
 * @throws {InstallError} `RecordDamaged`, or `ReadFailed` when a file is there and cannot be read
 * @throws {ConfigError | IniError} When the server.ini that is there cannot be used
 */
export async function readFacts(
  root: string,
): Promise<Omit<HostFacts, "kernelBackend" | "frrEnabled">> {
  const serverIni = await readText(root + layout.serverIni);
  const config = parseConfig(serverIni ?? "");
  return {
    record: await readRecord(root),
    serverIni,
    frr: await readFrr(root),
    conflists: await readConflists(root + config.default.cni_config_dir),
  };
}

/** The record of an earlier installation. @throws {InstallError} `RecordDamaged`, `ReadFailed` */
export async function readRecord(root: string): Promise<InstallRecord | undefined> {
  const path = root + layout.record;
  const text = await readText(path);
  return text === undefined ? undefined : parseRecord(text, path);
}

/** FRR's files; undefined where it is not installed. @throws {InstallError} `ReadFailed` */
export async function readFrr(root: string): Promise<FrrFacts | undefined> {
  const file = (name: string) => readFound(join(root + layout.frr, name));
  const daemons = await file("daemons");
  if (daemons === undefined) return undefined;
  return { daemons, vtyshConf: await file("vtysh.conf"), conf: await file("frr.conf") };
}

/** The runtime's CNI configurations, by name. @throws {InstallError} `ReadFailed` */
export async function readConflists(directory: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const name of await namesIn(directory)) {
    if (!/\.(conflist|conf|json)$/.test(name)) continue;
    found.set(name, await readText(join(directory, name)) ?? "");
  }
  return found;
}

/** A file's text; undefined where there is none. @throws {InstallError} `ReadFailed` */
export async function readText(path: string): Promise<string | undefined> {
  return (await readFound(path))?.text;
}

async function readFound(path: string): Promise<FoundFile | undefined> {
  try {
    const { isFile, size, mode, uid, gid } = await Deno.stat(path);
    if (!isFile || size > largest) throw new Error("another kind of file");
    const owner = { uid: uid ?? 0, gid: gid ?? 0 };
    return { text: await Deno.readTextFile(path), mode: (mode ?? 0) & 0o7777, owner };
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw unreadable(path, cause);
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    const names: string[] = [];
    for await (const { name, isDirectory } of Deno.readDir(directory)) {
      if (!isDirectory) names.push(name);
    }
    return names;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return [];
    throw unreadable(directory, cause);
  }
}

function unreadable(path: string, cause: unknown): InstallError {
  return new InstallError(
    "ReadFailed",
    `Expected to read "${path}", found "${messageOf(cause)}"; run it as root, or move it away`,
    { cause },
  );
}
