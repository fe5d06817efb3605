/** The lab within an operator's fabric, and what its cases have at hand. */
import assert from "node:assert/strict";
import { type ApiReader, startApiReader } from "../api_reader.ts";
import { applyTenants, measureMatrix, startPods } from "../demo_lab.ts";
import { askFrr } from "../frr_words.ts";
import { type Lab, type RunningNode, startLab } from "../lab.ts";
import { kubectl, startResponder } from "../machines.ts";
import { mismatches } from "../matrix.ts";
import { readConditions, readPeers } from "../object_status.ts";
import { repository } from "../options.ts";
import { jobs, patience } from "../patience.ts";
import { until } from "../process.ts";
import { addHost, type Router } from "../routers.ts";
import { applyObjects } from "../stretched_lab.ts";
import { type PlacedPod, underlay } from "../topology.ts";
import { customer, startEdge, startReflector, tenant } from "./fabric_routers.ts";

/** A lab of two nodes with tenants and pods, two route reflectors and a provider edge. */
export interface Fabric extends AsyncDisposable {
  /** The lab. */
  readonly lab: Lab;
  /** Folder with the built executables. */
  readonly dist: string;
  /** Reads objects without a process for each look. */
  readonly api: ApiReader;
  /** A pod of each tenant on each node. */
  readonly pods: readonly PlacedPod[];
  /** The reflectors; one that dies is replaced here. */
  readonly reflectors: [Router, Router];
  /** The provider edge. */
  readonly edge: Router;
  /** Path of the namespace of the host behind the provider edge. */
  readonly customerNetns: string;
  /** For what waits. */
  readonly signal: AbortSignal;
}

/** A sentence about behaviour, and how to see that it holds. */
export interface FabricCase {
  /** The sentence. */
  readonly name: string;
  /** Throws when it does not hold. */
  readonly run: (fabric: Fabric) => Promise<void>;
}

/** Starts everything; the nodes still peer with each other. */
export async function startFabric(backend: "device" | "netns"): Promise<Fabric> {
  const dist = `${repository}/dist`;
  const { signal } = new AbortController();
  await using stack = new AsyncDisposableStack();
  const lab = stack.use(
    await startLab({
      name: `fabric-${backend}-${Deno.pid}`,
      backend,
      nodes: 2,
      dist,
      keep: false,
      ...jobs,
      signal,
      progress: (line) => console.error(`   ${line}`),
    }),
  );
  const api = stack.use(await startApiReader(lab));
  await applyTenants(lab, signal);
  const pods = await startPods(lab, dist, signal);
  const reflectors: [Router, Router] = [await startReflector(lab, 0), await startReflector(lab, 1)];
  stack.defer(async () => {
    for (const reflector of reflectors) await reflector[Symbol.asyncDispose]();
  });
  const edge = stack.use(await startEdge(lab));
  const customerNetns = await addHost(edge, tenant.number, customer);
  const answers = [{ path: customerNetns, name: customer.name }];
  await startResponder(lab, edge.machine, answers, signal);
  const owned = stack.move();
  return {
    lab,
    dist,
    api,
    pods,
    reflectors,
    edge,
    customerNetns,
    signal,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A tenant's pod on a node. */
export function podOf({ pods }: Fabric, node: RunningNode, tenantName: string): PlacedPod {
  const pod = pods.find((each) => each.node === node.name && each.tenant === tenantName);
  assert.ok(pod);
  return pod;
}

/** A node, counted from 0. */
export function nodeAt({ lab }: Fabric, index: number): RunningNode {
  const node = lab.nodes[index];
  assert.ok(node);
  return node;
}

/** A node by its name. */
export function nodeNamed(fabric: Fabric, name: string): RunningNode {
  return nodeAt(fabric, fabric.lab.nodes.findIndex((node) => node.name === name));
}

/** Gives every node its settings; each may have an AS number of its own. */
export function configureNodes(
  { lab }: Fabric,
  specOf: (node: { readonly asn: number }) => Readonly<Record<string, unknown>>,
): Promise<string> {
  return applyObjects(
    lab,
    lab.nodes.map((node, index) => ({
      apiVersion: "cni.pyroute2.org/v1alpha1",
      kind: "VRFNodeConfig",
      metadata: { name: node.name },
      spec: {
        nodeRef: { name: node.name },
        interfaces: [{ name: underlay.ifname, local: node.address }],
        ...specOf({ asn: 65001 + index }),
      },
    })),
  );
}

/** Gives the first tenant route targets; null takes them away. */
export function patchTargets({ lab }: Fabric, routeTargets: unknown): Promise<string> {
  const patch = JSON.stringify({ spec: { routeTargets } });
  return kubectl(lab, ["patch", "vrd", "tenant-a", "--type=merge", "-p", patch]);
}

/** Waits until every node says that it has exactly these peers, all of them established. */
export async function untilPeers(
  fabric: Fabric,
  peersOf: (node: RunningNode) => readonly string[],
): Promise<void> {
  const wanted = fabric.lab.nodes.map((node) =>
    peersOf(node).toSorted().map((address) => `${address}=true`).join(" ")
  );
  await until(`the peers "${wanted.join("; ")}"`, patience, async () => {
    return (await peersByState(fabric)).join("; ") === wanted.join("; ") ? true : undefined;
  });
}

/** Waits until the settings of every node are ready, or are not, for this reason. */
export async function untilSettings({ lab, api }: Fabric, reason: string): Promise<void> {
  await until(`each node's settings to be "${reason}"`, patience, async () => {
    const found = await readConditions(api, "vrfnodeconfigs", "Ready");
    const all = found.length === lab.nodes.length;
    return all && found.every((each) => each.reason === reason) || undefined;
  });
}

/** Waits until every node says of a peer that it is up, or down. */
export async function untilPeer(
  fabric: Fabric,
  address: string,
  established: boolean,
): Promise<void> {
  await until(`"${address}" to be ${established ? "up" : "down"}`, patience, async () => {
    const states = await peersByState(fabric);
    return states.every((state) => state.includes(`${address}=${established}`)) || undefined;
  });
}

/** Each node's peers, such as `192.168.124.21=true`. */
export async function peersByState({ lab, api }: Fabric): Promise<string[]> {
  const peers = await readPeers(api);
  return lab.nodes.map(({ name }) =>
    (peers.get(name) ?? []).map(({ address, established }) => `${address}=${established}`)
      .toSorted().join(" ")
  );
}

/** Prefixes that a node's VRF has from BGP. */
export async function learnt(node: RunningNode, vrf: number): Promise<string[]> {
  const show = `show ip route vrf vrf-${vrf} bgp json`;
  return Object.keys(JSON.parse(await askFrr(node.holder, "zebra", show)));
}

/** Waits until everybody reaches whom they should, and nobody else. */
export async function untilMatrixHolds({ lab, pods }: Fabric): Promise<void> {
  await until(
    "the matrix",
    patience,
    async () => mismatches(await measureMatrix(lab, pods)).length === 0 ? true : undefined,
  );
}
