/** A bundle as an executable, with the Deno runtime beside it. */
import { join } from "node:path";
import type { Program } from "./program.ts";

/** Name of the runtime in the output folder. */
export const runtimeName = "deno";

/**
 * Puts the line that starts the runtime before the bundle. It is a shell's line and, to JavaScript, a text and a comment: the
 * kernel cuts a `#!` line after 255 bytes, which paths and permissions would exceed. The runtime is looked for beside the
 * executable first, so that the folder can be moved as a whole. DENO_DIR leads nowhere: caches stay in memory.
 */
export async function wrapBundle(
  program: Program,
  bundle: string,
  work: string,
  out: string,
): Promise<string> {
  const options = ["--quiet", "--ext=js", "--cached-only", "--no-config", "--no-lock"];
  const line = [
    `':' //; d="\${0%/*}"; [ -x "$d/${runtimeName}" ] || d=${shellQuoted(out)};`,
    "DENO_DIR=/dev/null/deno DENO_NO_UPDATE_CHECK=1",
    `exec "$d/${runtimeName}" run`,
    ...[...options, "--no-npm", "--no-remote", "--no-prompt", ...program.options],
    '"$0" "$@"',
  ].join(" ");
  const path = join(work, program.name);
  await Deno.writeTextFile(path, `#!/bin/sh\n${line}\n${await Deno.readTextFile(bundle)}`);
  await Deno.chmod(path, 0o755);
  return path;
}

/** Puts the running Deno beside the bundles: a hard link where that can be, else a copy. */
export function installRuntime(out: string, work: string): void {
  const source = Deno.execPath();
  const target = join(out, runtimeName);
  if (sameFile(source, target)) return;
  const made = join(work, runtimeName);
  try {
    Deno.linkSync(source, made);
  } catch {
    Deno.copyFileSync(source, made);
  }
  Deno.chmodSync(made, 0o755);
  Deno.renameSync(made, target);
}

function sameFile(source: string, target: string): boolean {
  try {
    const [a, b] = [Deno.statSync(source), Deno.statSync(target)];
    return a.size === b.size && (a.ino === b.ino || (a.mtime ?? 0) <= (b.mtime ?? 0));
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return false;
    throw thrown;
  }
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
