/** FRR's state from the output of its show commands, as the agent reports it. */

import { z } from "zod";
import { frrUnavailable } from "./errors.ts";
import { l2vniCommands, parseL2vnis } from "./l2vni_state.ts";
import { bfdCommand, explainPeers, parseBfdSessions, parsePeers } from "./peer_state.ts";
import type {
  FrrPrefixRoute,
  FrrRoute,
  FrrRoutes,
  FrrState,
  FrrVniState,
  FrrVrfState,
} from "./protocol.ts";
import { askDaemons } from "./vty.ts";
import type { VtyshReply } from "./vtysh.ts";

/** The daemons without which a node's configuration cannot work. */
export const REQUIRED_DAEMONS: readonly string[] = ["zebra", "bgpd", "staticd"];

const [zebraL2vnis, bgpL2vnis] = l2vniCommands;
const evpnSummary = "show bgp l2vpn evpn summary json";

/** What is asked of whom; staticd and its like only whether they answer. */
const STATE_QUESTIONS = {
  zebra: [
    "show vrf",
    "show interface vrf all brief",
    "show interface vrf all brief json",
    "show vrf vni json",
    zebraL2vnis,
  ],
  bgpd: [bgpL2vnis, evpnSummary],
  staticd: [],
  bfdd: [bfdCommand],
};

/**
 * Reads the state of a running FRR.
 *
 * @param vtyDir Directory of the daemons' vty sockets
 * @param epoch What tells this run of zebra and bgpd from another
 * @throws {FrrError} As `askDaemons`; `FrrUnavailable` too where zebra or bgpd does not run
 */
export async function readState(
  vtyDir: string,
  epoch: string,
  signal: AbortSignal,
): Promise<FrrState> {
  const { answering, replies } = await askDaemons(vtyDir, STATE_QUESTIONS, signal);
  requireDaemons(["zebra", "bgpd"], answering);
  return {
    ready: missingDaemons(answering).length === 0,
    epoch,
    vrfs: parseVrfs(
      outputOf(replies, "show vrf"),
      outputOf(replies, "show interface vrf all brief"),
    ),
    vnis: [
      ...parseVnis(outputOf(replies, "show vrf vni json")),
      ...parseL2vnis(...l2vniCommands.map((command) => outputOf(replies, command))),
    ].toSorted((a, b) => compareText(a.vrf, b.vrf) || a.vni - b.vni),
    daemons: answering.toSorted(),
    addresses: parseAddresses(outputOf(replies, "show interface vrf all brief json")),
    peers: await explainPeers(
      vtyDir,
      parsePeers(outputOf(replies, evpnSummary)),
      parseBfdSessions(outputOf(replies, bfdCommand)),
      signal,
    ),
  };
}

/**
 * Reads the routes of a VRF, and the EVPN type-5 routes of all.
 *
 * @throws {FrrError} As `askDaemons`; `FrrUnavailable` too where zebra or bgpd does not run
 */
export async function readRoutes(
  vtyDir: string,
  vrf: string,
  signal: AbortSignal,
): Promise<FrrRoutes> {
  const tables = ["ip", "ipv6"].map((version) => `show ${version} route vrf ${vrf} json`);
  const prefixes = "show bgp l2vpn evpn route type prefix json";
  const questions = { zebra: tables, bgpd: [prefixes] };
  const { answering, replies } = await askDaemons(vtyDir, questions, signal);
  requireDaemons(["zebra", "bgpd"], answering);
  return {
    routes: tables.flatMap((table) => parseRouteTable(outputOf(replies, table))),
    prefixRoutes: parsePrefixRoutes(outputOf(replies, prefixes)),
  };
}

/** What FRR said to a command; empty when it was not asked. */
export function outputOf(replies: readonly VtyshReply[], command: string): string {
  return replies.find((reply) => reply.command === command)?.output ?? "";
}

/** The required daemons that are not among those that answer. */
export function missingDaemons(answering: readonly string[]): string[] {
  return REQUIRED_DAEMONS.filter((daemon) => !answering.includes(daemon));
}

/**
 * Sees that daemons answer.
 *
 * @throws {FrrError} `FrrUnavailable` with those that do not
 */
export function requireDaemons(required: readonly string[], answering: readonly string[]): void {
  const missing = required.filter((daemon) => !answering.includes(daemon));
  if (missing.length > 0) throw frrUnavailable(`not running: ${missing.join(", ")}`);
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

const briefInterfaces = z.record(
  z.string(),
  z.object({ addresses: z.array(z.string()) }).transform(({ addresses }) => addresses),
);

/** Addresses by link from `show interface vrf all brief json`; its text leaves all IPv6 addresses out but one. */
export function parseAddresses(json: string): Record<string, readonly string[]> {
  return briefInterfaces.safeParse(parseJson(json)).data ?? {};
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
    type: "l3vni" as const,
    state: entry.state === "Up" ? "Up" as const : "Down" as const,
    svi: entry.sviIntf,
    vxlan: entry.vxlanIntf,
    // Once the bridge is gone FRR prints what happens to be in its memory.
    routerMac: entry.sviIntf === undefined ? undefined : entry.routerMac,
  })).toSorted((a, b) => compareText(a.vrf, b.vrf));
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

/** Routes from `show ip route vrf X json` or `show ipv6 route vrf X json`. */
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
    extendedCommunity: z.object({ string: z.string() }).optional(),
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
        ...parseCommunities(path.extendedCommunity?.string ?? ""),
      }))
  ).toSorted((a, b) => compareText(a.rd, b.rd) || compareText(a.prefix, b.prefix));
}

/** What FRR writes as `RT:65000:200 ET:8 Rmac:02:00:00:00:00:01`. */
function parseCommunities(text: string): Pick<FrrPrefixRoute, "routerMac" | "routeTargets"> {
  return {
    routerMac: /(?:^| )Rmac:(\S+)/.exec(text)?.[1],
    routeTargets: [...text.matchAll(/(?:^| )RT:(\S+)/g)].map(([, target = ""]) => target),
  };
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
