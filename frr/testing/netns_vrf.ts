/** A VRF that is a network namespace, made and removed with plain `ip` commands in the order that zebra survives. */

import type { FrrClient } from "../client.ts";
import type { FrrRoutes, FrrState } from "../protocol.ts";
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
export async function addNamespace(
  frr: Pick<FrrInstance, "run">,
  vrf: NetnsVrf,
): Promise<void> {
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
export async function addLinks(
  frr: Pick<FrrInstance, "run">,
  vrf: NetnsVrf,
): Promise<void> {
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
export async function removeLinks(
  frr: Pick<FrrInstance, "run">,
  vrf: NetnsVrf,
): Promise<void> {
  const name = `vrf-${vrf.number}`;
  await frr.run("ip", "-n", name, "link", "del", `l3vx-${vrf.vni}`);
  await frr.run("ip", "-n", name, "link", "del", `l3br-${vrf.number}`);
}

/** Then the namespace. Wait until zebra shows the VRF as inactive, and apply once more, so that it is forgotten. */
export async function removeNamespace(
  frr: Pick<FrrInstance, "run">,
  vrf: NetnsVrf,
): Promise<void> {
  await frr.run("ip", "netns", "del", `vrf-${vrf.number}`);
}

/**
 * Removes a namespace by hand, with all that is in it. The kernel takes it apart later, and until then a VXLAN device's VNI is not free: the end
 * of a veth pair tells when, since all links of a namespace go at once (default_device_exit_batch of net/core/dev.c).
 *
 * @throws {Error} After fifteen seconds
 */
export async function wreckNamespace(
  frr: Pick<FrrInstance, "run">,
  vrf: NetnsVrf,
): Promise<void> {
  const name = `vrf-${vrf.number}`;
  const pair = ["link", "add", "witness", "type", "veth", "peer", "name", "witness"];
  await frr.run("ip", ...pair, "netns", name);
  await removeNamespace(frr, vrf);
  const end = performance.now() + 15_000;
  while ((await frr.run("ip", "-br", "link")).includes("witness")) {
    if (performance.now() > end) throw new Error(`The links of ${name} do not go`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
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

/**
 * Waits until zebra has put routes of BGP into a VRF's table, in the kernel too: bgpd counts a prefix as received before
 * zebra has heard of it.
 *
 * @param prefixes All that the VRF imports
 * @throws {Error} After fifteen seconds, with what is there then
 */
export async function untilImported(
  { frr, client }: { readonly frr: Pick<FrrInstance, "run">; readonly client: FrrClient },
  vrf: string,
  prefixes: readonly string[],
): Promise<FrrRoutes> {
  const end = performance.now() + 15_000;
  const wanted = prefixes.toSorted().join(" ");
  for (;;) {
    const answer = await client.routes(vrf, AbortSignal.timeout(10_000));
    const zebra = answer.routes.filter(({ protocol, selected }) => protocol === "bgp" && selected);
    const kernel: string[] = [];
    for (const version of ["-4", "-6"]) {
      const shown = await frr.run("ip", version, "-n", vrf, "route", "show", "proto", "bgp");
      kernel.push(
        ...shown.split("\n").flatMap((line) => /^[\da-f:.]+(\/\d+)?/.exec(line)?.[0] ?? []),
      );
    }
    const found = [zebra.map(({ prefix }) => prefix), kernel].map((all) =>
      all.toSorted().join(" ")
    );
    if (found.every((all) => all === wanted)) return answer;
    if (performance.now() > end) {
      throw new Error(
        `"${wanted}" does not come, zebra and the kernel have "${found.join('", "')}"`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
