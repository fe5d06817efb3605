/** Removes an installation's files, and puts back FRR's. */
import { dirname, join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { applyFiles, type Change, exists } from "./changes.ts";
import { InstallError } from "./errors.ts";
import { readFrr } from "./facts.ts";
import { planFrrRestoration } from "./frr_plan.ts";
import { runtimeName } from "./launcher.ts";
import { layout } from "./layout.ts";
import { removeDrafts } from "./put_file.ts";
import type { FrrRecord } from "./record.ts";
import type { RemovalPlan } from "./removal_plan.ts";

/** Where paths are removed, and who is told. */
export interface RemoveOptions {
  /** What stands before each path. */
  readonly root: string;
  /** Tell only what would be done. */
  readonly dryRun: boolean;
  /** Takes what is done. */
  readonly changes: Change[];
}

/** What all files are removed by. */
export interface RemoveFilesOptions extends RemoveOptions {
  /** Which files. */
  readonly plan: RemovalPlan;
  /** What was changed of FRR's. */
  readonly record: FrrRecord | undefined;
  /** Whether data stays on purpose. */
  readonly keepData: boolean;
  /** Takes what a person should know. */
  readonly notes: string[];
}

/**
 * Removes the plan's files but its conflists, and puts FRR's back. Idempotent.
 *
 * @throws {InstallError} `WriteFailed`
 */
export async function removeFiles(options: RemoveFilesOptions): Promise<void> {
  const { root, dryRun, changes, notes, plan } = options;
  const frr = planFrrRestoration(await readFrr(root), options.record);
  const files = frr.files.map((file) => ({ ...file, path: root + file.path }));
  changes.push(...await applyFiles(files, { dryRun }));
  notes.push(...frr.notes);
  await removePaths([...frr.removals, ...plan.files, ...await found(options)], options);
  for (const tree of plan.trees) await removeTree(root + tree, options);
  await removePaths([plan.record], options);
  for (const directory of plan.directories) await removeIfEmpty(root + directory, options);
}

/** Removes what is there of the paths, with drafts of it that killed runs left. @throws {InstallError} `WriteFailed` */
export async function removePaths(
  paths: readonly string[],
  { root, dryRun, changes }: RemoveOptions,
): Promise<void> {
  for (const path of paths.map((each) => root + each)) {
    if (!dryRun && await exists(dirname(path))) await removeDrafts(path, 0);
    if (!await exists(path)) continue;
    if (!dryRun) await attempt(path, () => Deno.remove(path));
    changes.push({ action: "remove", what: path });
  }
}

async function removeTree(path: string, { dryRun, changes }: RemoveOptions): Promise<void> {
  if (!await exists(path)) return;
  if (!dryRun) await attempt(path, () => Deno.remove(path, { recursive: true }));
  changes.push({ action: "remove", what: path });
}

/** A folder that holds something of others stays, and is told of when it is this project's. */
async function removeIfEmpty(
  path: string,
  { dryRun, changes, notes, keepData }: RemoveFilesOptions,
): Promise<void> {
  const names = namesIn(path);
  if (names === undefined) return;
  if (names.length === 0) {
    if (!dryRun) await attempt(path, () => Deno.remove(path));
    changes.push({ action: "remove", what: path });
  } else if (!dryRun && !keepData && path.includes("pyroute2")) {
    notes.push(`"${path}" is kept, since it holds ${names.map((name) => `"${name}"`).join(", ")}`);
  }
}

/** Files that only a look finds: journals that were moved aside, and the link to the runtime of an installation by hand. */
async function found({ root, plan }: RemoveFilesOptions): Promise<string[]> {
  const paths = (namesIn(root + plan.stateDir) ?? [])
    .filter((name) => name.startsWith("journal.db.corrupt-"))
    .map((name) => join(plan.stateDir, name));
  const link = join(layout.plugins, runtimeName);
  const target = await Deno.readLink(root + link).catch(() => undefined);
  return target === join(layout.programs, runtimeName) ? [...paths, link] : paths;
}

function namesIn(directory: string): string[] | undefined {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound || thrown instanceof Deno.errors.NotADirectory) {
      return undefined;
    }
    throw thrown;
  }
}

async function attempt(path: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return;
    throw new InstallError(
      "WriteFailed",
      `Expected to remove "${path}", found "${messageOf(cause)}"; mend it and run this again`,
      { cause },
    );
  }
}
