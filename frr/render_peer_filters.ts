/** The route maps that guard what is exchanged with a peer, as FRR configuration. Pure. */

import type { FrrModel, FrrNeighbor, FrrPeerFilterEntry } from "./model.ts";

/** Name of the route map that says the next hop of this node's own routes. */
const nextHopMap = "next-hop";

/**
 * Numbers of an entry: one for what it permits and, before it, one for this node's own routes, or one for what it denies. FRR takes `permit
 * 10` and `deny 10` for one entry, and bgpd ends when a map that is in use loses its last.
 */
const FIRST = 10;
const STEP = 10;
const AFTER_OWN = 1;
const DENIED = 5;

/** Route maps of all peers. */
export function peerRouteMaps({ neighbors, nextHop }: FrrModel): string[][] {
  return [
    ...nextHop === undefined ? [] : nextHopRouteMap(nextHop),
    ...neighbors.flatMap(({ address, filters }) => [
      ...routeMap(filterName("in", address), filters?.in, undefined),
      ...routeMap(filterName("out", address), filters?.out, nextHop),
    ]),
  ];
}

/** The lines by which a peer's route maps are used. */
export function peerRouteMapLines(
  { address, filters }: FrrNeighbor,
  nextHop: string | undefined,
): string[] {
  const use = (name: string, direction: "in" | "out") =>
    `  neighbor ${address} route-map ${name} ${direction}`;
  return [
    ...filters?.in === undefined ? [] : [use(filterName("in", address), "in")],
    ...filters?.out === undefined
      ? nextHop === undefined ? [] : [use(nextHopMap, "out")]
      : [use(filterName("out", address), "out")],
  ];
}

function filterName(direction: "in" | "out", address: string): string {
  return `peer-${direction}-${address}`;
}

/** What every peer gets that has no filter of its own. */
function nextHopRouteMap(address: string): string[][] {
  return [
    [`route-map ${nextHopMap} permit 10`, ...ownRoutes(address), "exit"],
    [`route-map ${nextHopMap} permit 20`, "exit"],
  ];
}

function routeMap(
  name: string,
  entries: readonly FrrPeerFilterEntry[] = [],
  nextHop: string | undefined,
): string[][] {
  return entries.flatMap((entry, index) => {
    const number = FIRST + index * STEP;
    const matches = matchLines(entry);
    return entry.action === "deny"
      ? [[`route-map ${name} deny ${number + DENIED}`, ...matches, "exit"]]
      : permitted(name, number, matches, nextHop);
  });
}

function permitted(
  name: string,
  number: number,
  matches: readonly string[],
  nextHop: string | undefined,
): string[][] {
  const all = [`route-map ${name} permit ${number + AFTER_OWN}`, ...matches, "exit"];
  if (nextHop === undefined) return [all];
  return [[`route-map ${name} permit ${number}`, ...matches, ...ownRoutes(nextHop), "exit"], all];
}

/** Routes of this node have the next hop 0.0.0.0 until they leave; those of others keep theirs. */
function ownRoutes(nextHop: string): string[] {
  return [" match ip next-hop address 0.0.0.0", ` set ip next-hop ${nextHop}`];
}

function matchLines({ routeType, vni }: FrrPeerFilterEntry): string[] {
  return [
    ...routeType === undefined ? [] : [` match evpn route-type ${routeType}`],
    ...vni === undefined ? [] : [` match evpn vni ${vni}`],
  ];
}
