/** Finds the interface that carries the VXLAN packets. */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { type InterfaceAddress, listAddresses } from "../../lib/netlink/rtnl/address.ts";
import { getLink, type Link } from "../../lib/netlink/rtnl/link.ts";
import { listRoutes } from "../../lib/netlink/rtnl/route.ts";
import { RT_SCOPE, RT_TABLE } from "../../lib/netlink/rtnl/types.ts";
import { KernelError } from "./errors.ts";
import type { Underlay } from "./port.ts";

/** One way of the default route. */
interface WayOut {
  readonly oif: number;
  readonly gateway?: string | undefined;
  readonly src?: string | undefined;
}

/**
 * The underlay: the named interface and address, or the interface of the IPv4 default route with the lowest metric and the source
 * address that the route asks for, else the interface's first global one.
 *
 * @throws {KernelError} `UnderlayNotFound` if there is no such interface or no default route; `UnderlayAddressNotFound` if the
 *   interface has no global address or the named address is not this host's
 * @throws {NetlinkError} If the kernel refuses
 */
export function findUnderlay(
  connection: NetlinkConnection,
  hint?: { readonly ifname: string; readonly address: string },
): Underlay {
  const ways = waysOut(connection);
  if (hint === undefined) return discovered(connection, ways[0]);
  const link = getLink(connection, { name: hint.ifname });
  if (link === undefined) {
    throw new KernelError(
      "UnderlayNotFound",
      `Expected the interface "${hint.ifname}" for the underlay, found none of that name; correct the node's interface setting`,
    );
  }
  if (!listAddresses(connection).some(({ address }) => address === hint.address)) {
    throw new KernelError(
      "UnderlayAddressNotFound",
      `Expected the address "${hint.address}" on this node for the underlay, found it on no interface; correct the node's interface setting or add the address`,
    );
  }
  return underlayOf(link, hint.address, ways.find((way) => way.oif === link.index));
}

function discovered(connection: NetlinkConnection, way: WayOut | undefined): Underlay {
  const link = way === undefined ? undefined : getLink(connection, { index: way.oif });
  if (way === undefined || link === undefined) {
    throw new KernelError(
      "UnderlayNotFound",
      "Expected an IPv4 default route to tell the underlay's interface, found none; add one or name the interface in the node's configuration",
    );
  }
  const address = way.src ?? listAddresses(connection, link.index).find(isGlobalIpv4)?.address;
  if (address === undefined) {
    throw new KernelError(
      "UnderlayAddressNotFound",
      `Expected a global IPv4 address on the underlay's interface "${link.name}", found none; add one or name another interface in the node's configuration`,
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

/** Ways of the IPv4 default routes in the main table, the lowest metric first. */
function waysOut(connection: NetlinkConnection): WayOut[] {
  return listRoutes(connection, { table: RT_TABLE.MAIN, family: 4 })
    .filter((route) => route.dst === undefined && route.type === "unicast")
    .toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))
    .flatMap(({ oif, gateway, src, nextHops = [] }): WayOut[] => {
      const ways = [{ oif, gateway }, ...nextHops];
      return ways.flatMap((way) =>
        way.oif === undefined ? [] : [{ oif: way.oif, gateway: way.gateway, src }]
      );
    });
}

function isGlobalIpv4(address: InterfaceAddress): boolean {
  return address.family === 4 && address.scope === RT_SCOPE.UNIVERSE;
}
