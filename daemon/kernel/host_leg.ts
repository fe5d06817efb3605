/** The host leg: the veth pair that joins a VRF's network namespace to the host. */
import { linkLocalOf } from "../../lib/net/mac.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { addAddress, deleteAddress } from "../../lib/netlink/rtnl/address.ts";
import {
  createLink,
  deleteLink,
  getLink,
  type Link,
  setLink,
} from "../../lib/netlink/rtnl/link.ts";
import { KernelError } from "./errors.ts";
import type { Host } from "./host.ts";
import {
  chooseHostLegAddresses,
  type HostLegAddresses,
  hostLegAddresses6,
  hostLegAddressesOf,
  hostLegPrefixLength,
  hostLegPrefixLength6,
} from "./host_leg_address.ts";
import { addLinkLocal } from "./link_changes.ts";
import { hostLegName, hostLegPeerName, ownerAlias } from "./names.ts";
import { diffGateways, type GatewayDifference, isIpv6 } from "./overlay_match.ts";
import { expectKind, isOfKind, isOurs } from "./ownership.ts";
import type { GatewayAddress } from "./port.ts";
import { addressesOf, type Snapshot, takeSnapshot } from "./snapshot.ts";
import { ensureSysctls, inside, ipv6LinkSysctls, linkSysctls } from "./sysctls.ts";
import type { VrfSpace } from "./vrf_spaces.ts";

/** A host leg that is as it shall be. */
export interface HostLeg extends HostLegAddresses {
  /** Its IPv6 addresses, where the VRF has IPv6. */
  readonly ipv6: HostLegAddresses | undefined;
  /** Index of the host's end in the host's namespace. */
  readonly hostIndex: number;
  /** Index of the VRF's end in the VRF's namespace. */
  readonly vrfIndex: number;
}

/** Both ends as they are found. */
interface Ends {
  readonly host: Link | undefined;
  readonly vrf: Link | undefined;
}

/** What a host leg shall be. */
export interface HostLegWish {
  /** VRF number. */
  readonly vrf: number;
  /** MTU of both ends, in bytes. */
  readonly mtu: number;
  /** Whether the VRF has IPv6. */
  readonly ipv6: boolean;
}

/**
 * The host leg if nothing about it needs repair: paired, up, with its MTU, alias and addresses.
 *
 * @param host Links and addresses of the host's namespace
 * @param inner Links and addresses of the VRF's namespace
 */
export function findHostLeg(
  wish: HostLegWish,
  host: Snapshot,
  inner: Snapshot,
): HostLeg | undefined {
  const ends = findEnds(wish.vrf, host, inner);
  if (ends.host === undefined || ends.vrf === undefined || !arePaired(ends)) return undefined;
  if (endNeedsChange(ends.host, wish.mtu) || endNeedsChange(ends.vrf, wish.mtu)) return undefined;
  const addresses = findAddresses(ends, host, inner);
  if (addresses === undefined) return undefined;
  const leg = legOf(wish, addresses, ends);
  const sound = [addressChanges(ends.host, endAddresses(leg, "host"), host)]
    .concat(addressChanges(ends.vrf, endAddresses(leg, "vrf"), inner))
    .every(({ surplus, missing, linkLocal }) =>
      surplus.length + missing.length === 0 && linkLocal === undefined
    );
  return sound ? leg : undefined;
}

/**
 * Makes or repairs the host leg. Its addresses stay as long as they are a pair and nobody else has them.
 *
 * @throws {KernelError} `NameTaken`, `HostLegsExhausted`
 * @throws {NetlinkError} If the kernel refuses
 */
export function ensureHostLeg(host: Host, space: VrfSpace, wish: HostLegWish): HostLeg {
  const outer = takeSnapshot(host.connection);
  const inner = takeSnapshot(space.connection);
  const found = findEnds(wish.vrf, outer, inner);
  expectKind(found.host, "veth");
  const ends = arePaired(found) ? found : recreate(host, space, wish, found);
  const addresses = findAddresses(ends, outer, inner) ??
    chooseHostLegAddresses(wish.vrf, otherAddresses(outer, ends.host.index));
  const leg = legOf(wish, addresses, ends);
  for (
    const [connection, netns, end, name] of [
      [host.connection, host.netns, ends.host, "host"],
      [space.connection, space.netns, ends.vrf, "vrf"],
    ] as const
  ) {
    const more = wish.ipv6 ? ipv6LinkSysctls(end.name) : [];
    inside(netns, () => ensureSysctls([...linkSysctls(end.name), ...more]));
    setUpEnd(connection, end, wish.mtu, endAddresses(leg, name));
  }
  return leg;
}

function legOf(
  wish: HostLegWish,
  addresses: HostLegAddresses,
  ends: { readonly host: Link; readonly vrf: Link },
): HostLeg {
  return {
    ...addresses,
    ipv6: wish.ipv6 ? hostLegAddresses6(wish.vrf) : undefined,
    hostIndex: ends.host.index,
    vrfIndex: ends.vrf.index,
  };
}

