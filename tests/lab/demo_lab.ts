/** The demo's steps: apply the tenants, start the pods, wait until BGP has converged, measure. Also what the lab's tests run. */
import { z } from "zod";
import { askFrr } from "./frr_words.ts";
import type { Lab, RunningNode } from "./lab.ts";
import { kubectl, startResponder } from "./machines.ts";
import { measure, type MeasuredCell } from "./matrix.ts";
import { patience } from "./patience.ts";
import { addressOf, announcePods, podNetns, startPod } from "./pods.ts";
import { until } from "./process.ts";
import {
  defaultTenant,
  expectedMatrix,
  type LabPod,
  labPods,
  type PlacedPod,
  tenants,
} from "./topology.ts";

/** Applies namespaces, tenants, bindings and blocks; resolves when every node carries them. */
export async function applyTenants(lab: Lab, signal: AbortSignal): Promise<void> {
  // The default domain is made only where there is no domain at all: the elected manager goes first.
  await until(
    "the default domain",
    patience,
    async () => await kubectl(lab, ["get", "vrfdomain", defaultTenant]).then(() => true),
    signal,
  );
  const manifests = new URL("./manifests", import.meta.url).pathname;
  await kubectl(lab, ["apply", "-f", manifests]);
  signal.throwIfAborted();
  const domains = [...tenants.map(({ name }) => name), defaultTenant].map((name) =>
    `vrfdomain/${name}`
  );
  await kubectl(lab, ["wait", "--for=condition=Ready", `--timeout=${patience}s`, ...domains]);
}

/** Starts all pods, on both nodes at once, and a responder in each. */
export async function startPods(lab: Lab, dist: string, signal: AbortSignal): Promise<PlacedPod[]> {
  const pods = await announcePods(lab, labPods(lab.nodes));
  const placed = await Promise.all(lab.nodes.map(async (node) => {
    const mine = await placePods(
      node,
      dist,
      pods.filter((pod) => pod.node === node.name),
      signal,
    );
    const answers = mine.map((pod) => ({ path: podNetns(pod), name: pod.name }));
    await startResponder(lab, node.holder, answers, signal);
    return mine;
  }));
  return placed.flat();
}

async function placePods(
  node: RunningNode,
  dist: string,
  pods: readonly LabPod[],
  signal: AbortSignal,
): Promise<PlacedPod[]> {
  const placed: PlacedPod[] = [];
  for (const pod of pods) {
    signal.throwIfAborted();
    placed.push({ ...pod, address: addressOf(await startPod(node, dist, pod)) });
  }
  return placed;
}

const routesSchema = z.record(
  z.string(),
  z.array(z.object({ protocol: z.string(), installed: z.boolean().optional() })),
);

/** Waits until every node has learnt every other node's blocks over EVPN and put them into its VRFs. */
export async function awaitRoutes(
  lab: Lab,
  pods: readonly PlacedPod[],
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(lab.nodes.map(async (node) => {
    for (const { vrf, name } of [...tenants, { vrf: 42, name: defaultTenant }]) {
      const remote = pods.filter((pod) => pod.tenant === name && pod.node !== node.name);
      const show = `show ip route vrf vrf-${vrf} json`;
      await until(`"${node.name}" to learn the routes of "${name}"`, patience, async () => {
        const routes = routesSchema.parse(JSON.parse(await askFrr(node.holder, "zebra", show)));
        const learnt = Object.entries(routes).filter(([, paths]) =>
          paths.some((path) => path.protocol === "bgp" && path.installed === true)
        ).map(([prefix]) => prefix);
        return remote.every((pod) => learnt.some((prefix) => holds(prefix, pod.address)))
          ? true
          : undefined;
      }, signal);
    }
  }));
}

function holds(cidr: string, address: string): boolean {
  const [network = "", length = "32"] = cidr.split("/");
  const shift = 2 ** (32 - Number(length));
  return Math.floor(toNumber(network) / shift) === Math.floor(toNumber(address) / shift);
}

function toNumber(address: string): number {
  return address.split(".").reduce((value, octet) => value * 256 + Number(octet), 0);
}

/** Measures the whole matrix. */
export function measureMatrix(lab: Lab, pods: readonly PlacedPod[]): Promise<MeasuredCell[]> {
  const home = new Map([
    ...pods.map((pod): [string, string] => [pod.name, pod.node]),
    ...lab.nodes.map(({ name }): [string, string] => [name, name]),
  ]);
  return measure(lab, expectedMatrix(lab.nodes, pods), home);
}
