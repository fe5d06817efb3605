/** What is measured side by side: this project's plugin on a lab node, and Debian's plugins, each with containers at hand. */
import { debianPlugins, peers, startForeignSubject } from "../cni/conformance/subjects.ts";
import type { Holder } from "../lab/holder.ts";
import { type Lab, type RunningNode, startLab } from "../lab/lab.ts";
import { kubectl } from "../lab/machines.ts";
import { announcePods, networkConfig } from "../lab/pods.ts";
import { until } from "../lab/process.ts";
import { defaultTenant, type LabPod } from "../lab/topology.ts";
import { type BenchContainer, type BenchSubject, callAtOnce, prepareCalls } from "./calls.ts";
import { ours } from "./report.ts";

/** What every bench gets from its surroundings. */
export interface Surroundings {
  /** Folder with the built executables. */
  readonly dist: string;
  /** Folder with executables of another build, to be measured in turns. */
  readonly against?: string;
  /** How many domains, where a bench is told; its own choice when absent. */
  readonly domains?: number;
  /** How many nodes, where a bench is told; its own choice when absent. */
  readonly nodes?: number;
  /** Ends the bench. */
  readonly signal: AbortSignal;
  /** Called with a line for each step. */
  readonly progress: (line: string) => void;
}

/** A lab with one node. */
export interface BenchLab extends AsyncDisposable {
  readonly lab: Lab;
  readonly node: RunningNode;
}

/**
 * Starts a lab with one node and the default domain.
 *
 * @param asInstalled Whether the daemon looks after its node every thirty seconds, its default, instead of a lab's five
 */
export async function startBenchLab(
  name: string,
  { dist, signal, progress }: Surroundings,
  asInstalled = false,
): Promise<BenchLab> {
  const lab = await startLab({
    name: `bench-${name}-${Deno.pid}`,
    backend: "netns",
    nodes: 1,
    dist,
    keep: false,
    ...asInstalled ? { jobSeconds: 30 } : {},
    signal,
    progress,
  });
  const [node] = lab.nodes;
  if (node === undefined) throw new Error("Expected a lab with one node, found one without nodes");
  await until(
    "the default domain",
    60,
    () => kubectl(lab, ["get", "vrfdomain", defaultTenant]).then(() => true),
    signal,
  );
  await kubectl(lab, [
    "wait",
    "--for=condition=Ready",
    "--timeout=60s",
    `vrfdomain/${defaultTenant}`,
  ]);
  return { lab, node, [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() };
}

/** The plugin of a lab's node, with containers whose pods the node has heard of, as a kubelet's are. */
export async function ownSubject(
  { lab, node }: BenchLab,
  dist: string,
  count: number,
): Promise<BenchSubject> {
  const pods: readonly LabPod[] = Array.from({ length: count }, (_, index) => ({
    name: `bench-${index}`,
    node: node.name,
    namespace: "default",
    tenant: defaultTenant,
  }));
  const containers = (await announcePods(lab, pods)).map(({ name, namespace, uid }) => ({
    id: name,
    netns: `/run/pods/${name}`,
    args: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};` +
      `K8S_POD_INFRA_CONTAINER_ID=${name};K8S_POD_UID=${uid}`,
  }));
  await makeNamespaces(node.holder, containers);
  const subject: BenchSubject = {
    name: ours,
    machine: node.holder,
    plugin: `${dist}/pyroute2-cni-plugin`,
    config: { name: networkConfig.name, type: networkConfig.type },
    path: dist,
    containers,
  };
  await prepareCalls(subject);
  // The first pod of a domain waits for its block: that is the reconciler's time, not the plugin's.
  await callAtOnce(subject, "ADD", 1);
  await callAtOnce(subject, "DEL", 1);
  return subject;
}

/** One of Debian's plugins with host-local, on a machine of its own. */
export async function startPeer(
  name: string,
  count: number,
): Promise<{ readonly subject: BenchSubject } & AsyncDisposable> {
  const running = await startForeignSubject({
    name,
    plugin: `${debianPlugins}/${name}`,
    config: peers[name] ?? {},
  });
  try {
    const { machine, plugin, config } = running.subject;
    const containers = Array.from({ length: count }, (_, index) => ({
      id: `bench-${index}`,
      netns: `/run/pods/bench-${index}`,
      args: "IgnoreUnknown=1",
    }));
    await machine.run(["mkdir", "-p", "/run/pods"]);
    await makeNamespaces(machine, containers);
    const subject = {
      name: `${name} + host-local`,
      machine,
      plugin,
      config,
      path: debianPlugins,
      containers,
    };
    await prepareCalls(subject);
    return { subject, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
  } catch (error) {
    await running[Symbol.asyncDispose]();
    throw error;
  }
}

async function makeNamespaces(
  machine: Holder,
  containers: readonly BenchContainer[],
): Promise<void> {
  const make = 'for path; do touch "$path"; unshare "--net=$path" ip link set lo up; done';
  await machine.run(["sh", "-ec", make, "sh", ...containers.map(({ netns }) => netns)]);
}
