/** Processes of a lab's machine: which they are, what time of the processors they took, what memory they hold. */
import type { Holder } from "../lab/holder.ts";

/** A process of the project or of FRR on a machine. */
export interface MachineProcess {
  /** `daemon`, `frr-agent`, `apiserver`, or the name of FRR's program. */
  readonly name: string;
  /** Its folder in the machine's /proc. */
  readonly proc: string;
}

/** The project's and FRR's processes in a machine's PID namespace. */
export async function processesOf({ pid }: Holder): Promise<MachineProcess[]> {
  const folder = `/proc/${pid}/root/proc`;
  const found: MachineProcess[] = [];
  for await (const { name } of Deno.readDir(folder)) {
    if (!/^\d+$/.test(name)) continue;
    const proc = `${folder}/${name}`;
    const words = (await read(`${proc}/cmdline`)).split("\0");
    const at = words.findIndex((word) => word.endsWith("/pyroute2-cni"));
    const process = at >= 0 ? words[at + 1] : /^\/usr\/lib\/frr\/(\w+)$/.exec(words[0] ?? "")?.[1];
    if (process !== undefined) found.push({ name: process, proc });
  }
  return found;
}

/** The daemon of a machine. @throws {Error} When it does not run */
export async function daemonOf(machine: Holder): Promise<MachineProcess> {
  const found = (await processesOf(machine)).find(({ name }) => name === "daemon");
  if (found === undefined) throw new Error(`Expected a daemon on "${machine.name}", found none`);
  return found;
}

/** Ticks a second in /proc: USER_HZ, 100 on every architecture that Deno runs on (proc(5)). */
const ticksPerSecond = 100;

/** Seconds of processor time that a process took so far, user and system. Exact to a hundredth. */
export async function cpuSeconds({ proc }: MachineProcess): Promise<number> {
  const stat = await Deno.readTextFile(`${proc}/stat`);
  // The second field may hold spaces; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** MiB that a process holds resident, and how much of it is its own, not a file's pages. */
export async function memoryOf(
  { proc }: MachineProcess,
): Promise<{ readonly resident: number; readonly anonymous: number }> {
  const status = await read(`${proc}/status`);
  const mebibytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1]) / 1024;
  return { resident: mebibytes("VmRSS"), anonymous: mebibytes("RssAnon") };
}

/** A file of /proc; empty when its process has just ended. */
function read(path: string): Promise<string> {
  return Deno.readTextFile(path).catch(() => "");
}
