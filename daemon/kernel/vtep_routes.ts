/**
 * Routes to the addresses that stand for VTEPs in BGP.
 *
 * FRR carries EVPN routes with next hops of IPv4 only (FRR 8.4) and does not use a route whose next hop it cannot resolve. Where tunnels run
 * over IPv6 the next hop is the other node's router id, to which nothing leads. A route makes it resolvable; no packet goes that way.
 *
 * @module
 */
import { contains } from "../../lib/net/prefix.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { listRoutes, type Route } from "../../lib/netlink/rtnl/route.ts";
import { RT_SCOPE, RT_TABLE } from "../../lib/netlink/rtnl/types.ts";
import { ruleProtocol, type Underlay } from "./port.ts";
import { applyRoutes, diffRoutes, listOwnRoutes, type OwnRoute } from "./routes.ts";

const table = RT_TABLE.MAIN;

/**
 * Adds a route to each of the addresses to which no route but a default one leads, and deletes ours that are not needed.
 *
 * @param addresses IPv4 addresses
 * @throws {NetlinkError} If the kernel refuses
 */
export function syncVtepRoutes(
  connection: NetlinkConnection,
  addresses: readonly string[],
  { ifindex: oif }: Pick<Underlay, "ifindex">,
): { readonly added: number; readonly deleted: number } {
  const own = listOwnRoutes(connection).filter(isVtepRoute);
  const others = addresses.length === 0 ? [] : othersIn(connection);
  const desired = addresses
    .filter((address) => !others.some(({ dst }) => dst !== undefined && contains(dst, address)))
    .map((address): OwnRoute => ({
      dst: { family: 4, address, length: 32 },
      table,
      oif,
      scope: RT_SCOPE.LINK,
    }));
  const difference = diffRoutes(desired, own);
  applyRoutes(connection, difference);
  return { added: difference.missing.length, deleted: difference.surplus.length };
}

function isVtepRoute(route: Route): boolean {
  return route.table === table && route.type === "unicast" && route.gateway === undefined &&
    route.dst?.family === 4 && route.dst.length === 32;
}

/** What others have put into the main table, the default routes aside. */
function othersIn(connection: NetlinkConnection): Route[] {
  return listRoutes(connection, { table, family: 4 })
    .filter(({ protocol, dst }) => protocol !== ruleProtocol && dst !== undefined);
}
