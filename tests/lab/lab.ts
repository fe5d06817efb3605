/** A lab: machines on an underlay, each with its own daemon and FRR, around one embedded API. */
import {
  ignoreMissing,
  labDirectory,
  labNames,
  makeLabDirectory,
  readState,
  removeLabDirectory,
  startedAt,
  writeHolder,
  writeState,
} from "./directory.ts";
import { type Holder, holderOf, makeNamespaces, startHolder } from "./holder.ts";
import { prepareNode, startApi, startNode, startResponder } from "./machines.ts";
import {
  type LabNode,
  labNodes,
  type LabUnderlay,
  outsideName,
  underlay,
  underlay6,
} from "./topology.ts";
import { connectUnderlay, plugIn, unplug } from "./underlay.ts";

/** A node of a running lab. */
export interface RunningNode extends LabNode {
  /** Its namespaces. */
  readonly holder: Holder;
}

/** A lab that is up. */
export interface Lab extends AsyncDisposable {
  /** Its name. */
  readonly name: string;
  /** Its directory, with `<machine>-<part>.log` and `kubeconfig`. */
  readonly directory: string;
  /** Where the nodes keep their VRFs. */
  readonly backend: "device" | "netns";
  /** Seconds between a daemon's periodic jobs. */
  readonly jobSeconds: number;
  /** Whether daemon and FRR have no more rights than the containers of the DaemonSet. */
  readonly confined: boolean;
  /** Whether kubelets run on the nodes: they register them, and runtimes look where CNI configurations usually are. */
  readonly kubelets: boolean;
  /** Further lines of the section `[node]` of a node's `server.ini`, by the node's name. */
  readonly nodeSettings: Readonly<Record<string, string>>;
  /** The network that joins its machines. */
  readonly underlay: LabUnderlay;
  /** The machine with the API server; also the nodes' default gateway. */
  readonly api: Holder;
  /** A host on the underlay that knows no route to any tenant. */
  readonly outside: Holder;
  /** The nodes. */
  readonly nodes: readonly RunningNode[];
}

/** Seconds between the periodic jobs of a lab's daemons: an installed one's thirty would make whoever looks on wait. */
const usualJobSeconds = 5;

/** What a lab shall be. */
export interface LabOptions {
  /** Name; labs of different names do not see each other. */
  readonly name: string;
  /** Where the nodes keep their VRFs. */
  readonly backend: "device" | "netns";
  /** How many nodes. */
  readonly nodes: number;
  /** Folder with the built executables. */
  readonly dist: string;
  /** Whether it outlives this process. */
  readonly keep: boolean;
  /** Seconds between a daemon's periodic jobs; 5 when absent. */
  readonly jobSeconds?: number;
  /** Whether the underlay has IPv6 alone; IPv4 alone when absent. */
  readonly ipv6?: boolean;
  /**
   * Whether daemon, FRR and its agent have the capabilities of the DaemonSet's containers alone, no new privileges, and the seccomp
   * profiles; false when absent.
   */
  readonly confined?: boolean;
  /** Further lines of the section `[node]` of a node's `server.ini`, by the node's name; none when absent. */
  readonly nodeSettings?: Readonly<Record<string, string>>;
  /** Ends the making of it; what was made is taken down. */
  readonly signal: AbortSignal;
  /** Called with a line for each step. */
  readonly progress: (line: string) => void;
  /**
   * Starts the API server on the lab's `api` machine and writes the lab's kubeconfig; the embedded one when absent. What it
   * starts must end with the machine.
   */
  readonly startApi?: (lab: Lab, signal: AbortSignal) => Promise<void>;
  /** Starts a kubelet and its runtime on a node, before FRR and the daemon; there are none when absent. */
  readonly startKubelet?: (lab: Lab, node: RunningNode) => Promise<void>;
  /** Whether FRR and the daemon are not started, because pods of the kubelets will be them; false when absent. */
  readonly daemonsAsPods?: boolean;
}

/** Builds a lab and starts everything in it but pods. Nothing is left when it fails. */
export async function startLab(options: LabOptions): Promise<Lab> {
  await removeLab(options.name);
  await makeLabDirectory(options.name);
  try {
    options.progress("Underlay and namespaces");
    const on = underlayOf(options);
    const nodes = labNodes(options.nodes, on);
    const names = ["api", outsideName, ...nodes.map(({ name }) => name)];
    const holders = await startHolders(options, names);
    const find = (name: string) => found(holders.find((holder) => holder.name === name), name);
    await connectUnderlay(
      on,
      find("api"),
      [
        ...nodes.map((node) => ({ ...node, holder: find(node.name) })),
        { name: outsideName, address: on.outside, holder: find(outsideName) },
      ],
    );
    options.signal.throwIfAborted();
    const lab = labOf({ ...options, kubelets: options.startKubelet !== undefined }, holders);
    options.progress("API server");
    const atOutside = [{ path: "-", name: outsideName }];
    await Promise.all([
      startResponder(lab, lab.outside, atOutside, options.signal),
      options.startApi === undefined
        ? startApi(lab, options.dist, options.signal)
        : options.startApi(lab, options.signal),
    ]);
    options.progress("FRR and daemon on each node");
    await Promise.all(lab.nodes.map(async (node) => {
      await prepareNode(lab, node);
      await options.startKubelet?.(lab, node);
      if (options.daemonsAsPods !== true) {
        await startNode(lab, node, options.dist, options.signal);
      }
    }));
    return lab;
  } catch (error) {
    if (!options.keep) await removeLab(options.name);
    throw error;
  }
}

