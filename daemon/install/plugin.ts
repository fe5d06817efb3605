/** Puts the plugin into a node's folder of CNI executables, as the DaemonSet's init container does. */
import { applyFiles, type Change } from "./changes.ts";
import { InstallError } from "./errors.ts";
import { findProgram, pluginName, programFile, runtimeFile } from "./programs.ts";

/** What to put where. */
export interface PluginInstallOptions {
  /** Folder with the program, and with the runtime where it is a bundle. */
  readonly from: string;
  /** The node's folder, such as `/host/opt/cni/bin`. It must exist: an absent one is a mount that was forgotten. */
  readonly directory: string;
  /** Tell only what would be done. */
  readonly dryRun: boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Replaces the plugin in one step; the runtime, where it needs one, stands before it. An executable that does not answer never
 * takes the place of one that does.
 *
 * @returns What was changed
 * @throws {InstallError} `ProgramsMissing`, `ProgramBroken`, `DirectoryUnusable`, `WriteFailed`
 */
export async function installPlugin(options: PluginInstallOptions): Promise<readonly Change[]> {
  const { from, directory, signal } = options;
  await requireDirectory(directory);
  const plugin = await findProgram(from, pluginName);
  const place = { directory, runtimeDir: directory, runnable: true };
  const files = [...runtimeFile([plugin], directory), await programFile(plugin, place, signal)];
  return await applyFiles(files, options);
}

async function requireDirectory(path: string): Promise<void> {
  const found = await Deno.stat(path).catch((thrown: unknown) => {
    if (thrown instanceof Deno.errors.NotFound) return undefined;
    throw thrown;
  });
  if (found?.isDirectory === true) return;
  throw new InstallError(
    "DirectoryUnusable",
    `Expected the node's directory of CNI executables at "${path}", found ${
      found === undefined ? "none" : "another file"
    }; create or mount it`,
  );
}