/** All addresses of one end but the link-local one of IPv6. */
function endAddresses(leg: HostLeg, end: "host" | "vrf"): readonly GatewayAddress[] {
  const four = { address: leg[end], prefixLength: hostLegPrefixLength };
  return leg.ipv6 === undefined
    ? [four]
    : [four, { address: leg.ipv6[end], prefixLength: hostLegPrefixLength6 }];
}

function findEnds(vrf: number, host: Snapshot, inner: Snapshot): Ends {
  return { host: host.links.get(hostLegName(vrf)), vrf: inner.links.get(hostLegPeerName) };
}

/** Indices alone could agree by chance; that each end says so makes it one pair. */
function arePaired(ends: Ends): ends is { readonly host: Link; readonly vrf: Link } {
  const { host, vrf } = ends;
  return isOfKind(host, "veth") && isOfKind(vrf, "veth") &&
    host.linkIndex === vrf.index && vrf.linkIndex === host.index &&
    host.linkNetnsId !== undefined && vrf.linkNetnsId !== undefined;
}

function recreate(
  host: Host,
  space: VrfSpace,
  { vrf, mtu }: HostLegWish,
  found: Ends,
): { readonly host: Link; readonly vrf: Link } {
  if (found.host !== undefined) deleteLink(host.connection, { index: found.host.index });
  // Asked again: both may have been one pair, in spite of all.
  const inner = getLink(space.connection, { name: hostLegPeerName });
  if (inner !== undefined) deleteLink(space.connection, { index: inner.index });
  const name = hostLegName(vrf);
  createLink(host.connection, {
    name,
    kind: { type: "veth", peer: { name: hostLegPeerName, netnsFd: space.netns.fd, mtu } },
    mtu,
    alias: ownerAlias,
    addrGenMode: "none",
  });
  const ends = {
    host: getLink(host.connection, { name }),
    vrf: getLink(space.connection, { name: hostLegPeerName }),
  };
  if (arePaired(ends)) return ends;
  throw new KernelError(
    "VrfNotReady",
    `Expected the host leg "${name}" to join the host and "${space.name}", found it changed since it was made; it comes with the next reconciliation`,
  );
}

/** The IPv4 addresses if they are a pair, the only IPv4 ones on their ends, and on no other link of the host. */
function findAddresses(
  ends: Ends,
  host: Snapshot,
  inner: Snapshot,
): HostLegAddresses | undefined {
  if (ends.host === undefined || ends.vrf === undefined) return undefined;
  const ipv4Of = (snapshot: Snapshot, end: Link) =>
    (snapshot.addresses.get(end.index) ?? []).filter((address) => !isIpv6(address));
  const [hostEnd, ...more] = ipv4Of(host, ends.host);
  const [vrfEnd, ...moreInner] = ipv4Of(inner, ends.vrf);
  if (hostEnd === undefined || vrfEnd === undefined || more.length + moreInner.length > 0) {
    return undefined;
  }
  const pair = hostLegAddressesOf(hostEnd.address, hostEnd.prefixLength);
  if (pair?.vrf !== vrfEnd.address || vrfEnd.prefixLength !== hostLegPrefixLength) {
    return undefined;
  }
  const others = otherAddresses(host, ends.host.index);
  return others.includes(pair.host) || others.includes(pair.vrf) ? undefined : pair;
}

function otherAddresses(host: Snapshot, index: number): string[] {
  return [...host.addresses].filter(([link]) => link !== index)
    .flatMap(([, addresses]) => addresses.map(({ address }) => address));
}

function endNeedsChange(end: Link, mtu: number): boolean {
  const makesAddresses = end.addrGenMode !== undefined && end.addrGenMode !== "none";
  return end.mtu !== mtu || !end.up || !isOurs(end) || makesAddresses;
}

function setUpEnd(
  connection: NetlinkConnection,
  end: Link,
  mtu: number,
  wanted: readonly GatewayAddress[],
): void {
  const { index } = end;
  if (endNeedsChange(end, mtu)) {
    setLink(connection, index, { mtu, alias: ownerAlias, addrGenMode: "none", up: true });
  }
  const found = addressesOf(connection, index);
  const { surplus, missing, linkLocal } = addressChanges(end, wanted, {
    addresses: new Map([[index, found.addresses]]),
    linkLocals: new Map([[index, found.linkLocals]]),
  });
  for (const each of surplus) deleteAddress(connection, { index, ...each });
  if (linkLocal !== undefined) addLinkLocal(connection, index, linkLocal);
  for (const each of missing) addAddress(connection, { index, ...each, nodad: isIpv6(each) });
}

/** What separates an end's addresses from those that it shall have; for neighbour discovery it needs a link-local one too. */
function addressChanges(
  end: Link,
  wanted: readonly GatewayAddress[],
  found: Pick<Snapshot, "addresses" | "linkLocals">,
): GatewayDifference & { readonly linkLocal: string | undefined } {
  const linkLocal = wanted.some(isIpv6) ? linkLocalOf(end.mac) : undefined;
  const present = found.linkLocals.get(end.index) ?? [];
  return {
    ...diffGateways(wanted, found.addresses.get(end.index) ?? []),
    linkLocal: linkLocal === undefined || present.includes(linkLocal) ? undefined : linkLocal,
  };
}
