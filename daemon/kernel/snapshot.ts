/** What a network namespace holds of links and addresses at one moment. */
import { addressFamily } from "../../lib/net/address.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { type InterfaceAddress, listAddresses } from "../../lib/netlink/rtnl/address.ts";
import { type Link, listLinks } from "../../lib/netlink/rtnl/link.ts";
import { listFdb, listNeighbors, type Neighbor } from "../../lib/netlink/rtnl/neighbor.ts";
import { RT_SCOPE } from "../../lib/netlink/rtnl/types.ts";
import { isStretched } from "./names.ts";
import { isOfKind } from "./ownership.ts";
import type { GatewayAddress, RemoteVtep } from "./port.ts";

/** Links, addresses and neighbours of a namespace, read by one dump each, however many links there are. */
export interface Snapshot {
  /** Links by name. */
  readonly links: ReadonlyMap<string, Link>;
  /** Addresses by link index, without the link-local ones of IPv6. */
  readonly addresses: ReadonlyMap<number, readonly GatewayAddress[]>;
  /** IPv6 link-local addresses by link index. */
  readonly linkLocals: ReadonlyMap<number, readonly string[]>;
  /** Neighbours by link index, of the bridges that stretch a subnet. */
  readonly neighbors: ReadonlyMap<number, readonly Neighbor[]>;
  /** Where VXLAN devices on IPv6 send to, by link index. */
  readonly remotes: ReadonlyMap<number, readonly RemoteVtep[]>;
}

/**
 * Reads the links, addresses and neighbours of the connection's namespace.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function takeSnapshot(connection: NetlinkConnection): Snapshot {
  const links = new Map(listLinks(connection).map((link) => [link.name, link]));
  const found = Map.groupBy(listAddresses(connection), ({ index }) => index);
  const each = [...found].map(([index, addresses]) => ({ index, ...sortOut(addresses) }));
  return {
    links,
    addresses: new Map(each.map(({ index, addresses }) => [index, addresses])),
    linkLocals: new Map(each.map(({ index, linkLocals }) => [index, linkLocals])),
    neighbors: neighborsOfStretched(connection, links),
    remotes: remotesOverIpv6(connection, links),
  };
}

/** On IPv4 it is zebra that says where to send to: where no tunnel runs over IPv6, nothing is read. */
function remotesOverIpv6(
  connection: NetlinkConnection,
  links: ReadonlyMap<string, Link>,
): ReadonlyMap<number, readonly RemoteVtep[]> {
  const vxlans = [...links.values()].filter((link) =>
    isOfKind(link, "vxlan") && addressFamily(link.kind.local ?? "") === 6
  );
  return new Map(vxlans.map(({ index }) => [index, remotesOf(connection, index)]));
}

/**
 * Reads where a VXLAN device sends to.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function remotesOf(connection: NetlinkConnection, index: number): readonly RemoteVtep[] {
  return listFdb(connection, { index }).flatMap(({ index: at, mac, dst }) =>
    at === index && dst !== undefined ? [{ mac, address: dst }] : []
  );
}

/** Other links' neighbours are nobody's business here: where no bridge stretches a subnet, none is read. */
function neighborsOfStretched(
  connection: NetlinkConnection,
  links: ReadonlyMap<string, Link>,
): ReadonlyMap<number, readonly Neighbor[]> {
  const bridges = [...links.values()].filter((link) =>
    isOfKind(link, "bridge") && isStretched(link.name)
  );
  if (bridges.length === 0) return new Map();
  const indices = new Set(bridges.map(({ index }) => index));
  const found = listNeighbors(connection).filter(({ index }) => indices.has(index));
  return Map.groupBy(found, ({ index }) => index);
}

/** Addresses of one link. */
export interface LinkAddresses {
  /** Without the link-local ones of IPv6. */
  readonly addresses: readonly GatewayAddress[];
  /** IPv6 link-local addresses. */
  readonly linkLocals: readonly string[];
}

/**
 * Reads the addresses of one link.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function addressesOf(connection: NetlinkConnection, index: number): LinkAddresses {
  return sortOut(listAddresses(connection, index).filter((address) => address.index === index));
}

function sortOut(found: readonly InterfaceAddress[]): LinkAddresses {
  const isLinkLocal = ({ family, scope }: InterfaceAddress) =>
    family === 6 && scope === RT_SCOPE.LINK;
  return {
    addresses: found.filter((address) => !isLinkLocal(address))
      .map(({ address, prefixLength }) => ({ address, prefixLength })),
    linkLocals: found.filter(isLinkLocal).map(({ address }) => address),
  };
}
