/** The host leg: the veth pair that joins a VRF's network namespace to the host. */
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
  hostLegAddressesOf,
  hostLegPrefixLength,
} from "./host_leg_address.ts";
import { hostLegName, hostLegPeerName, ownerAlias } from "./names.ts";
import { expectKind, isOfKind, isOurs } from "./ownership.ts";
import type { GatewayAddress } from "./port.ts";
import { type Snapshot, takeSnapshot } from "./snapshot.ts";
import { ensureSysctls, inside, linkSysctls } from "./sysctls.ts";
import type { VrfSpace } from "./vrf_spaces.ts";

/** A host leg that is as it shall be. */
export interface HostLeg extends HostLegAddresses {
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

/**
 * The host leg if nothing about it needs repair: paired, up, with its MTU, alias and addresses.
 *
 * @param host Links and addresses of the host's namespace
 * @param inner Links and addresses of the VRF's namespace
 */
export function findHostLeg(
  vrf: number,
  host: Snapshot,
  inner: Snapshot,
  mtu: number,
): HostLeg | undefined {
  const ends = findEnds(vrf, host, inner);
  if (ends.host === undefined || ends.vrf === undefined || !arePaired(ends)) return undefined;
  if (endNeedsChange(ends.host, mtu) || endNeedsChange(ends.vrf, mtu)) return undefined;
  const addresses = findAddresses(ends, host, inner);
  return addresses && { ...addresses, hostIndex: ends.host.index, vrfIndex: ends.vrf.index };
}

/**
 * Makes or repairs the host leg. Its addresses stay as long as they are a pair and nobody else has them.
 *
 * @throws {KernelError} `NameTaken`, `HostLegsExhausted`
 * @throws {NetlinkError} If the kernel refuses
 */
export function ensureHostLeg(host: Host, space: VrfSpace, vrf: number, mtu: number): HostLeg {
  const outer = takeSnapshot(host.connection);
  const inner = takeSnapshot(space.connection);
  const found = findEnds(vrf, outer, inner);
  expectKind(found.host, "veth");
  const ends = arePaired(found) ? found : recreate(host, space, vrf, mtu, found);
  const addresses = findAddresses(ends, outer, inner) ??
    chooseHostLegAddresses(vrf, otherAddresses(outer, ends.host.index));
  setUpEnd(host.connection, ends.host, mtu, addresses.host, outer);
  setUpEnd(space.connection, ends.vrf, mtu, addresses.vrf, inner);
  inside(host.netns, () => ensureSysctls(linkSysctls(ends.host.name)));
  inside(space.netns, () => ensureSysctls(linkSysctls(ends.vrf.name)));
  return { ...addresses, hostIndex: ends.host.index, vrfIndex: ends.vrf.index };
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
  vrf: number,
  mtu: number,
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

/** The addresses if they are a pair, alone on their ends, and on no other link of the host. */
function findAddresses(
  ends: Ends,
  host: Snapshot,
  inner: Snapshot,
): HostLegAddresses | undefined {
  if (ends.host === undefined || ends.vrf === undefined) return undefined;
  const [hostEnd, ...more] = host.addresses.get(ends.host.index) ?? [];
  const [vrfEnd, ...moreInner] = inner.addresses.get(ends.vrf.index) ?? [];
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
  address: string,
  snapshot: Snapshot,
): void {
  const wanted: GatewayAddress = { address, prefixLength: hostLegPrefixLength };
  const isWanted = (found: GatewayAddress) =>
    found.address === wanted.address && found.prefixLength === wanted.prefixLength;
  const found = snapshot.addresses.get(end.index) ?? [];
  if (endNeedsChange(end, mtu)) {
    setLink(connection, end.index, { mtu, alias: ownerAlias, addrGenMode: "none", up: true });
  }
  for (const surplus of found.filter((each) => !isWanted(each))) {
    deleteAddress(connection, { index: end.index, ...surplus });
  }
  if (!found.some(isWanted)) addAddress(connection, { index: end.index, ...wanted });
}
