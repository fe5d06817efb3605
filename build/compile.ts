/** Bundling and compiling by the running Deno itself. */
import { join } from "node:path";
import { CodedError, messageOf } from "../lib/errors.ts";
import type { BundleForm, Program } from "./program.ts";

/** The build failed. Codes: `BundleFailed`, `CompileFailed`, `WrongArtefact`. */
export class BuildError extends CodedError {}

/** The project's folder. */
export const root: string = join(import.meta.dirname ?? ".", "..");

/** The base binary of `deno compile`. */
export interface Denort {
  /** Path of the binary, or of the archive that Deno has downloaded. */
  readonly path: string;
  /** Whether it is that archive, which Deno finds by itself. */
  readonly cached: boolean;
}

/** The base binary for `deno compile`: the one named, or the downloaded one in Deno's cache. */
export function findDenort(
  named: string | undefined,
  denoDir: string | undefined,
): Denort | undefined {
  if (named !== undefined && named !== "") return { path: named, cached: false };
  if (denoDir === undefined) return undefined;
  const target = Deno.build.target;
  const path = join(denoDir, "dl", "release", `v${Deno.version.deno}`, `denort-${target}.zip`);
  try {
    return Deno.statSync(path).isFile ? { path, cached: true } : undefined;
  } catch {
    return undefined;
  }
}

/** Bundles a program with all that it imports into one file. @throws {BuildError} `BundleFailed` */
export async function bundleProgram(
  program: Program,
  path: string,
  form: BundleForm,
): Promise<string> {
  const { success, stderr } = await deno([
    ...["bundle", "--quiet", "--platform=deno", `--config=${join(root, "deno.json")}`],
    ...[`--format=${form === "module" ? "esm" : "cjs"}`, `--output=${path}`],
    join(root, program.entry),
  ]);
  if (success) return path;
  throw new BuildError("BundleFailed", `Expected "${program.entry}" to bundle, found: ${stderr}`);
}

/** Compiles a bundle with the given base. @throws {BuildError} `CompileFailed` */
export async function compileBundle(
  program: Program,
  bundle: string,
  path: string,
  denort: Denort,
): Promise<string> {
  const { success, stderr } = await deno([
    ...["compile", "--quiet", "--no-check", "--no-config", "--no-lock", "--no-prompt"],
    ...program.options,
    ...[`--output=${path}`, bundle],
  ], denort.cached ? {} : { DENORT_BIN: denort.path });
  if (success) return path;
  throw new BuildError("CompileFailed", `Expected "${program.name}" to compile, found: ${stderr}`);
}

/** The compiled program, or why there is none. Exit 0 proves nothing: only its own answer does. */
export async function tryCompile(
  program: Program,
  work: string,
  denort: Denort | undefined,
): Promise<{ readonly path?: string; readonly why: string }> {
  if (denort === undefined) {
    return { why: "no denort; set DENORT_BIN to one of this Deno release" };
  }
  try {
    const bundle = await bundleProgram(program, join(work, `${program.name}.mjs`), "module");
    const path = await compileBundle(program, bundle, join(work, program.name), denort);
    if (await program.verify(path)) return { path, why: "" };
    return { why: `"${denort.path}" is no denort; what it compiles does not answer` };
  } catch (thrown) {
    return { why: messageOf(thrown) };
  }
}

async function deno(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly success: boolean; readonly stderr: string }> {
  const command = new Deno.Command(Deno.execPath(), { args: [...args], env: { ...env } });
  const { success, stderr } = await command.output();
  return { success, stderr: new TextDecoder().decode(stderr).trim().slice(-2_000) };
}
