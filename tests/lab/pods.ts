/** Starts and ends pods as a container runtime does: a network namespace, then the plugin with its environment and stdin. */
import { z } from "zod";
import type { Lab, RunningNode } from "./lab.ts";
import { askProbe, kubectl } from "./machines.ts";
import { execute, executeRaw, until } from "./process.ts";
import type { LabPod } from "./topology.ts";

/** The network configuration that the runtime hands over. */
export const networkConfig = {
  cniVersion: "1.1.0",
  name: "pyroute2",
  type: "pyroute2-cni-plugin",
} as const;

const resultSchema = z.object({
  cniVersion: z.string(),
  interfaces: z.array(
    z.object({
      name: z.string(),
      mac: z.string().optional(),
      sandbox: z.string().optional(),
      mtu: z.number().optional(),
    }),
  ),
  ips: z.array(
    z.object({
      address: z.string(),
      gateway: z.string().optional(),
      interface: z.number().optional(),
    }),
  ),
  routes: z.array(z.object({ dst: z.string(), gw: z.string().optional() })).optional(),
});

const errorSchema = z.object({ code: z.number() });

/** What the plugin printed, and its exit code. */
export interface PluginAnswer {
  /** The result or the error, as JSON. */
  readonly stdout: string;
  /** Words for a person. */
  readonly stderr: string;
  /** 0 when it did what was asked. */
  readonly code: number;
}

/** A CNI result of version 1.1.0, as far as the lab looks at it. */
export type PodResult = z.infer<typeof resultSchema>;

/** Path of a pod's network namespace on its node. */
export function podNetns(pod: { readonly name: string }): string {
  return `/run/pods/${pod.name}`;
}

/** The container id of a pod: the same for the same pod. */
export function containerId(pod: LabPod): string {
  return `lab-${pod.name}`;
}

/** CNI's "try again later" (SPEC 1.1, Error), and how often a pod is tried in a row. */
const tryAgainLater = 11;
const tries = 5;

/**
 * Makes the pod's namespace and attaches it, again where the plugin says so, as kubelets do. A pod that is refused leaves nothing.
 *
 * @throws {Error} With the plugin's own error
 */
export async function startPod(
  node: RunningNode,
  dist: string,
  pod: LabPod,
): Promise<PodResult> {
  for (let tried = 1;; tried++) {
    const { code, stdout } = await tryPod(node, dist, pod);
    if (code === 0) return parseResult(stdout);
    if (tried === tries || codeOf(stdout) !== tryAgainLater) {
      throw new Error(`The plugin refused the pod "${pod.name}": ${stdout}`);
    }
  }
}

/** Code of an error that the plugin printed; undefined for anything else. */
function codeOf(text: string): number | undefined {
  try {
    return errorSchema.parse(JSON.parse(text)).code;
  } catch {
    return undefined;
  }
}

/** Makes the pod's namespace and tries once to attach it. A pod that is refused leaves nothing. */
export async function tryPod(
  node: RunningNode,
  dist: string,
  pod: LabPod,
): Promise<PluginAnswer> {
  await makePodNetns(node, pod);
  const answer = await callPlugin(node, dist, "ADD", pod, networkConfig);
  if (answer.code !== 0) {
    await callPlugin(node, dist, "DEL", pod, networkConfig);
    await removePodNetns(node, pod);
  }
  return answer;
}

/** Makes the pod's namespace, as a runtime does before it attaches it. */
export async function makePodNetns(node: RunningNode, pod: LabPod): Promise<void> {
  const path = podNetns(pod);
  const words = `touch ${path}; unshare --net=${path} ip link set lo up`;
  await node.holder.run(["sh", "-ec", words]);
}

/** Removes the pod's namespace, if it has one, as runtimes do: at once, whoever has it open still. */
export async function removePodNetns(node: RunningNode, pod: LabPod): Promise<void> {
  const path = podNetns(pod);
  const words = `if [ -e ${path} ]; then umount --lazy ${path}; rm ${path}; fi`;
  await node.holder.run(["sh", "-ec", words]);
}

/** Reads what ADD has printed. @throws {z.ZodError | SyntaxError} When it is no result */
export function parseResult(text: string): PodResult {
  return resultSchema.parse(JSON.parse(text));
}

