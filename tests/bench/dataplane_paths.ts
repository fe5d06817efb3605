/** What carries packets between two ends: pods of a lab on one node and on two, and the bare devices that they are held against. */
import type { RunningNode } from "../lab/lab.ts";
import { addressOf, announcePods, podNetns, startPod, untilKnown } from "../lab/pods.ts";
import { execute } from "../lab/process.ts";
import { defaultTenant, type LabPod } from "../lab/topology.ts";
import { ours } from "./report.ts";
import type { BenchLab } from "./subjects.ts";

/** A network namespace on a node. */
export interface PathEnd {
  readonly node: RunningNode;
  /** Path of the namespace on the node. */
  readonly netns: string;
  /** Address there. */
  readonly address: string;
}

/** Two ends that are measured. */
export interface DataPath {
  /** `on one node` or `across two nodes`. */
  readonly where: string;
  /** Whose it is, for the table. */
  readonly subject: string;
  readonly client: PathEnd;
  readonly server: PathEnd;
}

/** The command's words, so that it runs in an end's namespace. */
export function inEnd({ node, netns }: PathEnd, command: readonly string[]): string[] {
  return node.holder.inside(["nsenter", `--net=${netns}`, ...command]);
}

/** The MTU that pods have: the underlay's less VXLAN's headers. */
const mtu = "1450";

/** Makes all four: pods and bare devices, on one node and across two. */
export async function makePaths({ lab }: Pick<BenchLab, "lab">, dist: string): Promise<DataPath[]> {
  const [one, other] = lab.nodes;
  if (one === undefined || other === undefined) {
    throw new Error(`Expected a lab with two nodes, found ${lab.nodes.length}`);
  }
  const places = [one, one, other];
  const pods = await announcePods(
    lab,
    places.map(({ name }, index): LabPod => ({
      name: `path-${index}`,
      node: name,
      namespace: "default",
      tenant: defaultTenant,
    })),
  );
  const ends: PathEnd[] = [];
  for (const [index, pod] of pods.entries()) {
    const node = places[index] ?? one;
    await untilKnown(node, dist, pod);
    const address = addressOf(await startPod(node, dist, pod));
    ends.push({ node, netns: podNetns(pod), address });
  }
  const [client, near, far] = ends;
  if (client === undefined || near === undefined || far === undefined) {
    throw new Error("Expected three pods, found fewer");
  }
  const [vethClient, vethServer] = await bareVeth(one);
  const [vxlanClient, vxlanServer] = await bareVxlan(one, other);
  return [
    { where: sameNode, subject: ours, client, server: near },
    { where: sameNode, subject: "veth pair", client: vethClient, server: vethServer },
    { where: twoNodes, subject: ours, client, server: far },
    { where: twoNodes, subject: "VXLAN alone", client: vxlanClient, server: vxlanServer },
  ];
}

const sameNode = "on one node";
const twoNodes = "across two nodes";

async function bareVeth(node: RunningNode): Promise<[PathEnd, PathEnd]> {
  const client = await makeEnd(node, "bare-veth-0", "192.0.2.1");
  const server = await makeEnd(node, "bare-veth-1", "192.0.2.2");
  await node.holder.run([
    ...["ip", "link", "add", "bare0", "mtu", mtu, "type", "veth"],
    ...["peer", "name", "bare1", "mtu", mtu],
  ]);
  await moveIn(client, "bare0");
  await moveIn(server, "bare1");
  return [client, server];
}

/** The devices' own UDP port keeps them apart from the daemon's. */
async function bareVxlan(one: RunningNode, other: RunningNode): Promise<[PathEnd, PathEnd]> {
  const client = await makeEnd(one, "bare-vxlan", "192.0.2.9");
  const server = await makeEnd(other, "bare-vxlan", "192.0.2.10");
  for (const [from, to] of [[client, server], [server, client]] as const) {
    await from.node.holder.run([
      ...["ip", "link", "add", "barevx", "mtu", mtu, "type", "vxlan", "id", "9999"],
      ...["local", from.node.address, "remote", to.node.address, "dstport", "4790"],
    ]);
    await moveIn(from, "barevx");
  }
  return [client, server];
}

async function makeEnd(node: RunningNode, name: string, address: string): Promise<PathEnd> {
  const netns = podNetns({ name });
  const make = 'touch "$1"; unshare "--net=$1" ip link set lo up';
  await node.holder.run(["sh", "-ec", make, "sh", netns]);
  return { node, netns, address };
}

async function moveIn(end: PathEnd, link: string): Promise<void> {
  await end.node.holder.run(["ip", "link", "set", link, "netns", end.netns]);
  await execute(inEnd(end, ["ip", "address", "add", `${end.address}/29`, "dev", link]));
  await execute(inEnd(end, ["ip", "link", "set", link, "up"]));
}
