/**
 * Makes `dist/` for the installation on a node: the executables `pyroute2-cni-plugin` and `pyroute2-cni`.
 *
 * Where the base binary of `deno compile` can be had they are compiled binaries; elsewhere they are one JavaScript file each behind
 * a shell line that starts the Deno runtime beside them. What was built is run before it is put in place: `deno compile`
 * with a wrong base succeeds, too.
 *
 * Usage: deno run -A build.ts [--out DIR] [--only NAME] [--force] [--json]
 */
import { createHash, type Hash } from "node:crypto";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { cniVariables } from "./lib/cni/args.ts";
import { supportedVersions } from "./lib/cni/version.ts";
import { CodedError, messageOf } from "./lib/errors.ts";

/** The build failed. Codes: `BundleFailed`, `CompileFailed`, `WrongArtefact`, `NoRuntime`. */
export class BuildError extends CodedError {}

/** How an executable is made. */
export type ArtefactKind = "compiled" | "bundle";

/** A program of the project. */
export interface Program {
  /** Name of the executable. */
  readonly name: string;
  /** Entry module, relative to the project's folder. */
  readonly entry: string;
  /** Options of `deno run` and `deno compile`: the permissions and unstable features that it needs. */
  readonly options: readonly string[];
  /** Runs an executable and tells whether it is this program. */
  readonly verify: (path: string) => Promise<boolean>;
}

/** An executable that stands in the output folder. */
export interface Artefact {
  /** Name of the executable. */
  readonly name: string;
  /** How it was made. */
  readonly kind: ArtefactKind;
  /** Size in bytes; that of a bundle without the runtime beside it. */
  readonly bytes: number;
}

/** What a build did; `--json` prints it. */
export interface BuildSummary {
  /** Absolute path of the output folder. */
  readonly out: string;
  /** Whether everything was there already. */
  readonly unchanged: boolean;
  /** The executables. */
  readonly artefacts: readonly Artefact[];
  /** Why there are bundles instead of binaries; absent when there are none. */
  readonly note?: string;
  /** Seconds that it took. */
  readonly seconds: number;
}

/** The base binary of `deno compile`. */
export interface Denort {
  /** Path of the binary, or of the archive that Deno has downloaded. */
  readonly path: string;
  /** Whether it is that archive, which Deno finds by itself. */
  readonly cached: boolean;
}

/** What to build. */
export interface BuildOptions {
  /** Output folder. */
  readonly out: string;
  /** Name of the one program to build; all by default. */
  readonly only?: string;
  /** Build also what is up to date. */
  readonly force?: boolean;
  /** The base for `deno compile`, when there is one. */
  readonly denort?: Denort | undefined;
  /** Takes one line for each step. */
  readonly progress: (line: string) => void;
}

const root = import.meta.dirname ?? ".";
const decoder = new TextDecoder();

/** The programs. The plugin gets nothing but what it needs: its variables, the sockets and libc. */
export const programs: readonly Program[] = [
  {
    name: "pyroute2-cni-plugin",
    entry: "plugin.ts",
    options: [
      "--allow-ffi",
      "--allow-read",
      "--allow-write",
      "--allow-net",
      `--allow-env=${cniVariables.join(",")}`,
    ],
    verify: isPlugin,
  },
  {
    name: "pyroute2-cni",
    entry: "daemon/main.ts",
    options: ["--allow-all", "--unstable-no-legacy-abort"],
    verify: isDaemon,
  },
];

