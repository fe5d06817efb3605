import { AddressError, addressFamily, type IpFamily } from "../../net/address.ts";
import { formatPrefix, networkOf, type Prefix } from "../../net/prefix.ts";
import {
  bind,
  type BoundRequest,
  type NetlinkConnection,
  type NetlinkRequest,
} from "../connection.ts";
import { NetlinkError } from "../errors.ts";
import { type MessageView, NLM_F, type Payload } from "../message.ts";
import {
  type RawNextHop,
  type RouteAttributes,
  routeHeader,
  type RouteHeaderField,
  routePayload,
} from "./route_message.ts";
import { AF, familyNumber, ipFamily, RT_SCOPE, RT_TABLE, RTM, RTPROT } from "./types.ts";

/** What a route does with a packet (include/uapi/linux/rtnetlink.h, RTN_*). */
export type RouteType =
  | "unspec"
  | "unicast"
  | "local"
  | "broadcast"
  | "anycast"
  | "multicast"
  | "blackhole"
  | "unreachable"
  | "prohibit"
  | "throw"
  | "nat"
  | "xresolve";

/** In the order of their numbers. */
const ROUTE_TYPES: readonly RouteType[] = [
  "unspec",
  "unicast",
  "local",
  "broadcast",
  "anycast",
  "multicast",
  "blackhole",
  "unreachable",
  "prohibit",
  "throw",
  "nat",
  "xresolve",
];

const RTNH_F_ONLINK = 4;
const RTM_F_CLONED = 0x200;

/** One of several ways that a route may take. */
export interface NextHop {
  /** Address of the router, of either family. */
  readonly gateway?: string | undefined;
  /** Index of the outgoing link. */
  readonly oif?: number | undefined;
  /** Share among the next hops, 1 to 256; 1 by default. */
  readonly weight?: number | undefined;
  /** Whether the gateway is taken to be on the link, whatever its address. */
  readonly onlink?: boolean | undefined;
}

/** A route to be added, replaced or deleted. */
export interface RouteSpec {
  /** Destination; the default route if absent. */
  readonly dst?: Prefix | undefined;
  /** IP version of a default route without gateway; otherwise it follows from the addresses. */
  readonly family?: IpFamily | undefined;
  /** Address of the router; of another family than the destination's if need be. */
  readonly gateway?: string | undefined;
  /** Index of the outgoing link. */
  readonly oif?: number | undefined;
  /** Several next hops instead of `gateway` and `oif`. */
  readonly nextHops?: readonly NextHop[] | undefined;
  /** Routing table; main (254) by default. */
  readonly table?: number | undefined;
  /** What it does; unicast by default. */
  readonly type?: RouteType | undefined;
  /** RTPROT_*, who made it; static (4) by default. */
  readonly protocol?: number | undefined;
  /** RT_SCOPE_*; by default link for IPv4 unicast without a gateway, host for local, otherwise universe. */
  readonly scope?: number | undefined;
  /** Whether the gateway is taken to be on the link, whatever its address. */
  readonly onlink?: boolean | undefined;
  /** Metric; the lowest wins. */
  readonly metric?: number | undefined;
  /** Preferred source address. */
  readonly src?: string | undefined;
}

/** A route as the kernel tells it. */
export interface Route {
  /** IP version. */
  readonly family: IpFamily;
  /** Destination; absent for a default route. */
  readonly dst?: Prefix | undefined;
  /** Routing table. */
  readonly table: number;
  /** What it does. */
  readonly type: RouteType;
  /** RTPROT_*, who made it. */
  readonly protocol: number;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** Address of the router. */
  readonly gateway?: string | undefined;
  /** Index of the outgoing link. */
  readonly oif?: number | undefined;
  /** Several next hops. */
  readonly nextHops?: readonly NextHop[] | undefined;
  /** Whether the gateway is taken to be on the link. */
  readonly onlink: boolean;
  /** Metric. */
  readonly metric?: number | undefined;
  /** Preferred source address. */
  readonly src?: string | undefined;
  /** RTNH_F_* and RTM_F_* flags. */
  readonly flags: number;
}

/**
 * Adds a route.
 *
 * @param options `replace`: one with the same destination, metric and type of service is replaced; without, it is an error
 * @throws {NetlinkError} If the kernel refuses; `EEXIST`, `ENETUNREACH` (the gateway is on no link), `ENODEV`
 * @throws {AddressError} If an address is none
 */
