/** A VRF that is a network namespace, made and removed with plain `ip` commands in the order that zebra survives. */

import type { FrrClient } from "../client.ts";
import type { FrrState } from "../protocol.ts";
import type { FrrInstance } from "./frr_instance.ts";

/** What a node puts into one VRF. */
export interface NetnsVrf {
  /** Number of the VRF: namespace `vrf-<number>`, bridge `l3br-<number>`. */
  readonly number: number;
  /** L3VNI. */
  readonly vni: number;
  /** The node's VTEP address. */
  readonly local: string;
  /** The gateway address of the node's block, with its length. */
  readonly gateway: string;
  /** Fixed MAC of the bridge, unique per node and VRF. */
  readonly mac: string;
}

/** First step: the namespace. Wait until zebra shows the VRF as active, then apply the configuration. */
export async function addNamespace(frr: FrrInstance, vrf: NetnsVrf): Promise<void> {
  const name = `vrf-${vrf.number}`;
  await frr.run("ip", "netns", "add", name);
  await frr.run("ip", "-n", name, "link", "set", "lo", "up");
  await frr.run(
    "ip",
    "netns",
    "exec",
    name,
    "sysctl",
    "-qw",
    "net.ipv4.ip_forward=1",
    "net.ipv4.conf.all.rp_filter=0",
  );
}

/** Third step, after FRR has its configuration: bridge, then the VXLAN device, up last. */
export async function addLinks(frr: FrrInstance, vrf: NetnsVrf): Promise<void> {
  const name = `vrf-${vrf.number}`;
  const bridge = `l3br-${vrf.number}`;
  const vxlan = `l3vx-${vrf.vni}`;
  const commands = [
    `ip -n ${name} link add ${bridge} address ${vrf.mac} type bridge`,
    `ip -n ${name} link set ${bridge} addrgenmode none`,
    `ip -n ${name} address add ${vrf.gateway} dev ${bridge}`,
    `ip -n ${name} link set ${bridge} up`,
    `ip link add ${vxlan} type vxlan id ${vrf.vni} local ${vrf.local} dstport 4789 nolearning`,
    `ip link set ${vxlan} netns ${name}`,
    `ip -n ${name} link set ${vxlan} addrgenmode none master ${bridge}`,
    `ip -n ${name} link set ${vxlan} type bridge_slave learning off neigh_suppress on`,
    `ip -n ${name} link set ${vxlan} up`,
  ];
  await frr.run("sh", "-ec", commands.join("\n"));
}

/** After the configuration without the VRF has been applied: the links. Wait until zebra shows only `lo`. */
export async function removeLinks(frr: FrrInstance, vrf: NetnsVrf): Promise<void> {
  const name = `vrf-${vrf.number}`;
  await frr.run("ip", "-n", name, "link", "del", `l3vx-${vrf.vni}`);
  await frr.run("ip", "-n", name, "link", "del", `l3br-${vrf.number}`);
}

/** Then the namespace. Wait until zebra shows the VRF as inactive, and apply once more, so that it is forgotten. */
export async function removeNamespace(frr: FrrInstance, vrf: NetnsVrf): Promise<void> {
  await frr.run("ip", "netns", "del", `vrf-${vrf.number}`);
}

/**
 * Asks the agent until its state is as wanted.
 *
 * @throws {Error} After fifteen seconds, with the state as it is then
 */
export async function untilState(
  client: FrrClient,
  what: string,
  wanted: (state: FrrState) => boolean,
): Promise<FrrState> {
  const end = performance.now() + 15_000;
  for (;;) {
    const state = await client.state(AbortSignal.timeout(10_000));
    if (wanted(state)) return state;
    if (performance.now() > end) {
      throw new Error(`${what} does not come, the state is ${JSON.stringify(state)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
