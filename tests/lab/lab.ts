/** A lab: machines on an underlay, each with its own daemon and FRR, around one embedded API. */
import {
  ignoreMissing,
  labDirectory,
  labNames,
  makeLabDirectory,
  readState,
  removeLabDirectory,
  startedAt,
  writeState,
} from "./directory.ts";
import { type Holder, holderOf, startHolder } from "./holder.ts";
import { startApi, startNode, startResponder } from "./machines.ts";
import { execute } from "./process.ts";
import { type LabNode, labNodes, outsideName, underlay } from "./topology.ts";

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
  /** Whether every instruction is emulated: what is periodic is rarer then. */
  readonly emulated: boolean;
  /** The machine with the API server; also the nodes' default gateway. */
  readonly api: Holder;
  /** A host on the underlay that knows no route to any tenant. */
  readonly outside: Holder;
  /** The nodes. */
  readonly nodes: readonly RunningNode[];
}

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
  /** Whether every instruction of this machine is emulated; false when absent. */
  readonly emulated?: boolean;
  /** Ends the making of it; what was made is taken down. */
  readonly signal: AbortSignal;
  /** Called with a line for each step. */
  readonly progress: (line: string) => void;
  /**
   * Starts the API server on the lab's `api` machine and writes the lab's kubeconfig; the embedded one when absent. What it
   * starts must end with the machine.
   */
  readonly startApi?: (lab: Lab, signal: AbortSignal) => Promise<void>;
}

/** Builds a lab and starts everything in it but pods. Nothing is left when it fails. */
export async function startLab(options: LabOptions): Promise<Lab> {
  await removeLab(options.name);
  await makeLabDirectory(options.name);
  try {
    options.progress("Underlay and namespaces");
    const nodes = labNodes(options.nodes);
    const names = ["api", outsideName, ...nodes.map(({ name }) => name)];
    const holders = await startHolders(options, names);
    const find = (name: string) => found(holders.find((holder) => holder.name === name), name);
    await connectUnderlay(
      find("api"),
      nodes.map((node) => ({ ...node, holder: find(node.name) })),
      find(outsideName),
    );
    options.signal.throwIfAborted();
    const lab = labOf(options, holders);
    options.progress("API server");
    const atOutside = [{ path: "-", name: outsideName }];
    await Promise.all([
      startResponder(lab, lab.outside, atOutside, options.signal),
      options.startApi === undefined
        ? startApi(lab, options.dist, options.signal)
        : options.startApi(lab, options.signal),
    ]);
    options.progress("FRR and daemon on each node");
    await Promise.all(lab.nodes.map((node) => startNode(lab, node, options.dist, options.signal)));
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
  for (const { pid, started } of ended) {
    while (startedAt(pid) === started) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await removeLabDirectory(name);
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

function labOf(
  { name, backend, emulated = false, nodes }: Pick<
    LabOptions,
    "name" | "backend" | "emulated" | "nodes"
  >,
  holders: readonly Holder[],
): Lab {
  const find = (machine: string) =>
    found(holders.find((holder) => holder.name === machine), machine);
  return {
    name,
    directory: labDirectory(name),
    backend,
    emulated,
    api: find("api"),
    outside: find(outsideName),
    nodes: labNodes(nodes).map((node) => ({ ...node, holder: find(node.name) })),
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
      emulated: options.emulated ?? false,
      nodes: options.nodes,
      holders: holders.map(({ name, pid }) => ({ name, pid, started: startedAt(pid) ?? "" })),
    });
  }
  return holders;
}

async function connectUnderlay(
  api: Holder,
  nodes: readonly RunningNode[],
  outside: Holder,
): Promise<void> {
  const machines = [...nodes, { name: outsideName, address: underlay.outside, holder: outside }];
  // One shell per machine: in the guest each start of a program costs a tenth of a second and more.
  const switchWords = [
    "ip link set lo up",
    "ip link add br0 type bridge",
    `ip address add ${underlay.api}/24 dev br0`,
    "ip link set br0 up",
    ...machines.map(({ name, holder }) =>
      `ip link add u-${name} type veth peer name ${underlay.ifname} netns ${holder.pid} && ` +
      `ip link set u-${name} master br0 up`
    ),
  ];
  const net = (holder: Holder, words: readonly string[]) =>
    execute(["nsenter", `--net=/proc/${holder.pid}/ns/net`, "sh", "-ec", words.join("\n")]);
  await net(api, switchWords);
  await Promise.all(machines.map(({ name, address, holder }) =>
    net(holder, [
      "ip link set lo up",
      `ip address add ${address}/24 dev ${underlay.ifname}`,
      `ip link set ${underlay.ifname} up`,
      ...name === outsideName ? [] : [`ip route add default via ${underlay.api}`],
    ])
  ));
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
