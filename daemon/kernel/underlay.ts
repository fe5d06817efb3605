/** Finds the interface that carries the VXLAN packets. */
import { addressFamily, canonicalAddress, type IpFamily } from "../../lib/net/address.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { IFA_F, type InterfaceAddress, listAddresses } from "../../lib/netlink/rtnl/address.ts";
import { getLink, type Link } from "../../lib/netlink/rtnl/link.ts";
import { listRoutes } from "../../lib/netlink/rtnl/route.ts";
import { RT_SCOPE, RT_TABLE } from "../../lib/netlink/rtnl/types.ts";
import { KernelError } from "./errors.ts";
import type { Underlay } from "./port.ts";

/** One way of a default route. */
interface WayOut {
  readonly family: IpFamily;
  readonly oif: number;
  readonly gateway?: string | undefined;
  readonly src?: string | undefined;
}

/**
 * The underlay: the named interface and address, or the interface of the default route with the lowest metric and the source address
 * that the route asks for, else the interface's first global one. IPv4 goes first: only a host without an IPv4 default route is looked
 * at for one of IPv6.
 *
 * @throws {KernelError} `UnderlayNotFound` if there is no such interface or no default route; `UnderlayAddressNotFound` if the
 *   interface has no global address or the named address is not this host's
 * @throws {NetlinkError} If the kernel refuses
 */
export function findUnderlay(
  connection: NetlinkConnection,
  hint?: { readonly ifname: string; readonly address: string },
): Underlay {
  if (hint === undefined) {
    return discovered(connection, waysOut(connection, 4)[0] ?? waysOut(connection, 6)[0]);
  }
  const link = getLink(connection, { name: hint.ifname });
  if (link === undefined) {
    throw new KernelError(
      "UnderlayNotFound",
      `Expected the interface "${hint.ifname}" for the underlay, found none of that name; correct the node's interface setting`,
    );
  }
  const wanted = canonicalAddress(hint.address);
  if (!listAddresses(connection).some(({ address }) => address === wanted)) {
    throw new KernelError(
      "UnderlayAddressNotFound",
      `Expected the address "${hint.address}" on this node for the underlay, found it on no interface; correct the node's interface setting or add the address`,
    );
  }
  const ways = waysOut(connection, addressFamily(wanted) ?? 4);
  return underlayOf(link, wanted, ways.find((way) => way.oif === link.index));
}

/**
 * Names of the links that lead out of the node: the underlay's and those of the default routes of both IP versions.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function outwardLinks(connection: NetlinkConnection, underlay: Underlay): string[] {
  const ways = [...waysOut(connection, 4), ...waysOut(connection, 6)];
  const names = ways.flatMap(({ oif }) => getLink(connection, { index: oif })?.name ?? []);
  return [...new Set([underlay.ifname, ...names])].toSorted();
}

function discovered(connection: NetlinkConnection, way: WayOut | undefined): Underlay {
  const link = way === undefined ? undefined : getLink(connection, { index: way.oif });
  if (way === undefined || link === undefined) {
    throw new KernelError(
      "UnderlayNotFound",
      "Expected a default route to tell the underlay's interface, found none; add one or name the interface in the node's configuration",
    );
  }
  const address = way.src ??
    listAddresses(connection, link.index).find((each) => isVtep(each, way.family))?.address;
  if (address === undefined) {
    throw new KernelError(
      "UnderlayAddressNotFound",
      `Expected a global IPv${way.family} address on the underlay's interface "${link.name}", found none; add one or name another interface in the node's configuration`,
    );
  }
  return underlayOf(link, address, way);
}

function underlayOf(link: Link, address: string, way: WayOut | undefined): Underlay {
  return {
    ifname: link.name,
    ifindex: link.index,
    address,
    mtu: link.mtu,
    ...(way?.gateway === undefined ? {} : { gateway: way.gateway }),
  };
}

/** Ways of the default routes of an IP version in the main table, the lowest metric first. */
function waysOut(connection: NetlinkConnection, family: IpFamily): WayOut[] {
  return listRoutes(connection, { table: RT_TABLE.MAIN, family })
    .filter((route) => route.dst === undefined && route.type === "unicast")
    .toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))
    .flatMap(({ oif, gateway, src, nextHops = [] }): WayOut[] => {
      const ways = [{ oif, gateway }, ...nextHops];
      return ways.flatMap((way) =>
        way.oif === undefined ? [] : [{ family, oif: way.oif, gateway: way.gateway, src }]
      );
    });
}

/** IPv6 addresses that come and go (RFC 8981), that are on their way out or that are not in use yet cannot be a tunnel's end. */
const unsteady = IFA_F.TEMPORARY | IFA_F.DEPRECATED | IFA_F.TENTATIVE | IFA_F.DADFAILED;

function isVtep(address: InterfaceAddress, family: IpFamily): boolean {
  return address.family === family && address.scope === RT_SCOPE.UNIVERSE &&
    (family === 4 || (address.flags & unsteady) === 0);
}
