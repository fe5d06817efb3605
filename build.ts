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
import { billOfMaterials, licenseList, readMaterials } from "./build/bill_of_materials.ts";
import {
  BuildError,
  bundleProgram,
  type Denort,
  findDenort,
  root,
  tryCompile,
} from "./build/compile.ts";
import { type Program, programs } from "./build/program.ts";
import { installRuntime, wrapBundle } from "./build/runtime.ts";
import { runtimeName } from "./daemon/install/launcher.ts";
import { CodedError } from "./lib/errors.ts";

/** How an executable is made. */
export type ArtefactKind = "compiled" | "bundle";

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
    const materials = await readMaterials();
    const bill = billOfMaterials(materials, Deno.version.deno);
    replaceFile(join(options.out, "sbom.cdx.json"), bill, work);
    replaceFile(join(options.out, "licenses.txt"), licenseList(materials), work);
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
    const compiled = await tryCompile(program, work, options.denort);
    let made = compiled.path;
    if (made === undefined) {
      note ??= `bundles with the Deno runtime beside them, not compiled binaries: ${compiled.why}`;
      installRuntime(options.out, work);
      const bundle = await bundleProgram(program, join(work, `${program.name}.js`), program.form);
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

/** A digest of everything that the executables depend on. */
function hashInputs(selected: readonly Program[], denort: Denort | undefined): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([
    Deno.version,
    Deno.execPath(),
    denort?.path ?? "",
    selected.map((program) => [program.name, program.options]),
  ]));
  for (
    const name of [
      "build.ts",
      "build",
      "deno.json",
      "deno.lock",
      "plugin.ts",
      "lib",
      "daemon",
      "frr",
    ]
  ) {
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
