/** Nodes with a stretched subnet, and what zebra would do to them. */
import assert from "node:assert/strict";
import type { VrfSpec } from "../../daemon/kernel/port.ts";
import { podMac } from "../../daemon/kernel/names.ts";
import { gatewayOf, type KernelNode, portOf } from "./kernel_node.ts";
import { type Namespace, type Segment, succeed } from "./segment.ts";

/** VNI of the stretched subnet. */
export const vni = 51_200;

/** A VRF with an l2vni and one pod. */
export function stretched(node: KernelNode, block: string, pod: string): VrfSpec {
  const gateways = [{ address: gatewayOf(block), prefixLength: 16 }];
  const overlay = { type: "l2vni", vni, gateways, ports: [portOf("pod1", pod)] } as const;
  return node.spec({ vrf: 200, blocks: [block], overlay });
}

/** Plugs a pod in that has said nothing yet. */
export async function silentPod(
  node: KernelNode,
  segment: Segment,
  name: string,
  pod: string,
): Promise<Namespace> {
  const namespace = await segment.namespace(name);
  const inside = namespace.path.slice("/run/netns/".length);
  const { bridge } = node.kernel.attachmentPoint(200);
  await node.space(200).ip(
    `link add pod1 type veth peer name eth0 address ${podMac(200, pod)} netns ${inside}`,
    `link set pod1 master ${bridge} mtu 1450 addrgenmode none up`,
    "link set pod1 type bridge_slave hairpin on",
  );
  await namespace.ip(
    "link set eth0 mtu 1450 addrgenmode none up",
    `address add ${pod}/16 dev eth0`,
    `route add default via ${gatewayOf(pod)}`,
  );
  return namespace;
}

/** What zebra puts into kernel tables for a node's type-3 route and a pod's type-2 route: tunnel endpoint, MAC, and address. */
export async function tell(
  node: KernelNode,
  vxlan: string,
  bridge: string,
  address: string,
  vtep: string,
): Promise<void> {
  const mac = podMac(200, address);
  const space = node.space(200);
  const fdb = (...words: string[]) =>
    space.command("bridge", "fdb", "add", mac, "dev", vxlan, ...words);
  const flood = ["fdb", "append", "00:00:00:00:00:00", "dev", vxlan, "dst", vtep, "self"];
  await succeed(space.command("bridge", ...flood));
  await succeed(fdb("dst", vtep, "self", "extern_learn"));
  await succeed(fdb("master", "extern_learn"));
  await space.ip(
    `neighbour replace ${address} lladdr ${mac} dev ${bridge} extern_learn nud noarp`,
  );
}

/** Packets that a link has sent. */
export async function transmitted(space: Namespace, link: string): Promise<number> {
  const [row] = await space.rows("-s", "link", "show", "dev", link);
  const packets = /"tx":\{"bytes":\d+,"packets":(\d+)/.exec(JSON.stringify(row?.stats64))?.[1];
  assert.ok(packets);
  return Number(packets);
}
