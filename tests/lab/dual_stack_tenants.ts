/**
 * Tenants with IPv6 for a lab of two nodes: two with the same prefixes of both IP versions, one with the same IPv6 prefix alone, and one
 * with IPv4 alone. Also the matrix of who reaches whom by which.
 */
import assert from "node:assert/strict";
import type { IpFamily } from "../../lib/net/address.ts";
import { ipBlockName } from "../../daemon/resources/ip_block.ts";
import type { Lab, RunningNode } from "./lab.ts";
import { kubectl, startResponder } from "./machines.ts";
import { askOn } from "./questions.ts";
import { patience } from "./patience.ts";
import { addressesOf, announcePods, podNetns, type PodResult, startPod } from "./pods.ts";
import { until } from "./process.ts";
import { repository } from "./options.ts";
import type { Answer, Question } from "./tcp_question.ts";
import { answerPort, defaultTenant, type LabPod } from "./topology.ts";

/** An IPv4 range of a tenant. */
export const four = { prefix: "10.150.0.0", prefixlen: 16, ipblocklen: 26 };
/** An IPv6 range of a tenant. */
export const six = { prefix6: "fd00:150::", prefixlen6: 48, ipblocklen6: 64 };

/** The tenants. Each has a namespace of its own name. */
const tenants = [
  { name: "dual-a", vrf: 410, ranges: { ...four, ...six } },
  { name: "dual-b", vrf: 420, ranges: { ...four, ...six } },
  { name: "six", vrf: 430, ranges: six },
  { name: "four", vrf: 440, ranges: four },
];

/** Blocks given to the nodes crosswise, so that pods of two tenants on different nodes have the very same address. */
const crosswise = [
  ["dual-a", "fd00:150::/64", "node1"],
  ["dual-a", "fd00:150:0:1::/64", "node2"],
  ["dual-b", "fd00:150:0:1::/64", "node1"],
  ["dual-b", "fd00:150::/64", "node2"],
] as const;

/** A pod that runs. */
export interface RunningPod extends LabPod {
  /** Its addresses, as its result has them. */
  readonly addresses: readonly string[];
  /** What ADD answered. */
  readonly result: PodResult;
}

/** Applies the tenants with their namespaces and blocks; resolves when every node carries them. */
export async function applyDualStackTenants(lab: Lab): Promise<void> {
  await until("the default domain", patience, async () => {
    await kubectl(lab, ["get", "vrd", defaultTenant]);
    return true;
  });
  const cni = "cni.pyroute2.org/v1alpha1";
  const items = [
    ...tenants.map(({ name }) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } })),
    ...tenants.map(({ name, vrf, ranges }) => ({
      apiVersion: cni,
      kind: "VRFDomain",
      metadata: { name },
      spec: { vrf, table: vrf + 2000, ...ranges, attachments: [{ type: "l3vni", vni: vrf }] },
    })),
    ...tenants.map(({ name }) => ({
      apiVersion: cni,
      kind: "VRFDomainBinding",
      metadata: { name },
      spec: { namespaceRef: { name }, vrfDomainRef: { name } },
    })),
    ...crosswise.map(([tenant, cidr, nodeName]) => ({
      apiVersion: "ipam.pyroute2.org/v1alpha1",
      kind: "IPBlock",
      metadata: { name: ipBlockName(vrfOf(tenant), cidr) },
      spec: { cidr, nodeName, vrfTable: vrfOf(tenant) },
    })),
  ];
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  await kubectl(lab, ["apply", "-f", "-"], list);
  const domains = tenants.map(({ name }) => `vrd/${name}`);
  await kubectl(lab, ["wait", "--for=condition=Ready", `--timeout=${patience}s`, ...domains]);
}

/** VRF number of a tenant. */
export function vrfOf(tenant: string): number {
  return tenants.find(({ name }) => name === tenant)?.vrf ?? 0;
}

