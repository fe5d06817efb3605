/**
 * A machine of the lab: a process that holds a network, mount and PID namespace of its own. Killing it ends every process
 * in it and takes its links and mounts along, whatever state they are in.
 */
import { execute, type SpawnedProcess, spawnLogged } from "./process.ts";

/** A machine of the lab. */
export interface Holder {
  /** Name, as people say it. */
  readonly name: string;
  /** PID of the namespaces' first process, as the host sees it; another one after each reboot. */
  readonly pid: number;
  /** The command's words, so that it runs inside. */
  inside(command: readonly string[]): string[];
  /** Runs a command inside to its end. @throws {CommandError} */
  run(command: readonly string[], options?: InsideOptions): Promise<string>;
  /** Starts a long-running command inside; its output goes to a log file. */
  start(command: readonly string[], options: InsideOptions & { log: string }): SpawnedProcess;
  /** Goes on in other namespaces: the machine was rebooted. @param pid PID of their first process */
  moveTo(pid: number): void;
}

/** How a command runs inside. */
export interface InsideOptions {
  /** Its whole environment, besides PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** What it reads. */
  readonly stdin?: string;
  /** Ends it early. */
  readonly signal?: AbortSignal;
}

// The first process of a PID namespace must reap what is orphaned to it; bash does. It says "ready" once all namespaces stand.
const init = "trap 'exit 0' TERM; echo ready; while :; do sleep 3600 & wait $!; done";

/**
 * Starts a holder.
 *
 * @param name Name of the machine
 * @param bound Whether it dies with this process, even by SIGKILL
 */
export async function startHolder(name: string, bound: boolean): Promise<Holder> {
  return holderOf(name, await makeNamespaces(name, bound));
}

/** Makes a machine's namespaces and gives the PID of their first process; the arguments are those of {@linkcode startHolder}. */
export async function makeNamespaces(name: string, bound: boolean): Promise<number> {
  const words = [
    ...bound ? ["setpriv", "--pdeathsig", "KILL"] : ["setsid"],
    ...["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc"],
    ...bound ? ["--kill-child"] : [],
    ...["--propagation", "private", "bash", "-c", init],
  ];
  const [program = "", ...args] = words;
  const child = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "null" })
    .spawn();
  const reader = child.stdout.getReader();
  const { done } = await reader.read();
  if (done) throw new Error(`The namespaces of "${name}" could not be made: run as root`);
  await reader.cancel();
  child.unref();
  const children = await Deno.readTextFile(`/proc/${child.pid}/task/${child.pid}/children`);
  return Number(children.trim().split(" ")[0]);
}

/** The holder of a lab that is already up. */
export function holderOf(name: string, first: number): Holder {
  let pid = first;
  const inside = (command: readonly string[]) => [
    "nsenter",
    ...["mnt", "net"].map((kind) => `--${kind === "mnt" ? "mount" : kind}=/proc/${pid}/ns/${kind}`),
    `--pid=/proc/${pid}/ns/pid_for_children`,
    `--wd=${Deno.cwd()}`,
    "--",
    ...command,
  ];
  return {
    name,
    get pid() {
      return pid;
    },
    inside,
    run: (command, options = {}) => execute(inside(command), options),
    start: (command, options) => spawnLogged(inside(command), options),
    moveTo(next) {
      pid = next;
    },
  };
}
