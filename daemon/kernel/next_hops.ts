/**
 * The next hops of a VRF's EVPN routes as the kernel has them: a neighbour on the L3VNI's bridge (VTEP → router MAC) and the router MAC in
 * the forwarding databases of bridge and VXLAN device (router MAC → VTEP).
 *
 * zebra makes them. Where it takes one away that a route still uses, packets of that route wait for an ARP answer that nobody gives.
 *
 * @module
 */
import { formatAddress, parseAddress } from "../../lib/net/address.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { getLink } from "../../lib/netlink/rtnl/link.ts";
import {
  addFdb,
  addNeighbor,
  deleteFdb,
  deleteNeighbor,
  type FdbEntry,
  listFdb,
  listNeighbors,
  type Neighbor,
  NTF,
  NUD,
} from "../../lib/netlink/rtnl/neighbor.ts";
import { listRoutes } from "../../lib/netlink/rtnl/route.ts";
import { RTPROT } from "../../lib/netlink/rtnl/types.ts";
import { type OverlaySpec, ruleProtocol } from "./port.ts";

/** The L3VNI's links in one VRF. */
export interface NextHopLinks {
  /** Connection in their namespace. */
  readonly connection: NetlinkConnection;
  /** Index of the bridge. */
  readonly bridge: number;
  /** Index of the VXLAN device. */
  readonly vxlan: number;
  /** Table of the VRF's routes in that namespace. */
  readonly table: number;
  /** Whether the overlay itself says where the tunnels end, as it does over IPv6: then nothing is said of it here. */
  readonly hasRemotes: boolean;
}

/** A next hop: the tunnel's other end and the MAC that it routes for. */
export interface NextHop {
  /** Address as the routes have it; for IPv6 routes over an IPv4 tunnel mapped into IPv6 (RFC 4291, section 2.5.5.2). */
  readonly address: string;
  /** Router MAC (RFC 9135, section 8.1). */
  readonly mac: string;
}

/** What is there of next hops, and what is wrong with it. */
export interface NextHopState {
  /** Next hops that routes use and that have a MAC. */
  readonly present: readonly NextHop[];
  /** Those of them whose MAC leads nowhere. */
  readonly broken: readonly NextHop[];
  /** Addresses that routes use and that have no MAC. */
  readonly missing: readonly string[];
  /** Next hops that this project put there and no route uses any more. */
  readonly surplus: readonly NextHop[];
}

/**
 * Finds the links of a VRF's L3VNI by name; undefined while one of them is missing.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function findNextHopLinks(
  connection: NetlinkConnection,
  overlay: Pick<OverlaySpec, "bridge" | "vxlan" | "remotes">,
  table: number,
): NextHopLinks | undefined {
  const bridge = getLink(connection, { name: overlay.bridge })?.index;
  const vxlan = getLink(connection, { name: overlay.vxlan })?.index;
  return bridge === undefined || vxlan === undefined
    ? undefined
    : { connection, bridge, vxlan, table, hasRemotes: overlay.remotes !== undefined };
}

/**
 * Reads what is there.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function readNextHops(links: NextHopLinks): NextHopState {
  const { connection, bridge, vxlan, table, hasRemotes } = links;
  const used = new Set(
    listRoutes(connection, { table }).filter(({ protocol }) => protocol === RTPROT.BGP)
      .flatMap((route) => route.nextHops ?? [route])
      .flatMap(({ oif, gateway }) => oif === bridge && gateway !== undefined ? [gateway] : []),
  );
  const known = listNeighbors(connection, { index: bridge }).filter(isNextHop);
  const addresses = new Set(known.map(({ address }) => address));
  const present = known.filter(({ address }) => used.has(address));
  const ways = new Set(
    present.length === 0
      ? []
      : listFdb(connection, { index: vxlan }).filter(({ index }) => index === vxlan)
        .map(({ mac, dst, master }) => `${mac} ${dst ?? (master === bridge ? "bridge" : "")}`),
  );
  return {
    present,
    broken: present.filter(({ address, mac }) =>
      !(hasRemotes || ways.has(`${mac} ${vtepOf(address)}`)) || !ways.has(`${mac} bridge`)
    ),
    missing: [...used].filter((address) => !addresses.has(address)),
    surplus: known.filter(({ address, protocol }) =>
      protocol === ruleProtocol && !used.has(address)
    ),
  };
}

/** Whether a neighbour is a next hop, whoever put it there: its MAC comes from EVPN, not from ARP. */
export function isNextHop<N extends Neighbor>(neighbor: N): neighbor is N & NextHop {
  return neighbor.mac !== undefined && ((neighbor.flags ?? 0) & NTF.EXT_LEARNED) !== 0;
}

/**
 * Puts a next hop in place, as zebra does. The neighbour comes last: packets that wait for it go on at once.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function putNextHop(links: NextHopLinks, { address, mac }: NextHop): void {
  putForwarding(links, { address, mac });
  addNeighbor(links.connection, {
    index: links.bridge,
    address,
    mac,
    state: NUD.NOARP,
    flags: NTF.EXT_LEARNED,
    protocol: ruleProtocol,
  }, { replace: true });
}

/**
 * Lets a next hop's MAC lead to the tunnel's other end again; the neighbour stays as it is.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function putForwarding(links: NextHopLinks, nextHop: NextHop): void {
  for (const entry of forwardingEntries(links, nextHop)) {
    addFdb(links.connection, entry, { replace: true });
  }
}

/**
 * Takes a next hop away; what is not there is no error.
 *
 * @param keepMac Whether another next hop has the same MAC
 * @throws {NetlinkError} If the kernel refuses
 */
export function dropNextHop(links: NextHopLinks, nextHop: NextHop, keepMac: boolean): void {
  const { connection, bridge } = links;
  unlessMissing(() => deleteNeighbor(connection, { index: bridge, address: nextHop.address }));
  if (keepMac) return;
  for (const entry of forwardingEntries(links, nextHop)) {
    unlessMissing(() => deleteFdb(connection, entry));
  }
}

function forwardingEntries(
  { vxlan, hasRemotes }: NextHopLinks,
  { address, mac }: NextHop,
): FdbEntry[] {
  const learnt = { index: vxlan, mac, state: NUD.REACHABLE } as const;
  const onBridge = { ...learnt, flags: NTF.MASTER | NTF.EXT_LEARNED };
  const end = { ...learnt, flags: NTF.SELF | NTF.EXT_LEARNED, dst: vtepOf(address) };
  return hasRemotes ? [onBridge] : [onBridge, end];
}

/** What a next hop stands for: an IPv4 address where it is one mapped into IPv6. */
export function vtepOf(address: string): string {
  const { family, value } = parseAddress(address);
  const isMapped = family === 6 && value >> 32n === 0xffffn;
  return isMapped ? formatAddress(4, value & 0xffff_ffffn) : address;
}

function unlessMissing(action: () => void): void {
  try {
    action();
  } catch (thrown) {
    if (!(thrown instanceof NetlinkError) || thrown.errnoName !== "ENOENT") throw thrown;
  }
}