/** A pod of each tenant on each node, and one more of the first tenant on the first node. */
export async function startAll(lab: Lab, signal: AbortSignal): Promise<RunningPod[]> {
  const placed = await Promise.all(lab.nodes.map(async (node, at) => {
    const names = tenants.map(({ name }) => ({ name: `${name}-${at + 1}`, tenant: name }));
    if (at === 0) names.push({ name: "dual-a-x", tenant: "dual-a" });
    const running: RunningPod[] = [];
    for (const pod of names) running.push(await start(lab, node, pod));
    const answers = running.map((pod) => ({ path: podNetns(pod), name: pod.name }));
    await startResponder(lab, node.holder, answers, signal);
    return running;
  }));
  return placed.flat();
}

/** Starts a pod that the API knows, with the given annotations of the project. */
export async function start(
  lab: Lab,
  node: RunningNode,
  { name, tenant }: { readonly name: string; readonly tenant: string },
  annotations: Readonly<Record<string, string>> = {},
): Promise<RunningPod> {
  const pod = { name, tenant, namespace: tenant, node: node.name };
  const [announced] = await announcePods(lab, [pod], { annotations });
  assert.ok(announced);
  const result = await startPod(node, `${repository}/dist`, announced);
  return { ...announced, result, addresses: addressesOf(result) };
}

function has({ addresses }: RunningPod, family: IpFamily): boolean {
  return addresses.some((address) => address.includes(":") === (family === 6));
}

/** The pod's address of an IP version. */
export function addressOf(pod: RunningPod, family: IpFamily): string {
  const found = pod.addresses.find((address) => address.includes(":") === (family === 6));
  assert.ok(found, `"${pod.name}" has no IPv${family}`);
  return found;
}

/** Who answers a pod at an address; null for nobody. */
export async function askFrom(
  lab: Lab,
  pod: LabPod,
  ...addresses: readonly string[]
): Promise<Answer[]> {
  const netns = podNetns(pod);
  return await askOn(
    lab,
    pod.node,
    addresses.map((address) => ({ netns, address, port: answerPort })),
  );
}

/** Where somebody else answers than shall: every pod is asked from every pod, and each node asks its own. */
export async function dualStackMismatches(
  lab: Lab,
  pods: readonly RunningPod[],
): Promise<string[]> {
  const found = await Promise.all(lab.nodes.map(async ({ name }) => {
    const cells = cellsOf(pods, name);
    const answers = await askOn(lab, name, cells.map(({ question }) => question));
    return cells.flatMap(({ from, question, expected }, at) => {
      const observed = answers[at]?.name ?? null;
      const text = `${from} to ${question.address}: ${observed} instead of ${expected}`;
      return observed === expected ? [] : [text];
    });
  }));
  return found.flat();
}

/** Every pod on the node to every address, and the node itself to its own pods' addresses. */
function cellsOf(
  pods: readonly RunningPod[],
  node: string,
): { readonly from: string; readonly question: Question; readonly expected: string | null }[] {
  const mine = pods.filter((pod) => pod.node === node);
  const port = answerPort;
  const everywhere = [...new Set(pods.flatMap(({ addresses }) => addresses))];
  return [
    ...mine.flatMap((from) =>
      everywhere.map((address) => ({
        from: from.name,
        question: { netns: podNetns(from), address, port },
        expected: answerTo(pods, from, address),
      }))
    ),
    ...mine.flatMap((to) =>
      to.addresses.map((address) => ({
        from: node,
        question: { netns: null, address, port },
        expected: to.name,
      }))
    ),
  ];
}

/** Who shall answer a pod: nobody where it has no address of that IP version. */
function answerTo(pods: readonly RunningPod[], from: RunningPod, address: string): string | null {
  if (!has(from, address.includes(":") ? 6 : 4)) return null;
  const to = pods.find((pod) => pod.tenant === from.tenant && pod.addresses.includes(address));
  return to?.name ?? null;
}