export function addRoute(
  c: NetlinkConnection,
  spec: RouteSpec,
  options: { readonly replace?: boolean } = {},
): void {
  c.request(additionOf(spec, options.replace === true ? NLM_F.REPLACE : NLM_F.EXCL));
}

/** The same as a request among others, see `NetlinkConnection.batch`; a route of the same destination is an error. */
export function routeAddition(spec: RouteSpec): BoundRequest {
  return bind(additionOf(spec, NLM_F.EXCL));
}

function additionOf(
  spec: RouteSpec,
  flag: number,
): NetlinkRequest<Payload<Readonly<Record<RouteHeaderField, number>>, RouteAttributes>> {
  return {
    operation: `to add the route ${describe(spec)}`,
    type: RTM.NEWROUTE,
    flags: NLM_F.CREATE | flag,
    codec: routePayload,
    value: routeMessage(spec),
  };
}

/**
 * Deletes a route: the first one that agrees with everything given.
 *
 * @throws {NetlinkError} If the kernel refuses; `ESRCH` if there is none
 * @throws {AddressError} If an address is none
 */
export function deleteRoute(c: NetlinkConnection, spec: RouteSpec): void {
  const { header, attributes } = routeMessage(spec);
  c.request({
    operation: `to delete the route ${describe(spec)}`,
    type: RTM.DELROUTE,
    codec: routePayload,
    value: {
      header: {
        ...header,
        protocol: spec.protocol ?? 0,
        scope: spec.scope ?? RT_SCOPE.NOWHERE,
        type: spec.type === undefined ? 0 : header.type,
      },
      attributes,
    },
  });
}

/**
 * Lists routes, without the kernel's cached ones.
 *
 * @param filter A routing table and an IP version; all by default
 * @throws {NetlinkError} If the kernel refuses
 */
export function listRoutes(
  c: NetlinkConnection,
  filter: { readonly table?: number | undefined; readonly family?: IpFamily | undefined } = {},
): Route[] {
  const { table, family } = filter;
  const families = family === undefined ? [AF.INET, AF.INET6] : [familyNumber(family)];
  return families.flatMap((number) => {
    try {
      return c.dump({
        operation: "to list the routes",
        type: RTM.GETROUTE,
        codec: routePayload,
        value: { header: headerOf({ family: number }), attributes: { table } },
      }, (message) => {
        const route = readRoute(message);
        if (route === undefined || (route.flags & RTM_F_CLONED) !== 0) return undefined;
        return table === undefined || route.table === table ? route : undefined;
      });
    } catch (thrown) {
      // The kernel's word for a table that no route was ever put into.
      const empty = thrown instanceof NetlinkError && thrown.errnoName === "ENOENT";
      if (table !== undefined && empty) return [];
      throw thrown;
    }
  });
}

/**
 * Asks which route a packet would take.
 *
 * @param dst Destination address
 * @param options Mark and incoming link of the packet, and its source address
 * @throws {NetlinkError} If the kernel refuses; `ENETUNREACH`, `EHOSTUNREACH`, `EINVAL` (a blackhole) when there is no way
 * @throws {AddressError} If an address is none
 */
export function getRoute(
  c: NetlinkConnection,
  dst: string,
  options: {
    readonly mark?: number | undefined;
    readonly iif?: number | undefined;
    readonly oif?: number | undefined;
    readonly src?: string | undefined;
  } = {},
): Route {
  const family = familyOf(dst);
  const bits = family === 4 ? 32 : 128;
  const { mark, iif, oif, src } = options;
  const route = c.query({
    operation: `to find the route to "${dst}"`,
    type: RTM.GETROUTE,
    codec: routePayload,
    value: {
      header: headerOf({
        family: familyNumber(family),
        dstLength: bits,
        srcLength: src === undefined ? 0 : bits,
      }),
      attributes: { dst, src, inputInterface: iif, oif, mark },
    },
  }, readRoute);
  if (route !== undefined) return route;
  throw new NetlinkError(
    "NetlinkNoReply",
    `Expected a route to "${dst}" from the kernel, found an acknowledgement without one`,
  );
}

/**
 * Reads a route from an RTM_NEWROUTE or RTM_DELROUTE message; `undefined` for any other, and for families other than IPv4 and IPv6.
 *
 * @throws {NetlinkDecodeError} If the message is malformed
 */
