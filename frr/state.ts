/** FRR's state from the output of its show commands, as the agent reports it. */

import { z } from "zod";
import type {
  FrrPeerState,
  FrrPrefixRoute,
  FrrRoute,
  FrrRoutes,
  FrrState,
  FrrVniState,
  FrrVrfState,
} from "./protocol.ts";
import { runVtysh, type VtyshReply, type VtyshTarget } from "./vtysh.ts";

/** The daemons without which a node's configuration cannot work. */
export const REQUIRED_DAEMONS: readonly string[] = ["zebra", "bgpd", "staticd"];

const STATE_COMMANDS = [
  "show daemons",
  "show vrf",
  "show interface vrf all brief",
  "show vrf vni json",
  "show bgp l2vpn evpn summary json",
] as const;

/**
 * Reads the state of a running FRR.
 *
 * @param epoch What tells this run of zebra and bgpd from another
 * @throws {FrrError} As `runVtysh`
 */
export async function readState(
  target: VtyshTarget,
  epoch: string,
  signal: AbortSignal,
): Promise<FrrState> {
  const replies = await runVtysh(target, STATE_COMMANDS, signal);
  return {
    ready: missingDaemons(outputOf(replies, "show daemons")).length === 0,
    epoch,
    vrfs: parseVrfs(
      outputOf(replies, "show vrf"),
      outputOf(replies, "show interface vrf all brief"),
    ),
    vnis: parseVnis(outputOf(replies, "show vrf vni json")),
    peers: parsePeers(outputOf(replies, "show bgp l2vpn evpn summary json")),
  };
}

/**
 * Reads the routes of a VRF, and the EVPN type-5 routes of all.
 *
 * @throws {FrrError} As `runVtysh`
 */
export async function readRoutes(
  target: VtyshTarget,
  vrf: string,
  signal: AbortSignal,
): Promise<FrrRoutes> {
  const table = `show ip route vrf ${vrf} json`;
  const prefixes = "show bgp l2vpn evpn route type prefix json";
  const replies = await runVtysh(target, [table, prefixes], signal);
  return {
    routes: parseRouteTable(outputOf(replies, table)),
    prefixRoutes: parsePrefixRoutes(outputOf(replies, prefixes)),
  };
}

/** What FRR said to a command; empty when it was not asked. */
export function outputOf(replies: readonly VtyshReply[], command: string): string {
  return replies.find((reply) => reply.command === command)?.output ?? "";
}

/** The required daemons that `show daemons` does not list. */
export function missingDaemons(showDaemons: string): string[] {
  const present = new Set(showDaemons.trim().split(/\s+/));
  return REQUIRED_DAEMONS.filter((daemon) => !present.has(daemon));
}

/** VRFs from `show vrf` and `show interface vrf all brief`; the JSON of the latter drops links of the same name. */
export function parseVrfs(showVrf: string, showInterfaces: string): FrrVrfState[] {
  const links = showInterfaces.split("\n").map((line) => line.trim().split(/\s+/));
  return [...showVrf.matchAll(/^vrf (\S+) (?:id (\d+)|inactive)/gm)].map(([, name = "", id]) => ({
    name,
    ...(id === undefined ? {} : { id: Number(id) }),
    state: id === undefined ? "inactive" as const : "active" as const,
    interfaces: links.filter(([, , vrf]) => vrf === name).map(([link = ""]) => link).toSorted(),
  })).toSorted((a, b) => compareText(a.name, b.name));
}

/** FRR writes the word `None`, or nothing, for what it does not know. */
const known = z.string().optional()
  .transform((value) => value === "None" || value === "" ? undefined : value);

const vrfVnis = z.object({
  vrfs: z.array(z.object({
    vrf: z.string(),
    vni: z.number(),
    state: z.string(),
    sviIntf: known,
    vxlanIntf: known,
    routerMac: known,
  })),
});

/** L3VNIs from `show vrf vni json`. */
export function parseVnis(json: string): FrrVniState[] {
  const parsed = vrfVnis.safeParse(parseJson(json));
  return (parsed.data?.vrfs ?? []).map((entry) => ({
    vrf: entry.vrf,
    vni: entry.vni,
    state: entry.state === "Up" ? "Up" as const : "Down" as const,
    svi: entry.sviIntf,
    vxlan: entry.vxlanIntf,
    // Once the bridge is gone FRR prints what happens to be in its memory.
    routerMac: entry.sviIntf === undefined ? undefined : entry.routerMac,
  })).toSorted((a, b) => compareText(a.vrf, b.vrf));
}

const evpnSummary = z.object({
  peers: z.record(z.string(), z.object({ state: z.string(), pfxRcd: z.number().default(0) })),
});

/** Peers from `show bgp l2vpn evpn summary json`; none when there is no BGP instance yet. */
export function parsePeers(json: string): FrrPeerState[] {
  const parsed = evpnSummary.safeParse(parseJson(json));
  return Object.entries(parsed.data?.peers ?? {}).map(([address, peer]) => ({
    address,
    state: peer.state,
    established: peer.state === "Established",
    prefixesReceived: peer.pfxRcd,
  })).toSorted((a, b) => compareText(a.address, b.address));
}

const routeTable = z.record(
  z.string(),
  z.array(z.object({
    protocol: z.string(),
    selected: z.boolean().default(false),
    nexthops: z.array(z.object({ ip: z.string().optional(), interfaceName: z.string().optional() }))
      .default([]),
  })),
);

/** Routes from `show ip route vrf X json`. */
export function parseRouteTable(json: string): FrrRoute[] {
  const parsed = routeTable.safeParse(parseJson(json));
  return Object.entries(parsed.data ?? {}).flatMap(([prefix, routes]) =>
    routes.map((route) => ({
      prefix,
      protocol: route.protocol,
      selected: route.selected,
      nexthops: route.nexthops.map(({ ip, interfaceName }) =>
        [ip, interfaceName].filter(Boolean).join(" ")
      ),
    }))
  ).toSorted((a, b) => compareText(a.prefix, b.prefix));
}

const prefixRoute = z.object({
  paths: z.array(z.array(z.object({
    ip: z.string(),
    ipLen: z.number(),
    peerId: z.string(),
    nexthops: z.array(z.object({ ip: z.string() })),
  }))),
});

/** EVPN routes from `show bgp l2vpn evpn route type prefix json`: by route distinguisher, then by prefix, among other keys. */
export function parsePrefixRoutes(json: string): FrrPrefixRoute[] {
  const byRd = z.record(z.string(), z.unknown()).safeParse(parseJson(json)).data ?? {};
  return Object.entries(byRd).flatMap(([rd, routes]) =>
    Object.values(z.record(z.string(), z.unknown()).safeParse(routes).data ?? {})
      .flatMap((route) => prefixRoute.safeParse(route).data?.paths.flat() ?? [])
      .map((path) => ({
        rd,
        prefix: `${path.ip}/${path.ipLen}`,
        nexthop: path.nexthops[0]?.ip ?? "",
        peer: path.peerId === "(unspec)" ? "" : path.peerId,
      }))
  ).toSorted((a, b) => compareText(a.rd, b.rd) || compareText(a.prefix, b.prefix));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
