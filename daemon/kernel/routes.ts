/** Routes of this project: those with protocol number 142, and nobody else's. */
import { formatAddress, parseAddress } from "../../lib/net/address.ts";
import { formatPrefix, networkOf, parsePrefix } from "../../lib/net/prefix.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import {
  addRoute,
  deleteRoute,
  readRoute,
  type Route,
  type RouteSpec,
} from "../../lib/netlink/rtnl/route.ts";
import { routePayload } from "../../lib/netlink/rtnl/route_message.ts";
import { AF, RTM } from "../../lib/netlink/rtnl/types.ts";
import { ruleProtocol, type VrfSpec } from "./port.ts";

/** A route of ours, in a table that is named. */
export type OwnRoute = Required<Pick<RouteSpec, "table">> & RouteSpec;

/** Higher than every metric that a routing daemon uses. zebra reads its upper byte as the distance 255: "never use". */
export const highestMetric = 0xffffffff;

/**
 * Higher than the metrics of what FRR installs, but of distance 0 to zebra: every node announces the whole prefix by its own route, and
 * what it learns of the others' must not take its place, not even after somebody deleted it for a moment.
 */
export const unreachableMetric = 0x00ffffff;

/**
 * The routes that keep packets for unassigned addresses of a VRF's prefixes from being looked up elsewhere. Everything that is assigned
 * has a longer or a cheaper route.
 *
 * @param spec Its prefixes are in CIDR form
 * @throws {AddressError} `InvalidPrefix` if one is none
 */
export function unreachablePrefixes(spec: Pick<VrfSpec, "prefixes">, table: number): OwnRoute[] {
  return spec.prefixes.map((prefix) => ({
    dst: parsePrefix(prefix),
    table,
    type: "unreachable",
    metric: unreachableMetric,
  }));
}

/** Whether a prefix in CIDR form is IPv6. */
export function isIpv6Prefix(cidr: string): boolean {
  return cidr.includes(":");
}

/**
 * Lists our routes in all tables. The kernel leaves out the others, so that the routes that FRR learns cost nothing.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function listOwnRoutes(connection: NetlinkConnection): Route[] {
  const header = {
    dstLength: 0,
    srcLength: 0,
    tos: 0,
    table: 0,
    protocol: ruleProtocol,
    scope: 0,
    type: 0,
    flags: 0,
  };
  return [AF.INET, AF.INET6].flatMap((family) =>
    connection.dump({
      operation: "to list our routes",
      type: RTM.GETROUTE,
      codec: routePayload,
      value: { header: { ...header, family }, attributes: {} },
    }, (message) => {
      const route = readRoute(message);
      return route?.protocol === ruleProtocol ? route : undefined;
    })
  );
}

/** What separates the routes that are from those that shall be. */
export interface RouteDifference {
  /** Routes to add. */
  readonly missing: readonly OwnRoute[];
  /** Routes to delete. */
  readonly surplus: readonly Route[];
}

/** Compares routes by table, destination, metric, and where they lead. */
export function diffRoutes(
  desired: readonly OwnRoute[],
  found: readonly Route[],
): RouteDifference {
  const wanted = new Map(desired.map((route) => [routeKey(route), route]));
  const present = new Set(found.map(routeKey));
  return {
    missing: [...wanted].filter(([key]) => !present.has(key)).map(([, route]) => route),
    surplus: found.filter((route) => !wanted.has(routeKey(route))),
  };
}

/**
 * Adds what is missing, in place of a route to the same destination, and deletes what is too many.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function applyRoutes(connection: NetlinkConnection, difference: RouteDifference): void {
  for (const route of difference.missing) {
    addRoute(connection, { ...route, protocol: ruleProtocol }, { replace: true });
  }
  deleteRoutes(connection, difference.surplus);
}

/**
 * Deletes routes; those that are gone already, as a replaced one is, do not matter.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function deleteRoutes(connection: NetlinkConnection, routes: readonly Route[]): void {
  for (const route of routes) {
    try {
      deleteRoute(connection, route);
    } catch (thrown) {
      if (!(thrown instanceof NetlinkError) || thrown.errnoName !== "ESRCH") throw thrown;
    }
  }
}

function routeKey(route: RouteSpec): string {
  const { dst, family, gateway, table, onlink, nextHops, metric, type = "unicast" } = route;
  // IPv6 ties routes that lead nowhere to the loopback link.
  const oif = type === "unicast" ? route.oif : undefined;
  const defaultMetric = (dst?.family ?? family) === 6 ? 1024 : 0;
  const everywhere = dst === undefined || dst.length === 0;
  return JSON.stringify([
    table,
    everywhere ? `default ${dst?.family ?? family ?? 4}` : formatPrefix(networkOf(dst)),
    gateway === undefined ? "" : canonical(gateway),
    oif ?? 0,
    onlink === true,
    type,
    metric ?? defaultMetric,
    nextHops ?? [],
  ]);
}

function canonical(address: string): string {
  const { family, value } = parseAddress(address);
  return formatAddress(family, value);
}
