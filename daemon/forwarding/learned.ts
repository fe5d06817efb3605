/**
 * What FRR puts into the kernel to reach other nodes: the routes of BGP, and in stretched subnets the VTEP behind each MAC. The next hops of
 * routes are kept by `next_hop_keeper.ts` for as long as there are routes. Pure.
 */
import { addressFamily, parseAddress } from "../../lib/net/address.ts";
import { formatPrefix } from "../../lib/net/prefix.ts";
import type { MessageView } from "../../lib/netlink/message.ts";
import { type FdbEntry, NTF, NUD, readFdb } from "../../lib/netlink/rtnl/neighbor.ts";
import { readRoute, type Route } from "../../lib/netlink/rtnl/route.ts";
import { RTM, RTPROT } from "../../lib/netlink/rtnl/types.ts";

/** Metric of a route that is put back: any route of FRR to the same place comes before it. */
export const heldMetric = 20_142;

/** An entry that FRR has made. */
export type Learned =
  | { readonly kind: "route"; readonly key: string; readonly route: Route }
  | { readonly kind: "fdb"; readonly key: string; readonly entry: FdbEntry };

/** What a message tells of FRR's entries. */
export type LearnedChange =
  | { readonly change: "made"; readonly entry: Learned }
  | { readonly change: "gone"; readonly key: string };

/** Names of the overlays' links by index: bridges and VXLAN devices of this project. */
export type OverlayLinks = ReadonlyMap<number, string>;

/** Whether a link is one that FRR's entries can be on: a bridge, which routes lead through, or a stretched subnet's VXLAN device. */
export function isOverlayLink(name: string): boolean {
  return /^(l[23]br|l2vx)-\d+$/.test(name);
}

/** Reads a notification or an answer to a list; undefined when it is about something else. */
export function readChange(message: MessageView, links: OverlayLinks): LearnedChange | undefined {
  switch (message.type) {
    case RTM.NEWROUTE:
    case RTM.DELROUTE:
      return routeChange(message, links);
    case RTM.NEWNEIGH:
    case RTM.DELNEIGH:
      return fdbChange(message, links);
    default:
      return undefined;
  }
}

/** A route as an entry; undefined when FRR's BGP has not made it, or it leads elsewhere. */
export function learnedRoute(route: Route, links: OverlayLinks): Learned | undefined {
  return route.metric === heldMetric ? undefined : bgpRoute(route, links);
}

/** A route that was put back by an earlier run of the daemon, as FRR made it. */
export function heldRoute(route: Route, links: OverlayLinks): Learned | undefined {
  return route.metric === heldMetric ? bgpRoute(route, links) : undefined;
}

function bgpRoute(route: Route, links: OverlayLinks): Learned | undefined {
  const hops = route.nextHops ?? [{ gateway: route.gateway, oif: route.oif }];
  const ours = hops.every(({ oif, gateway }) =>
    gateway !== undefined && (links.get(oif ?? 0) ?? "").includes("br-")
  );
  if (route.protocol !== RTPROT.BGP || !ours) return undefined;
  const to = route.dst === undefined ? `default-${route.family}` : formatPrefix(route.dst);
  return { kind: "route", key: `route ${route.table} ${to}`, route };
}

/** A bridge's entry towards a VXLAN device that was put back by an earlier run: nobody else makes one by hand. */
export function heldFdb(entry: FdbEntry, links: OverlayLinks): Learned | undefined {
  const { index, flags = 0, state = 0 } = entry;
  if (links.get(index)?.startsWith("l2vx-") !== true || (flags & NTF.SELF) !== 0) return undefined;
  const fixed = (state & NUD.NOARP) !== 0 && (state & NUD.PERMANENT) === 0;
  if (!fixed || (flags & NTF.EXT_LEARNED) !== 0) return undefined;
  return { kind: "fdb", key: fdbKey(entry), entry };
}

/** A forwarding entry as one of FRR's. */
export function learnedFdb(entry: FdbEntry, links: OverlayLinks): Learned | undefined {
  if (links.get(entry.index)?.startsWith("l2vx-") !== true) return undefined;
  if (((entry.flags ?? 0) & NTF.EXT_LEARNED) === 0) return undefined;
  return { kind: "fdb", key: fdbKey(entry), entry };
}

/**
 * The VTEP that an entry leads to, as IPv4 or IPv6 text; undefined when it does not say. Over an IPv4 underlay FRR gives IPv6 routes an
 * IPv4-mapped gateway (RFC 4291, section 2.5.5.2).
 */
export function vtepOf(entry: Learned): string | undefined {
  switch (entry.kind) {
    case "route":
      return plain(entry.route.gateway ?? entry.route.nextHops?.[0]?.gateway);
    case "fdb":
      return plain(entry.entry.dst);
  }
}

/** Whether an entry is a VXLAN device's own: put back, it is like one of FRR. */
export function isTunnelEnd(entry: Learned): boolean {
  return entry.kind === "fdb" && ((entry.entry.flags ?? 0) & NTF.SELF) !== 0;
}

/** Whether an entry says where a VXLAN device sends what has no known place. */
export function isFlooding(entry: Learned): boolean {
  return entry.kind === "fdb" && isEverywhere(entry.entry.mac);
}

/** Whether a MAC stands for all that have no known place. */
export function isEverywhere(mac: string): boolean {
  return /^00(:00){5}$/.test(mac);
}

/** Key of the other one of the two entries that FRR writes of a MAC at once: the bridge's, and the VXLAN device's own. */
export function twinOf(key: string): string {
  return key.includes(" self ")
    ? key.replace(" self ", " bridge ")
    : key.replace(" bridge ", " self ");
}

/** Indices of the links that an entry is on. */
export function linksOf(entry: Learned): readonly number[] {
  switch (entry.kind) {
    case "route":
      return (entry.route.nextHops ?? [entry.route]).map(({ oif }) => oif ?? 0);
    case "fdb":
      return [entry.entry.index];
  }
}

function plain(address: string | undefined): string | undefined {
  if (address === undefined || addressFamily(address) !== 6) return address;
  const { value } = parseAddress(address);
  if (value >> 32n !== 0xffffn) return address;
  return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join(".");
}

function routeChange(message: MessageView, links: OverlayLinks): LearnedChange | undefined {
  const route = readRoute(message);
  const entry = route && learnedRoute(route, links);
  if (entry === undefined) return undefined;
  return message.type === RTM.NEWROUTE
    ? { change: "made", entry }
    : { change: "gone", key: entry.key };
}

function fdbChange(message: MessageView, links: OverlayLinks): LearnedChange | undefined {
  const found = readFdb(message);
  if (found === undefined) return undefined;
  if (message.type === RTM.DELNEIGH) return { change: "gone", key: fdbKey(found) };
  const entry = learnedFdb(found, links);
  return entry === undefined ? undefined : { change: "made", entry };
}

/** Of all zeros there is one a VTEP: to each of them what has no known place is sent. */
function fdbKey({ index, mac, dst, vlan, flags, master }: FdbEntry): string {
  const inBridge = master !== undefined && master !== 0 || ((flags ?? 0) & NTF.MASTER) !== 0;
  const self = ((flags ?? 0) & NTF.SELF) !== 0 || !inBridge;
  const all = isEverywhere(mac) ? ` ${dst ?? ""}` : "";
  return `fdb ${index} ${self ? "self" : "bridge"} ${mac} ${vlan ?? 0}${all}`;
}
