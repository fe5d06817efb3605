/** The programs that an installation copies: those of `dist/`, or of the image. */
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { supportedVersions } from "../../lib/cni/version.ts";
import { InstallError } from "./errors.ts";
import { isBundle, runtimeName, withRuntimeIn } from "./launcher.ts";
import type { FileWish } from "./put_file.ts";
import { runProgram } from "./run_program.ts";

/** Name of the CNI executable; it is the `type` in a network configuration. */
export const pluginName = "pyroute2-cni-plugin";

/** Name of the executable with all other parts. */
export const daemonName = "pyroute2-cni";

/** A program where it was found. */
export interface FoundProgram {
  /** Its file name. */
  readonly name: string;
  /** Its path. */
  readonly path: string;
  /** The runtime's path where the program is a bundle; undefined for a compiled one. */
  readonly runtime: string | undefined;
}

/** Where a program goes, and where it shall find its runtime there. */
export interface ProgramPlace {
  /** Folder for the program. */
  readonly directory: string;
  /** Folder with the runtime, as the program sees it when it runs. */
  readonly runtimeDir: string;
  /** Whether the draft can be run where it is written: not below another root. */
  readonly runnable: boolean;
}

/**
 * Finds a program in a folder, with the runtime beside it where it needs one.
 *
 * @throws {InstallError} `ProgramsMissing`
 */
export async function findProgram(directory: string, name: string): Promise<FoundProgram> {
  const path = join(directory, name);
  const head = await readHead(path);
  const runtime = isBundle(head) ? join(directory, runtimeName) : undefined;
  if (runtime !== undefined) await readHead(runtime);
  return { name, path, runtime };
}

/** The program's file at its place. Its runtime has to be there before, or the draft would not run. */
export async function programFile(
  program: FoundProgram,
  place: ProgramPlace,
  signal: AbortSignal,
): Promise<FileWish> {
  const content = program.runtime === undefined
    ? { copyOf: program.path }
    : withRuntimeIn(await Deno.readFile(program.path), place.runtimeDir);
  const verify = (draft: string) => verifyProgram({ ...program, path: draft }, signal);
  return {
    path: join(place.directory, program.name),
    mode: 0o755,
    content,
    ...place.runnable ? { verify } : {},
  };
}

/** The runtime's file beside bundles; none for compiled programs. */
export function runtimeFile(
  programs: readonly FoundProgram[],
  directory: string,
): readonly FileWish[] {
  const source = programs.find(({ runtime }) => runtime !== undefined)?.runtime;
  if (source === undefined) return [];
  return [{ path: join(directory, runtimeName), mode: 0o755, content: { copyOf: source } }];
}

/**
 * Runs a program and checks that it is what its name says.
 *
 * @param limitMs Milliseconds for its answer; two minutes when absent
 * @throws {InstallError} `ProgramBroken` when it does not answer as it should
 */
export async function verifyProgram(
  { name, path }: Pick<FoundProgram, "name" | "path">,
  signal: AbortSignal,
  limitMs: number = answerMs,
): Promise<void> {
  const asked = name === pluginName
    ? { env: { CNI_COMMAND: "VERSION" }, stdin: '{"cniVersion":"1.0.0"}' }
    : { args: ["version", "--json"], env: {} };
  const limited = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  const { code, stdout, stderr } = await runProgram(path, { ...asked, signal: limited })
    .catch((error: unknown) => {
      if (signal.aborted || !limited.aborted) throw error;
      throw new InstallError(
        "ProgramBroken",
        `Expected "${path}" to answer within ${limitMs / 1_000} seconds, found it silent`,
        { cause: error },
      );
    });
  if (code === 0 && isAnswer(name, stdout)) return;
  const said = (stderr.trim() || stdout.trim()).slice(-300);
  throw new InstallError(
    "ProgramBroken",
    `Expected "${path}" to answer as "${name}" does, found exit code ${code} and "${said}"; build it anew for this machine`,
  );
}

/** Milliseconds for a program to say its version: a slow disk has to give a hundred megabytes first. */
const answerMs = 120_000;

function isAnswer(name: string, stdout: string): boolean {
  try {
    const answer: unknown = JSON.parse(stdout);
    if (typeof answer !== "object" || answer === null) return false;
    return name === pluginName
      ? "supportedVersions" in answer &&
        JSON.stringify(answer.supportedVersions) === JSON.stringify(supportedVersions)
      : "version" in answer && typeof answer.version === "string";
  } catch {
    return false;
  }
}

async function readHead(path: string): Promise<Uint8Array> {
  try {
    using file = await Deno.open(path);
    const head = new Uint8Array(4_096);
    return head.subarray(0, await file.read(head) ?? 0);
  } catch (cause) {
    throw new InstallError(
      "ProgramsMissing",
      `Expected the program "${path}", found "${
        messageOf(cause)
      }"; build the programs, or name their folder with --from`,
      { cause },
    );
  }
}
