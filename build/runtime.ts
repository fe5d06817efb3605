/** A bundle as an executable, with the Deno runtime beside it. */
import { join } from "node:path";
import { launcherLines, runtimeName } from "../daemon/install/launcher.ts";
import { root } from "./compile.ts";
import type { Program } from "./program.ts";

/** Puts the lines that start the runtime before the bundle. */
export async function wrapBundle(
  program: Program,
  bundle: string,
  work: string,
  out: string,
): Promise<string> {
  const path = join(work, program.name);
  const text = await Deno.readTextFile(bundle);
  const starter = program.form === "script"
    ? Deno.readTextFileSync(join(root, "build", "script_starter.js"))
    : undefined;
  const head = launcherLines(program.options, out, starter);
  const body = starter === undefined
    ? text
    : `(function (module, exports, require) {${escaped(text)}\n})\n`;
  await Deno.writeTextFile(path, head + body);
  await Deno.chmod(path, 0o755);
  return path;
}

/**
 * A bundle in ASCII: one other character, and V8 keeps the whole text in two bytes a character. In texts and regular expressions an
 * escape means the same; elsewhere such characters stand in comments alone.
 */
function escaped(text: string): string {
  const code = (unit: string) => unit.charCodeAt(0).toString(16).padStart(4, "0");
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/[^\x00-\x7f]/g, (unit) => `\\u${code(unit)}`);
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