/** Detaches the pod and removes its namespace. @throws {Error} With the plugin's own error */
export async function stopPod(node: RunningNode, dist: string, pod: LabPod): Promise<void> {
  const answer = await callPlugin(node, dist, "DEL", pod, networkConfig);
  if (answer.code !== 0) throw new Error(`The plugin did not free "${pod.name}": ${answer.stdout}`);
  await removePodNetns(node, pod);
}

/**
 * Executes the plugin on a node with exactly the environment that a runtime gives it.
 *
 * @param killAfterMs When the plugin is killed by SIGKILL, in milliseconds from its start; never when absent
 */
export function callPlugin(
  node: RunningNode,
  dist: string,
  command: string,
  pod: LabPod,
  config: unknown,
  ifname = "eth0",
  killAfterMs?: number,
): Promise<PluginAnswer> {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId(pod),
    CNI_NETNS: podNetns(pod),
    CNI_IFNAME: ifname,
    CNI_PATH: dist,
    CNI_ARGS:
      `IgnoreUnknown=1;K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${
        containerId(pod)
      };K8S_POD_UID=${pod.uid ?? `uid-${pod.name}`}`,
  };
  const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const killed = killAfterMs === undefined
    ? []
    : ["/usr/bin/timeout", "--signal=KILL", String(killAfterMs / 1000)];
  return executeRaw(
    node.holder.inside(["env", "-i", ...words, ...killed, `${dist}/pyroute2-cni-plugin`]),
    { stdin: JSON.stringify(config) },
  );
}

/**
 * Makes the pods' objects at the API, as a scheduler would have left them, and gives the pods with their UIDs.
 *
 * @param metadata What else their metadata hold, such as annotations
 */
export async function announcePods<Announced extends LabPod>(
  lab: Lab,
  pods: readonly Announced[],
  metadata: Readonly<Record<string, unknown>> = {},
): Promise<(Announced & { readonly uid: string })[]> {
  const items = pods.map((pod) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...metadata, name: pod.name, namespace: pod.namespace },
    spec: { nodeName: pod.node, containers: [{ name: "responder", image: "responder" }] },
  }));
  const list = { apiVersion: "v1", kind: "List", items };
  const answer = await kubectl(lab, ["apply", "-o", "json", "-f", "-"], JSON.stringify(list));
  const applied = appliedSchema.parse(JSON.parse(answer));
  const made = "items" in applied ? applied.items.map((item) => item.metadata) : [
    applied.metadata,
  ];
  return pods.map((pod) => {
    const found = made.find(({ name, namespace }) =>
      name === pod.name && namespace === pod.namespace
    );
    if (found === undefined) throw new Error(`The API made no pod "${pod.name}"`);
    return { ...pod, uid: found.uid };
  });
}

const podSchema = z.object({
  metadata: z.object({ name: z.string(), namespace: z.string(), uid: z.string() }),
});
const appliedSchema = z.union([z.object({ items: z.array(podSchema) }), podSchema]);

/** Resolves when a node has heard of a pod, so that it starts without the API. Starts and ends it for that. */
export async function untilKnown(
  node: RunningNode,
  dist: string,
  pod: LabPod & { readonly uid: string },
): Promise<void> {
  const known = async () => {
    const counter = /^pyroute2_cni_pod_lookups_total\{source="cache"\} (\d+)$/m;
    return Number(counter.exec((await askProbe(node, "/metrics")).body)?.[1] ?? 0);
  };
  await until(`the node "${node.name}" to know the pod "${pod.name}"`, 60, async () => {
    const before = await known();
    await startPod(node, dist, pod);
    await stopPod(node, dist, pod);
    return await known() > before ? true : undefined;
  });
}

/** First address of a result, without the length. */
export function addressOf(result: PodResult): string {
  return addressesOf(result)[0] ?? "";
}

/** Addresses of a result, without the lengths. */
export function addressesOf({ ips }: PodResult): string[] {
  return ips.map(({ address }) => address.slice(0, address.indexOf("/")));
}

/** Runs `ip -json` on a node and gives its answer. */
export async function ipJson(node: RunningNode, args: readonly string[]): Promise<unknown> {
  return JSON.parse(await execute(node.holder.inside(["ip", "-json", ...args])) || "[]");
}
