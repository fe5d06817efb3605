/**
 * The pods in the neighbour table of a bridge that stretches a subnet.
 *
 * zebra announces a MAC together with an address (EVPN type 2, RFC 7432 section 7.2) for what it finds there, and the other nodes answer
 * ARP for it on the spot. A permanent entry is there at once and as long as the pod is, whether the pod says anything or not.
 *
 * @module
 */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { addAddress } from "../../lib/netlink/rtnl/address.ts";
import { getLink } from "../../lib/netlink/rtnl/link.ts";
import {
  addNeighbor,
  deleteNeighbor,
  listNeighbors,
  type Neighbor,
  NTF,
  NUD,
} from "../../lib/netlink/rtnl/neighbor.ts";
import { addressFamily, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { type OverlaySpec, type PodPort, ruleProtocol } from "./port.ts";

/** A pod's address with its MAC. */
export interface PodNeighbor {
  /** The address. */
  readonly address: string;
  /** MAC in the pod. */
  readonly mac: string;
}

/**
 * Makes the bridge's neighbour table know a pod, whatever it knew of the address before: another node's pod too, which has gone or has
 * moved here.
 *
 * @param bridgeIndex Index of the bridge
 * @throws {NetlinkError} If the kernel refuses
 */
export function knowPod(
  connection: NetlinkConnection,
  bridgeIndex: number,
  { address, mac }: PodNeighbor,
): void {
  const entry = { index: bridgeIndex, address, mac, protocol: ruleProtocol };
  addNeighbor(connection, entry, { replace: true });
}

/**
 * Makes the bridge's neighbour table forget an address. Where it has become another node's meanwhile, zebra puts that entry back.
 *
 * @param bridgeIndex Index of the bridge
 * @throws {NetlinkError} If the kernel refuses
 */
export function forgetPod(
  connection: NetlinkConnection,
  bridgeIndex: number,
  address: string,
): void {
  try {
    deleteNeighbor(connection, { index: bridgeIndex, address });
  } catch (thrown) {
    if (!(thrown instanceof NetlinkError) || thrown.errnoName !== "ENOENT") throw thrown;
  }
}

/**
 * How many addresses zebra has to know on a bridge: its own ones and those of its neighbour table.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function countAddresses(
  connection: NetlinkConnection,
  { bridge, gateways }: Pick<OverlaySpec, "bridge" | "gateways">,
): number {
  return gateways.length + neighborsOf(connection, bridge).filter(isUsable).length;
}

/**
 * Has the kernel tell zebra of a bridge's own addresses once more. It reads links and addresses in threads of their own (FRR 8.4): an address
 * that comes with its bridge it passes over for good when it takes it up before the bridge, as it does while it has much to do.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function announceGateways(
  connection: NetlinkConnection,
  { bridge, gateways }: Pick<OverlaySpec, "bridge" | "gateways">,
): void {
  const index = getLink(connection, { name: bridge })?.index;
  if (index === undefined) return;
  for (const gateway of gateways) {
    const nodad = addressFamily(gateway.address) === 6;
    addAddress(connection, { index, ...gateway, nodad }, { ifExists: "replace" });
  }
}

/**
 * Has the kernel tell zebra of the pods of a bridge once more, and of the gateways. Where VRFs are namespaces, zebra hears of neighbours only when
 * the kernel tells of a change: what it reads from the table, after a restart or when the VXLAN device came anew, it looks for in the wrong
 * namespace (netlink_neigh_table of zebra/rt_netlink.c in FRR 8.4).
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function announcePods(
  connection: NetlinkConnection,
  { bridge, gateways }: Pick<OverlaySpec, "bridge" | "gateways">,
): void {
  announceGateways(connection, { bridge, gateways });
  for (const pod of neighborsOf(connection, bridge).filter(isPod)) {
    // Both states are as good; it is the change that is told.
    addNeighbor(connection, { ...pod, state: NUD.NOARP }, { replace: true });
    addNeighbor(connection, pod, { replace: true });
  }
}

/**
 * Deletes what zebra has put into a bridge's neighbour table. What it still knows it puts back as soon as the kernel tells that it is gone
 * (zebra_vxlan_handle_kernel_neigh_del of zebra/zebra_vxlan.c); an earlier run of it may have left more, which it has never read where VRFs are
 * namespaces.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function askAddressesBack(
  connection: NetlinkConnection,
  { bridge }: Pick<OverlaySpec, "bridge">,
): void {
  for (const { index, address, flags = 0 } of neighborsOf(connection, bridge)) {
    if ((flags & NTF.EXT_LEARNED) !== 0) forgetPod(connection, index, address);
  }
}

function neighborsOf(connection: NetlinkConnection, bridge: string): Neighbor[] {
  const index = getLink(connection, { name: bridge })?.index;
  return index === undefined ? [] : listNeighbors(connection, { index });
}

/** Not the kernel's own entries for multicast groups, and not what nobody has answered for. */
function isUsable({ state = 0, flags = 0 }: Neighbor): boolean {
  const usable = NUD.PERMANENT | NUD.REACHABLE | NUD.STALE | NUD.DELAY | NUD.PROBE;
  return (flags & NTF.EXT_LEARNED) !== 0 || (state & usable) !== 0;
}

function isPod({ protocol, state }: Neighbor): boolean {
  return protocol === ruleProtocol && state === NUD.PERMANENT;
}

/**
 * The addresses of pods that are not, or not rightly, in the bridge's neighbour table. What EVPN put there stays: the address has moved to
 * another node. Pure.
 *
 * @param found The table's entries for the bridge
 */
export function missingNeighbors(
  ports: readonly PodPort[],
  found: readonly Neighbor[],
): PodNeighbor[] {
  const known = new Map(found.map((neighbor) => [canonical(neighbor.address), neighbor]));
  return ports.flatMap(({ mac, addresses }) =>
    addresses.filter((address) => !isRight(known.get(canonical(address)), mac))
      .map((address) => ({ address, mac }))
  );
}

function isRight(neighbor: Neighbor | undefined, mac: string): boolean {
  if (neighbor === undefined) return false;
  if (((neighbor.flags ?? 0) & NTF.EXT_LEARNED) !== 0) return true;
  return neighbor.mac === mac && neighbor.state === NUD.PERMANENT;
}

function canonical(text: string): string {
  const { family, value } = parseAddress(text);
  return formatAddress(family, value);
}
