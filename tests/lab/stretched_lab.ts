/** Tenants whose subnet is stretched over two or three nodes, with the same addresses, each on another node. */
import { z } from "zod";
import type { Lab, RunningNode } from "./lab.ts";
import { kubectl, startResponder } from "./machines.ts";
import { patience } from "./patience.ts";
import { addressOf, podNetns, startPod } from "./pods.ts";
import { until } from "./process.ts";
import type { LabPod, PlacedPod } from "./topology.ts";
import { inVrf } from "./vrf_words.ts";

/** A tenant with a stretched subnet. */
export interface StretchedTenant {
  /** Name of the VRFDomain. */
  readonly name: string;
  /** VRF number. */
  readonly vrf: number;
  /** VNI of the stretched subnet. */
  readonly l2vni: number;
  /** Its Kubernetes namespace. */
  readonly namespace: string;
  /** How many nodes its blocks are moved on by: a node could not tell the same addresses of two tenants apart. */
  readonly shift: number;
}

/** Reaches nothing but its own subnet and, through NAT, the outside. */
export const flat: StretchedTenant = {
  name: "tenant-flat",
  vrf: 400,
  l2vni: 50400,
  namespace: "team-flat",
  shift: 0,
};

/** Has an l3vni besides. */
export const routed: StretchedTenant = {
  name: "tenant-routed",
  vrf: 500,
  l2vni: 50500,
  namespace: "team-routed",
  shift: 1,
};

/** Both. */
export const stretchedTenants: readonly StretchedTenant[] = [flat, routed];

/** A block of 28 bits as an object, for a node to hold. */
export function blockFor(vrf: number, network: string, nodeName: string): unknown {
  return {
    apiVersion: "ipam.pyroute2.org/v1alpha1",
    kind: "IPBlock",
    metadata: { name: blockName(vrf, network) },
    spec: { cidr: `${network}/28`, nodeName, vrfTable: vrf },
  };
}

/** Name of a block of 28 bits. */
export function blockName(vrf: number, network: string): string {
  return `vrf-${vrf}-${network.replaceAll(".", "-")}-28`;
}

/** Creates objects, as `kubectl apply` does. */
export function applyObjects(lab: Lab, items: readonly unknown[]): Promise<string> {
  const list = { apiVersion: "v1", kind: "List", items };
  return kubectl(lab, ["apply", "-f", "-"], JSON.stringify(list));
}

/** Applies the tenants with a block for each node; resolves when every node carries them. */
export async function applyStretched(lab: Lab): Promise<void> {
  const manifests = new URL("./stretched", import.meta.url).pathname;
  await kubectl(lab, ["apply", "-f", manifests]);
  await applyObjects(
    lab,
    stretchedTenants.flatMap(({ vrf, shift }) =>
      lab.nodes.map(({ name }, index) =>
        blockFor(vrf, `10.160.0.${16 * (1 + (index + shift) % lab.nodes.length)}`, name)
      )
    ),
  );
  const domains = stretchedTenants.map(({ name }) => `vrfdomain/${name}`);
  await kubectl(lab, ["wait", "--for=condition=Ready", `--timeout=${patience}s`, ...domains]);
}

/** A pod of each tenant on each node. */
export function stretchedPods(lab: Lab): readonly LabPod[] {
  return stretchedTenants.flatMap(({ name: tenant, namespace }) =>
    lab.nodes.map(({ name: node }, index) => ({
      name: `${namespace}-${index + 1}`,
      node,
      namespace,
      tenant,
    }))
  );
}

/** Starts pods, on all nodes at once, and a responder in each. */
export async function placePods(
  lab: Lab,
  dist: string,
  pods: readonly LabPod[],
  signal: AbortSignal,
): Promise<PlacedPod[]> {
  const placed = await Promise.all(lab.nodes.map(async (node) => {
    const mine: PlacedPod[] = [];
    for (const pod of pods.filter((pod) => pod.node === node.name)) {
      mine.push({ ...pod, address: addressOf(await startPod(node, dist, pod)) });
    }
    const answers = mine.map((pod) => ({ path: podNetns(pod), name: pod.name }));
    await startResponder(lab, node.holder, answers, signal);
    return mine;
  }));
  return placed.flat();
}

const neighborsSchema = z.array(z.object({ dst: z.string(), lladdr: z.string().optional() }));

/** What a node knows of a stretched subnet's addresses: MACs by address. */
export async function knownNeighbors(
  lab: Lab,
  node: RunningNode,
  vrf: number,
): Promise<ReadonlyMap<string, string>> {
  const show = ["ip", "-json", "neighbour", "show", "dev", `l2br-${vrf}`];
  const found = neighborsSchema.parse(JSON.parse(await inVrf(lab, node, vrf, show) || "[]"));
  return new Map(found.map(({ dst, lladdr = "" }) => [dst, lladdr]));
}

/** Waits until every node knows the MAC of each pod of the tenants. */
export async function awaitNeighbors(
  lab: Lab,
  pods: readonly PlacedPod[],
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(
    lab.nodes.flatMap((node) =>
      stretchedTenants.map(({ name, vrf }) =>
        until(`"${node.name}" to know the pods of "${name}"`, patience, async () => {
          const known = await knownNeighbors(lab, node, vrf);
          const all = pods.filter(({ tenant }) => tenant === name);
          return all.every(({ address }) => known.has(address)) ? true : undefined;
        }, signal)
      )
    ),
  );
}
