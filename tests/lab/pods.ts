/** Starts and ends pods as a container runtime does: a network namespace, then the plugin with its environment and stdin. */
import { z } from "zod";
import type { RunningNode } from "./lab.ts";
import { execute, executeRaw } from "./process.ts";
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
    z.object({ name: z.string(), mac: z.string().optional(), sandbox: z.string().optional() }),
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

/** Makes the pod's namespace and attaches it. @throws {Error} With the plugin's own error */
export async function startPod(
  node: RunningNode,
  dist: string,
  pod: LabPod,
): Promise<PodResult> {
  const path = podNetns(pod);
  await node.holder.run([
    "sh",
    "-ec",
    `touch ${path}; unshare --net=${path} ip link set lo up`,
  ]);
  const answer = await callPlugin(node, dist, "ADD", pod, networkConfig);
  if (answer.code !== 0) {
    throw new Error(`The plugin refused the pod "${pod.name}": ${answer.stdout}`);
  }
  return resultSchema.parse(JSON.parse(answer.stdout));
}

/** Detaches the pod and removes its namespace. @throws {Error} With the plugin's own error */
export async function stopPod(node: RunningNode, dist: string, pod: LabPod): Promise<void> {
  const answer = await callPlugin(node, dist, "DEL", pod, networkConfig);
  if (answer.code !== 0) throw new Error(`The plugin did not free "${pod.name}": ${answer.stdout}`);
  const path = podNetns(pod);
  await node.holder.run(["sh", "-ec", `umount ${path}; rm ${path}`]);
}

/** Executes the plugin on a node with exactly the environment that a runtime gives it. */
export function callPlugin(
  node: RunningNode,
  dist: string,
  command: string,
  pod: LabPod,
  config: unknown,
): Promise<{ stdout: string; stderr: string; code: number }> {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId(pod),
    CNI_NETNS: podNetns(pod),
    CNI_IFNAME: "eth0",
    CNI_PATH: dist,
    CNI_ARGS:
      `IgnoreUnknown=1;K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${
        containerId(pod)
      };K8S_POD_UID=uid-${pod.name}`,
  };
  const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return executeRaw(
    node.holder.inside(["env", "-i", ...words, `${dist}/pyroute2-cni-plugin`]),
    { stdin: JSON.stringify(config) },
  );
}

/** The pods as objects of the API, as a scheduler would have left them. */
export function podManifests(pods: readonly LabPod[]): string {
  const items = pods.map((pod) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: pod.name, namespace: pod.namespace },
    spec: { nodeName: pod.node, containers: [{ name: "responder", image: "responder" }] },
  }));
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

/** Address of a result, without the length. */
export function addressOf(result: PodResult): string {
  return result.ips[0]?.address.split("/")[0] ?? "";
}

/** Runs `ip -json` on a node and gives its answer. */
export async function ipJson(node: RunningNode, args: readonly string[]): Promise<unknown> {
  return JSON.parse(await execute(node.holder.inside(["ip", "-json", ...args])) || "[]");
}