export function readRoute(message: MessageView): Route | undefined {
  if (message.type !== RTM.NEWROUTE && message.type !== RTM.DELROUTE) return undefined;
  const family = ipFamily(routeHeader.read(message.view, message.start, message.end).family);
  if (family === undefined) return undefined;
  const { header, attributes } = routePayload.read(message.view, message.start, message.end);
  return {
    family,
    dst: attributes.dst === undefined
      ? undefined
      : { family, address: attributes.dst, length: header.dstLength },
    table: attributes.table ?? header.table,
    type: ROUTE_TYPES[header.type] ?? "unspec",
    protocol: header.protocol,
    scope: header.scope,
    gateway: attributes.gateway ?? attributes.via,
    oif: attributes.oif,
    nextHops: attributes.multipath?.map(nextHopOf),
    onlink: (header.flags & RTNH_F_ONLINK) !== 0,
    metric: attributes.priority,
    src: attributes.preferredSource,
    flags: header.flags,
  };
}

type RouteHeader = Readonly<Record<RouteHeaderField, number>>;

function routeMessage(spec: RouteSpec): Payload<RouteHeader, RouteAttributes> {
  const { gateway, oif, metric, src, table = RT_TABLE.MAIN, type = "unicast" } = spec;
  const family = routeFamily(spec);
  const dst = spec.dst === undefined ? undefined : networkOf(spec.dst);
  const direct = gateway !== undefined && familyOf(gateway) === family;
  return {
    header: headerOf({
      family: familyNumber(family),
      dstLength: dst?.length ?? 0,
      table: table < 256 ? table : 0,
      protocol: spec.protocol ?? RTPROT.STATIC,
      scope: spec.scope ?? defaultScope(spec, family),
      type: ROUTE_TYPES.indexOf(type),
      flags: spec.onlink === true ? RTNH_F_ONLINK : 0,
    }),
    attributes: {
      dst: dst === undefined || dst.length === 0 ? undefined : dst.address,
      gateway: direct ? gateway : undefined,
      via: direct ? undefined : gateway,
      preferredSource: src,
      oif,
      table: table < 256 ? undefined : table,
      priority: metric,
      multipath: spec.nextHops?.map((hop) => rawNextHop(hop, family)),
    },
  };
}

function headerOf(fields: { readonly [F in RouteHeaderField]?: number }): RouteHeader {
  return {
    family: 0,
    dstLength: 0,
    srcLength: 0,
    tos: 0,
    table: 0,
    protocol: 0,
    scope: 0,
    type: 0,
    flags: 0,
    ...fields,
  };
}

function defaultScope(spec: RouteSpec, family: IpFamily): number {
  const { type = "unicast", gateway, nextHops } = spec;
  if (family === 6) return RT_SCOPE.UNIVERSE;
  if (type === "local" || type === "nat") return RT_SCOPE.HOST;
  if (type === "broadcast" || type === "multicast" || type === "anycast") return RT_SCOPE.LINK;
  const direct = type === "unicast" && gateway === undefined && nextHops === undefined;
  return direct ? RT_SCOPE.LINK : RT_SCOPE.UNIVERSE;
}

function routeFamily(spec: RouteSpec): IpFamily {
  const address = spec.gateway ?? spec.nextHops?.find((hop) => hop.gateway !== undefined)?.gateway;
  return spec.dst?.family ?? spec.family ?? (address === undefined ? 4 : familyOf(address));
}

function familyOf(address: string): IpFamily {
  const family = addressFamily(address);
  if (family !== undefined) return family;
  throw new AddressError(
    "InvalidAddress",
    `Expected an IPv4 or IPv6 address, found ${JSON.stringify(address)}`,
  );
}

function rawNextHop(hop: NextHop, family: IpFamily): RawNextHop {
  const { gateway, oif = 0, weight = 1, onlink } = hop;
  const direct = gateway !== undefined && familyOf(gateway) === family;
  return {
    flags: onlink === true ? RTNH_F_ONLINK : 0,
    hops: weight - 1,
    index: oif,
    attributes: direct ? { gateway } : { via: gateway },
  };
}

function nextHopOf(raw: RawNextHop): NextHop {
  return {
    gateway: raw.attributes.gateway ?? raw.attributes.via,
    oif: raw.index,
    weight: raw.hops + 1,
    onlink: (raw.flags & RTNH_F_ONLINK) !== 0,
  };
}

function describe(spec: RouteSpec): string {
  const { dst, gateway, oif, table = RT_TABLE.MAIN } = spec;
  const to = dst === undefined ? "default" : formatPrefix(dst);
  const by = gateway === undefined ? "" : ` via "${gateway}"`;
  const out = oif === undefined ? "" : ` out of link "${oif}"`;
  return `"${to}"${by}${out} in table "${table}"`;
}
