/** Where a lab keeps its logs, its kubeconfig and its state, outside the repository. */
import { z } from "zod";

const root = "/var/lib/pyroute2-cni-lab";
/** Where directories go that are being removed; the dot keeps it from being a lab's name. */
const trash = `${root}/.removed`;

const stateSchema = z.object({
  /** PID of the process that made the lab, and when it started (clock ticks since boot). */
  owner: z.object({ pid: z.number(), started: z.string() }),
  /** Whether the lab outlives its owner. */
  keep: z.boolean(),
  backend: z.enum(["device", "netns"]),
  jobSeconds: z.number(),
  kubelets: z.boolean().default(false),
  ipv6: z.boolean().default(false),
  nodes: z.number(),
  /** First processes of the machines' namespaces. */
  holders: z.array(z.object({ name: z.string(), pid: z.number(), started: z.string() })),
});

/** What is written down of a lab, so that another process can look around in it or take it down. */
export type LabState = z.infer<typeof stateSchema>;

/** The directory of a lab. */
export function labDirectory(name: string): string {
  if (!/^[a-z0-9-]{1,32}$/.test(name)) {
    throw new Error(`Expected a lab's name of lowercase letters, digits and "-", found "${name}"`);
  }
  return `${root}/${name}`;
}

/** Makes a lab's directory, empty and for root alone. */
export async function makeLabDirectory(name: string): Promise<string> {
  const directory = labDirectory(name);
  await Deno.mkdir(root, { recursive: true, mode: 0o700 });
  await removeLabDirectory(name);
  await Deno.mkdir(directory, { mode: 0o700 });
  return directory;
}

/** Removes a lab's directory, if there is one. Of several that try at once one does it. */
export async function removeLabDirectory(name: string): Promise<void> {
  const doomed = `${trash}/${crypto.randomUUID()}`;
  await Deno.mkdir(trash, { recursive: true, mode: 0o700 });
  try {
    await Deno.rename(labDirectory(name), doomed);
  } catch (error) {
    ignoreMissing(error);
    return;
  }
  await Deno.remove(doomed, { recursive: true });
}

/** Names of all labs with a directory. */
export async function labNames(): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(root))).map(({ name }) => name)
      .filter((name) => !name.startsWith("."));
  } catch (error) {
    ignoreMissing(error);
    return [];
  }
}

/** Writes a lab's state, in one step. */
export async function writeState(name: string, state: LabState): Promise<void> {
  const path = `${labDirectory(name)}/state.json`;
  await Deno.writeTextFile(`${path}.new`, JSON.stringify(state));
  await Deno.rename(`${path}.new`, path);
}

/**
 * Writes down that a machine has another first process. At once, since several machines may be rebooted at the same time.
 *
 * @throws {Error} When there is no such lab
 */
export function writeHolder(name: string, holder: LabState["holders"][number]): void {
  const path = `${labDirectory(name)}/state.json`;
  const state = stateSchema.parse(JSON.parse(Deno.readTextFileSync(path)));
  const holders = state.holders.map((each) => each.name === holder.name ? holder : each);
  Deno.writeTextFileSync(`${path}.new`, JSON.stringify({ ...state, holders }));
  Deno.renameSync(`${path}.new`, path);
}

/** Reads a lab's state; undefined when there is none. */
export async function readState(name: string): Promise<LabState | undefined> {
  try {
    return stateSchema.parse(
      JSON.parse(await Deno.readTextFile(`${labDirectory(name)}/state.json`)),
    );
  } catch (error) {
    ignoreMissing(error);
    return undefined;
  }
}

/** When a process started, in clock ticks since boot: with the PID it names a process for good. Undefined when it is gone. */
export function startedAt(pid: number): string | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // Field 22 of proc(5); the name in field 2 may hold blanks and parentheses.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch (error) {
    ignoreMissing(error);
    return undefined;
  }
}

/** Lets "no such file" and "no such process" pass and throws everything else: /proc says the latter of a process that just ends. */
export function ignoreMissing(error: unknown): void {
  const gone = error instanceof Deno.errors.NotFound ||
    (error instanceof Error && /ESRCH|\(os error 3\)/.test(error.message));
  if (!gone) throw error;
}
