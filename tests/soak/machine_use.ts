/** What the long-running programs of the lab use: memory, descriptors, threads. */
import type { RunningNode } from "../lab/lab.ts";
import { ignoreMissing } from "../lab/directory.ts";

/** What a program uses. */
export interface ProgramUse {
  /** Node and program, `node1 daemon`. */
  readonly name: string;
  /** Resident memory, in MiB. */
  readonly rss: number;
  /** Open descriptors. */
  readonly fds: number;
  /** Threads. */
  readonly threads: number;
}

/** The programs that are looked at, and how their command lines are told. */
const programs = {
  daemon: / daemon --config /,
  "frr-agent": / frr-agent --start-daemons/,
  zebra: /^\S*\/zebra /,
  bgpd: /^\S*\/bgpd /,
} as const;

/** Looks at the programs of a node; one that does not run just now is left out. */
export async function programUse(node: RunningNode): Promise<readonly ProgramUse[]> {
  const space = await Deno.readLink(`/proc/${node.holder.pid}/ns/pid`);
  const found: ProgramUse[] = [];
  for await (const { name: pid } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      if (await Deno.readLink(`/proc/${pid}/ns/pid`) !== space) continue;
      const line = (await Deno.readTextFile(`/proc/${pid}/cmdline`)).replaceAll("\0", " ");
      const program = Object.entries(programs).find(([, pattern]) => pattern.test(line));
      if (program !== undefined) found.push(await useOf(pid, `${node.name} ${program[0]}`));
    } catch (error) {
      // Some of this machine's other processes tell nobody about themselves.
      if (!(error instanceof Deno.errors.PermissionDenied)) ignoreMissing(error);
    }
  }
  return found.toSorted((a, b) => a.name < b.name ? -1 : 1);
}

async function useOf(pid: string, name: string): Promise<ProgramUse> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const number = (key: string) => Number(RegExp(`^${key}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  const fds = await Array.fromAsync(Deno.readDir(`/proc/${pid}/fd`));
  return {
    name,
    rss: Math.round(number("VmRSS") / 1024),
    fds: fds.length,
    threads: number("Threads"),
  };
}