/** Builds what is not up to date. @throws {BuildError} When a program cannot be built in any way */
export async function build(options: BuildOptions): Promise<BuildSummary> {
  const startedAt = performance.now();
  const selected = programs.filter((program) =>
    (options.only === undefined || program.name === options.only) && exists(program.entry)
  );
  const inputs = hashInputs(selected, options.denort);
  const before = options.force === true ? undefined : readStamp(options.out);
  const seconds = () => Math.round(performance.now() - startedAt) / 1000;
  if (before?.inputs === inputs && standsAll(options.out, before)) {
    return { out: options.out, unchanged: true, ...before.made, seconds: seconds() };
  }
  await Deno.mkdir(options.out, { recursive: true });
  removeStaleWork(options.out);
  const work = await Deno.makeTempDir({ dir: options.out, prefix: workPrefix });
  try {
    const made = await makeAll(selected, work, options);
    const stamp: Stamp = { inputs, made };
    replaceFile(join(options.out, stampName), JSON.stringify(stamp, undefined, 2), work);
    return { out: options.out, unchanged: false, ...made, seconds: seconds() };
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

type Made = Pick<BuildSummary, "artefacts" | "note">;

interface Stamp {
  readonly inputs: string;
  readonly made: Made;
}

const stampName = ".build.json";
const workPrefix = ".build-";

/** Removes what builds left that were killed long ago; one that runs now is left alone. */
function removeStaleWork(out: string): void {
  const oldest = Date.now() - 3_600_000;
  for (const { name } of [...Deno.readDirSync(out)]) {
    if (!name.startsWith(workPrefix)) continue;
    const path = join(out, name);
    if ((Deno.statSync(path).mtime?.getTime() ?? 0) < oldest) {
      Deno.removeSync(path, { recursive: true });
    }
  }
}

async function makeAll(
  selected: readonly Program[],
  work: string,
  options: BuildOptions,
): Promise<Made> {
  const artefacts: Artefact[] = [];
  let note: string | undefined;
  for (const program of selected) {
    options.progress(`building ${program.name}`);
    const bundle = await bundleProgram(program, join(work, `${program.name}.js`));
    const compiled = await tryCompile(program, bundle, work, options.denort);
    let made = compiled.path;
    if (made === undefined) {
      note ??= `bundles with the Deno runtime beside them, not compiled binaries: ${compiled.why}`;
      installRuntime(options.out, work);
      made = await wrapBundle(program, bundle, work, options.out);
    }
    if (!await program.verify(made)) {
      throw new BuildError(
        "WrongArtefact",
        `Expected "${program.name}" to answer when it is run, found another answer; run "${program.entry}" itself to see why`,
      );
    }
    const { size } = Deno.statSync(made);
    Deno.renameSync(made, join(options.out, program.name));
    const kind = compiled.path === undefined ? "bundle" : "compiled";
    artefacts.push({ name: program.name, kind, bytes: size });
  }
  return note === undefined ? { artefacts } : { artefacts, note };
}

/** Bundles a program with all that it imports into one module. @throws {BuildError} `BundleFailed` */
export async function bundleProgram(program: Program, path: string): Promise<string> {
  const { success, stderr } = await deno([
    ...["bundle", "--quiet", "--platform=deno", `--config=${join(root, "deno.json")}`],
    ...[`--output=${path}`, join(root, program.entry)],
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
async function tryCompile(
  program: Program,
  bundle: string,
  work: string,
  denort: Denort | undefined,
): Promise<{ readonly path?: string; readonly why: string }> {
  if (denort === undefined) {
    return { why: "no denort; set DENORT_BIN to one of this Deno release" };
  }
  try {
    const path = await compileBundle(program, bundle, join(work, program.name), denort);
    if (await program.verify(path)) return { path, why: "" };
    return { why: `"${denort.path}" is no denort; what it compiles does not answer` };
  } catch (thrown) {
    return { why: messageOf(thrown) };
  }
}

/**
 * Puts the line that starts the runtime before the bundle. It is a shell's line and, to JavaScript, a text and a comment: the
 * kernel cuts a `#!` line after 255 bytes, which paths and permissions would exceed. The runtime is looked for beside the
 * executable first, so that the folder can be moved as a whole. DENO_DIR leads nowhere: caches stay in memory.
 */
async function wrapBundle(
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

const runtimeName = "deno";

/** Puts the running Deno beside the bundles: a hard link where that can be, else a copy. */
function installRuntime(out: string, work: string): void {
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

async function isPlugin(path: string): Promise<boolean> {
  const answer = await run(path, [], { CNI_COMMAND: "VERSION" }, '{"cniVersion":"1.0.0"}');
  try {
    const value: unknown = JSON.parse(answer);
    return typeof value === "object" && value !== null && "supportedVersions" in value &&
      JSON.stringify(value.supportedVersions) === JSON.stringify(supportedVersions);
  } catch {
    return false;
  }
}

async function isDaemon(path: string): Promise<boolean> {
  return (await run(path, ["version"], {}, "")).startsWith("pyroute2-cni ");
}

/** What a program prints; a wrong base would wait for input for ever, which is why stdin ends and time is limited. */
async function run(
  path: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  stdin: string,
): Promise<string> {
  const child = new Deno.Command(path, {
    args: [...args],
    env: { ...env },
    clearEnv: true,
    cwd: "/",
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
    signal: AbortSignal.timeout(30_000),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin)).then(() => writer.close()).catch(() => {});
  return decoder.decode((await child.output()).stdout);
}

async function deno(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly success: boolean; readonly stderr: string }> {
  const command = new Deno.Command(Deno.execPath(), { args: [...args], env: { ...env } });
  const { success, stderr } = await command.output();
  return { success, stderr: decoder.decode(stderr).trim().slice(-2_000) };
}

/** A digest of everything that the executables depend on. */
function hashInputs(selected: readonly Program[], denort: Denort | undefined): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([
    Deno.version,
    Deno.execPath(),
    denort?.path ?? "",
    selected.map((program) => [program.name, program.options]),
  ]));
  for (const name of ["build.ts", "deno.json", "deno.lock", "plugin.ts", "lib", "daemon", "frr"]) {
    if (exists(name)) hashTree(hash, join(root, name));
  }
  return hash.digest("hex");
}

function hashTree(hash: Hash, path: string): void {
  if (Deno.statSync(path).isFile) {
    if (path.endsWith("_test.ts")) return;
    hash.update(`${relative(root, path)}\0`).update(Deno.readFileSync(path)).update("\0");
    return;
  }
  const names = [...Deno.readDirSync(path)].map((entry) => entry.name).sort();
  for (const name of names) hashTree(hash, join(path, name));
}

function readStamp(out: string): Stamp | undefined {
  try {
    // Our own file: one that is damaged does not match, and everything is built anew.
    return JSON.parse(Deno.readTextFileSync(join(out, stampName))) as Stamp;
  } catch {
    return undefined;
  }
}

function standsAll(out: string, stamp: Stamp): boolean {
  try {
    return stamp.made.artefacts.every((made) =>
      Deno.statSync(join(out, made.name)).size === made.bytes
    ) && (stamp.made.note === undefined || Deno.statSync(join(out, runtimeName)).isFile);
  } catch {
    return false;
  }
}

function replaceFile(path: string, text: string, work: string): void {
  const made = join(work, "file");
  Deno.writeTextFileSync(made, text);
  Deno.renameSync(made, path);
}

function exists(name: string): boolean {
  try {
    Deno.statSync(join(root, name));
    return true;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return false;
    throw thrown;
  }
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
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

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      out: { type: "string", default: join(root, "dist") },
      only: { type: "string" },
      force: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const home = Deno.env.get("HOME");
  const denoDir = Deno.env.get("DENO_DIR") ??
    (home === undefined ? undefined : join(home, ".cache", "deno"));
  const say = (line: string) => console.error(line);
  const summary = await build({
    out: values.out.startsWith("/") ? values.out : join(Deno.cwd(), values.out),
    force: values.force,
    denort: findDenort(Deno.env.get("DENORT_BIN"), denoDir),
    progress: values.json ? () => {} : say,
    ...(values.only === undefined ? {} : { only: values.only }),
  });
  if (values.json) return console.log(JSON.stringify(summary));
  if (summary.note !== undefined) say(summary.note);
  const names = summary.artefacts.map((made) => made.name).join(", ");
  say(`${summary.out}: ${names}${summary.unchanged ? " (unchanged)" : ""}, ${summary.seconds} s`);
}

if (import.meta.main) {
  try {
    await main();
  } catch (thrown) {
    if (!(thrown instanceof CodedError)) throw thrown;
    console.error(thrown.message);
    Deno.exit(1);
  }
}
