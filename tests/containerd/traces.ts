/** What a container runtime leaves on a machine, to be looked for after it. */
import { ignoreMissing, labNames } from "../lab/directory.ts";

const cgroupRoot = "/sys/fs/cgroup";

/** What every control group of a lab's begins with; the lab's name follows. Others' are none of ours to remove. */
export const cgroupPrefix = "pr2t-lab-";

/** Paths that a container runtime, CNI and a kubelet write by themselves on a machine. */
const builtInPaths = [
  ...["/etc/cni", "/etc/containerd", "/opt/cni", "/opt/containerd"],
  ...["/run/containerd", "/run/cni", "/run/runtime", "/var/lib/cni", "/var/lib/containerd"],
  ...["/var/lib/kubelet", "/var/log/containers", "/var/log/pods"],
];

/** The state of these paths on the host: one line for each file, with size and time of change. */
export async function hostPaths(): Promise<string[]> {
  const lines: string[] = [];
  for (const path of builtInPaths) await walk(path, lines);
  return lines;
}

async function walk(path: string, lines: string[]): Promise<void> {
  try {
    const info = await Deno.lstat(path);
    lines.push(`${path} ${info.size} ${info.mtime?.toISOString()}`);
    if (!info.isDirectory) return;
    for await (const entry of Deno.readDir(path)) await walk(`${path}/${entry.name}`, lines);
  } catch (error) {
    ignoreMissing(error);
  }
}

/** The host's mounts whose line mentions one of the words. */
export async function hostMounts(words: readonly string[]): Promise<string[]> {
  const lines = (await Deno.readTextFile("/proc/self/mountinfo")).split("\n");
  return lines.filter((line) => words.some((word) => line.includes(word)));
}

/** The PID namespace of a process, as the kernel names it; undefined when the process is gone or not for us to look at. */
export async function pidNamespace(pid: number): Promise<string | undefined> {
  try {
    return await Deno.readLink(`/proc/${pid}/ns/pid`);
  } catch (error) {
    // Whoever started a process may look at it, so this one is nobody's of the lab.
    if (!(error instanceof Deno.errors.PermissionDenied)) ignoreMissing(error);
    return undefined;
  }
}

/** PIDs of all processes in a PID namespace, as the host sees them. */
export async function processesIn(namespace: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (/^\d+$/.test(name) && await pidNamespace(Number(name)) === namespace) {
      found.push(Number(name));
    }
  }
  return found;
}

/** The topmost control groups of the lab with this name, in every hierarchy; of all labs without one. */
export async function cgroupsOf(lab?: string): Promise<string[]> {
  const found: string[] = [];
  // Version 2 has one hierarchy at the root, version 1 one below each controller's name.
  for (const root of [cgroupRoot, ...await directoriesIn(cgroupRoot)]) {
    for (const path of await directoriesIn(root)) {
      const name = path.slice(root.length + 1);
      const mine = lab === undefined ? name.startsWith(cgroupPrefix) : name === cgroupPrefix + lab;
      if (mine) found.push(path);
    }
  }
  return found;
}

/** Removes the control groups of a lab, whose processes have ended. */
export async function removeCgroups(lab: string): Promise<void> {
  for (const path of await cgroupsOf(lab)) await removeTree(path);
}

/** Removes the control groups of labs that are no more. */
export async function removeAbandonedCgroups(): Promise<void> {
  const labs = await labNames();
  for (const path of await cgroupsOf()) {
    const lab = path.slice(path.lastIndexOf("/") + 1 + cgroupPrefix.length);
    if (!labs.includes(lab)) await removeTree(path);
  }
}

/** Only directories can be removed in this file system, and only the innermost. */
async function removeTree(path: string): Promise<void> {
  for (const child of await directoriesIn(path)) await removeTree(child);
  await Deno.remove(path).catch(ignoreMissing);
}

async function directoriesIn(path: string): Promise<string[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(path));
    return entries.filter(({ isDirectory }) => isDirectory).map(({ name }) => `${path}/${name}`);
  } catch (error) {
    ignoreMissing(error);
    return [];
  }
}
