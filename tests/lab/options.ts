/** What the demo and the lab's other commands have in common: the words on the command line, backend, build, progress. */
import { parseArgs } from "node:util";
import { ensurePrerequisites, kubectlNeeds, labNeeds, vmNeeds } from "../prerequisites.ts";
import { executeRaw } from "./process.ts";

/** The root of the repository. */
export const repository = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");

/** The command line of the demo and of `lab up`. */
export interface CommandLine {
  /** Words that are no options. */
  readonly words: readonly string[];
  readonly backend: "auto" | "device" | "netns";
  readonly json: boolean;
  readonly keep: boolean;
  readonly install: boolean;
  readonly name: string;
  /** Whether every instruction of this machine is emulated. */
  readonly emulated: boolean;
  /** Folder with built executables; built first when not given. */
  readonly dist: string | undefined;
}

/** Parses a command line. @throws {TypeError} For an option that is not known */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      backend: { type: "string", default: "auto" },
      json: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      "no-install": { type: "boolean", default: false },
      name: { type: "string", default: "demo" },
      emulated: { type: "boolean", default: false },
      dist: { type: "string" },
    },
  });
  const backend = values.backend;
  if (backend !== "auto" && backend !== "device" && backend !== "netns") {
    throw new TypeError(`Expected --backend auto, device or netns, found "${backend}"`);
  }
  return {
    words: positionals,
    backend,
    json: values.json,
    keep: values.keep,
    install: !values["no-install"],
    name: values.name,
    emulated: values.emulated,
    dist: values.dist,
  };
}

/** Where a lab runs: here, or, for want of the vrf link type, in a guest. */
export interface Place {
  readonly backend: "device" | "netns";
  readonly guest: boolean;
}

/** Chooses the backend: `auto` takes netns only where the kernel has no vrf link. */
export async function choosePlace(wanted: "auto" | "device" | "netns"): Promise<Place> {
  const here = await hasVrfLink();
  if (wanted === "netns") return { backend: "netns", guest: false };
  if (wanted === "device") return { backend: "device", guest: !here };
  return { backend: here ? "device" : "netns", guest: false };
}

/** Whether this kernel has the vrf link type. */
export async function hasVrfLink(): Promise<boolean> {
  const attempt = ["unshare", "--net", "ip", "link", "add", "probe", "type", "vrf", "table", "9"];
  return (await executeRaw(attempt)).code === 0;
}

/** Installs what is missing, or says what is. */
export async function prepare(place: Place, install: boolean, signal: AbortSignal): Promise<void> {
  await ensurePrerequisites([...labNeeds, ...kubectlNeeds, ...place.guest ? vmNeeds : []], {
    install,
    signal,
    report: (line) => console.error(line),
  });
}

/** Builds `dist/` when its sources have changed; gives its path. */
export async function build(signal: AbortSignal): Promise<string> {
  const result = await executeRaw(
    [Deno.execPath(), "run", "-A", "--quiet", `${repository}/build.ts`],
    { signal, inherit: true },
  );
  if (result.code !== 0) throw new Error(`The build failed: ${result.stderr}`);
  return `${repository}/dist`;
}

/** A signal that Ctrl-C and SIGTERM abort, and the way to stop listening for them. */
export function interruption(): { signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const stop = () => controller.abort(new Error("Interrupted"));
  for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, stop);
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const name of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(name, stop);
    },
  };
}

/** Says what is being done on stderr, with the seconds so far. */
export function progressLine(): (line: string) => void {
  const start = performance.now();
  return (line) => {
    const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(5);
    console.error(`${seconds} s  ${line}`);
  };
}