/** A lab that is already up. @throws {Error} When there is none of that name */
export async function openLab(name: string): Promise<Lab> {
  const state = await readState(name);
  const alive = state?.holders.every(({ pid, started }) => startedAt(pid) === started) ?? false;
  if (state === undefined || !alive) {
    throw new Error(`There is no lab "${name}": start one with "deno task lab up"`);
  }
  const holders = state.holders.map((holder) => holderOf(holder.name, holder.pid));
  return labOf({ ...state, name }, holders);
}

/** Takes a lab down, whatever state it is in; one that is not there is no error. */
export async function removeLab(name: string): Promise<void> {
  const state = await readState(name).catch(() => undefined);
  const ended = (state?.holders ?? []).filter(({ pid, started }) => startedAt(pid) === started);
  for (const { pid } of ended) killNamespaces(pid);
  for (const each of ended) await untilEnded(each);
  await removeLabDirectory(name);
}

/**
 * Reboots a node: whatever runs on it ends at once, and its namespaces with all links, mounts and files on /run are made anew. It is on the
 * underlay then, and nothing runs on it.
 */
export async function rebootNode(lab: Lab, node: RunningNode): Promise<void> {
  const state = await readState(lab.name);
  const before = state?.holders.find(({ name }) => name === node.name);
  const alive = before?.pid === node.holder.pid && startedAt(before.pid) === before.started;
  if (state === undefined || before === undefined || !alive) {
    throw new Error(`The lab "${lab.name}" has no running machine "${node.name}"`);
  }
  killNamespaces(before.pid);
  await untilEnded(before);
  await unplug(lab.api, node);
  const pid = await makeNamespaces(node.name, !state.keep);
  writeHolder(lab.name, { name: node.name, pid, started: startedAt(pid) ?? "" });
  node.holder.moveTo(pid);
  await plugIn(lab.underlay, lab.api, node);
  await prepareNode(lab, node);
}

async function untilEnded(
  { pid, started }: { readonly pid: number; readonly started: string },
): Promise<void> {
  while (startedAt(pid) === started) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Takes down the labs whose makers have died without doing so. */
export async function removeAbandonedLabs(): Promise<void> {
  for (const name of await labNames()) {
    const state = await readState(name).catch(() => undefined);
    if (state === undefined || state.keep || startedAt(state.owner.pid) === state.owner.started) {
      continue;
    }
    await removeLab(name);
  }
}

function underlayOf({ ipv6 }: Pick<LabOptions, "ipv6">): LabUnderlay {
  return ipv6 === true ? underlay6 : underlay;
}

function labOf(
  {
    name,
    backend,
    jobSeconds = usualJobSeconds,
    ipv6 = false,
    confined = false,
    nodeSettings = {},
    ...rest
  }:
    & Pick<
      LabOptions,
      "name" | "backend" | "jobSeconds" | "ipv6" | "confined" | "nodes" | "nodeSettings"
    >
    & Pick<Lab, "kubelets">,
  holders: readonly Holder[],
): Lab {
  const find = (machine: string) =>
    found(holders.find((holder) => holder.name === machine), machine);
  const on = underlayOf({ ipv6 });
  return {
    name,
    directory: labDirectory(name),
    backend,
    jobSeconds,
    confined,
    kubelets: rest.kubelets,
    nodeSettings,
    underlay: on,
    api: find("api"),
    outside: find(outsideName),
    nodes: labNodes(rest.nodes, on).map((node) => ({ ...node, holder: find(node.name) })),
    [Symbol.asyncDispose]: () => removeLab(name),
  };
}

async function startHolders(options: LabOptions, names: readonly string[]): Promise<Holder[]> {
  const holders: Holder[] = [];
  for (const name of names) {
    holders.push(await startHolder(name, !options.keep));
    // Written after each one: whatever ends this process, the next lab finds what it left.
    await writeState(options.name, {
      owner: { pid: Deno.pid, started: startedAt(Deno.pid) ?? "" },
      keep: options.keep,
      backend: options.backend,
      jobSeconds: options.jobSeconds ?? usualJobSeconds,
      kubelets: options.startKubelet !== undefined,
      ipv6: options.ipv6 ?? false,
      nodes: options.nodes,
      holders: holders.map(({ name, pid }) => ({ name, pid, started: startedAt(pid) ?? "" })),
    });
  }
  return holders;
}

/** Ends all processes of a PID namespace by ending its first. */
function killNamespaces(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    ignoreMissing(error);
  }
}

function found<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`The lab has no machine "${what}"`);
  return value;
}
