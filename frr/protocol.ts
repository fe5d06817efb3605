/** What the FRR agent and its client say to each other: HTTP on a UNIX socket, JSON answers. */

import { z } from "zod";

/** The socket on which the agent listens unless told otherwise. */
export const DEFAULT_SOCKET_PATH = "/var/run/frr/reload.sock";

/** The port of the agent's probes unless told otherwise. */
export const DEFAULT_PROBE_PORT = 24801;

/** Why the agent did not do what it was asked. */
export type FrrErrorCode = "FrrUnavailable" | "FrrRefused" | "FrrTimeout";

/** A VRF as zebra sees it. */
export interface FrrVrfState {
  /** Name of the VRF. */
  readonly name: string;
  /** The kernel's number for it: the vrf link's index, or zebra's own for a namespace; absent while inactive. */
  readonly id?: number | undefined;
  /** `active` once zebra has found the vrf link or the namespace. */
  readonly state: "active" | "inactive";
  /** Names of the links that zebra sees in it, sorted; `["lo"]` for a namespace that is safe to delete. */
  readonly interfaces: readonly string[];
}

/** A VNI as zebra and bgpd see it. */
export interface FrrVniState {
  /** Name of the VRF. */
  readonly vrf: string;
  /** VXLAN network identifier. */
  readonly vni: number;
  /** Whether it routes (type 5) or stretches a subnet (types 2 and 3). */
  readonly type: "l3vni" | "l2vni";
  /** `Up` once zebra has joined VRF, bridge and VXLAN device, and for an l2vni bgpd announces it. */
  readonly state: "Up" | "Down";
  /** How many other nodes have announced the same l2vni; absent for an l3vni. */
  readonly remoteVteps?: number | undefined;
  /** How many addresses zebra knows in the subnet of an l2vni, those of the node's gateways included; absent for an l3vni. */
  readonly neighbors?: number | undefined;
  /** Name of the bridge, once known. */
  readonly svi?: string | undefined;
  /** Name of the VXLAN device, once known. */
  readonly vxlan?: string | undefined;
  /** MAC of the bridge, which peers use to reach this VRF's routes. */
  readonly routerMac?: string | undefined;
}

/** A BGP peer of the address family `l2vpn evpn`. */
export interface FrrPeerState {
  /** Address of the peer. */
  readonly address: string;
  /** State of RFC 4271, section 8.2.2, as FRR writes it, such as `Active`, `Established`, or `Idle (Admin)`. */
  readonly state: string;
  /** Whether routes are exchanged. */
  readonly established: boolean;
  /** EVPN prefixes accepted from the peer. */
  readonly prefixesReceived: number;
  /** Its AS number. */
  readonly asn?: number | undefined;
  /** Whether BFD finds the path to it up; absent without a BFD session. */
  readonly bfd?: "up" | "down" | undefined;
  /** Why the session is not up, in FRR's words; absent while it is, or when FRR does not say. */
  readonly lastError?: string | undefined;
}

/** What FRR has really done with its configuration. */
export interface FrrState {
  /** Whether zebra, bgpd and staticd all answer. */
  readonly ready: boolean;
  /** Changes whenever zebra or bgpd has been restarted: apply the configuration again then. */
  readonly epoch: string;
  /** VRFs, sorted by name. */
  readonly vrfs: readonly FrrVrfState[];
  /** VNIs, sorted by VRF and number. */
  readonly vnis: readonly FrrVniState[];
  /** EVPN peers, sorted by address. */
  readonly peers: readonly FrrPeerState[];
  /** FRR's daemons that answer, sorted by name; absent when the agent does not say. */
  readonly daemons?: readonly string[] | undefined;
  /**
   * Addresses that zebra knows, by the name of the link, such as `10.150.0.1/26`: link-local ones are not among them, nor further ones of the
   * same subnet. Of links with the same name in several VRFs it is one's. Absent when the agent does not say.
   */
  readonly addresses?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** What applying a configuration has done. */
export interface FrrApplyResult {
  /** Whether anything had to be changed. */
  readonly changed: boolean;
  /** The lines given to FRR, in order; passwords are hidden. */
  readonly lines: readonly string[];
  /** How long it took, in seconds. */
  readonly seconds: number;
}

/** A route of a VRF. */
export interface FrrRoute {
  /** Destination, such as `10.150.0.0/26`. */
  readonly prefix: string;
  /** Where it comes from: `bgp`, `kernel`, `connected`, `static`, ... */
  readonly protocol: string;
  /** Whether zebra chose it for its destination. */
  readonly selected: boolean;
  /** Next hops: `<address> <interface>`, with the parts that are known. */
  readonly nexthops: readonly string[];
}

/** An EVPN type-5 route that bgpd holds. */
export interface FrrPrefixRoute {
  /** Route distinguisher. */
  readonly rd: string;
  /** Destination, such as `10.150.0.0/26`. */
  readonly prefix: string;
  /** VTEP that leads there; `0.0.0.0` is never used, a route of this node has its own. */
  readonly nexthop: string;
  /** The peer that it came from; empty for a route of this node. */
  readonly peer: string;
  /** MAC for which the VTEP routes (RFC 9135, section 8.1); absent where the route has none. */
  readonly routerMac?: string | undefined;
  /** Route targets that it carries. */
  readonly routeTargets: readonly string[];
}

/** Routes for a person to look at. */
export interface FrrRoutes {
  /** Routes of the VRF's table, IPv4 before IPv6; IPv6 link routes are among them. */
  readonly routes: readonly FrrRoute[];
  /** EVPN type-5 routes of all VRFs. */
  readonly prefixRoutes: readonly FrrPrefixRoute[];
}

/** Why a request failed. */
export interface FrrFailure {
  /** Kind of failure. */
  readonly code: FrrErrorCode;
  /** For a person. */
  readonly message: string;
  /** FRR's own words on a refusal. */
  readonly line?: string | undefined;
}

const applyResultSchema: z.ZodType<FrrApplyResult> = z.object({
  changed: z.boolean(),
  lines: z.array(z.string()),
  seconds: z.number(),
});

const stateSchema: z.ZodType<FrrState> = z.object({
  ready: z.boolean(),
  epoch: z.string(),
  vrfs: z.array(z.object({
    name: z.string(),
    id: z.number().optional(),
    state: z.enum(["active", "inactive"]),
    interfaces: z.array(z.string()),
  })),
  vnis: z.array(z.object({
    vrf: z.string(),
    vni: z.number(),
    type: z.enum(["l3vni", "l2vni"]),
    state: z.enum(["Up", "Down"]),
    remoteVteps: z.number().optional(),
    neighbors: z.number().optional(),
    svi: z.string().optional(),
    vxlan: z.string().optional(),
    routerMac: z.string().optional(),
  })),
  peers: z.array(z.object({
    address: z.string(),
    state: z.string(),
    established: z.boolean(),
    prefixesReceived: z.number(),
    asn: z.number().optional(),
    bfd: z.enum(["up", "down"]).optional(),
    lastError: z.string().optional(),
  })),
  daemons: z.array(z.string()).optional(),
  addresses: z.record(z.string(), z.array(z.string())).optional(),
});

const routesSchema: z.ZodType<FrrRoutes> = z.object({
  routes: z.array(z.object({
    prefix: z.string(),
    protocol: z.string(),
    selected: z.boolean(),
    nexthops: z.array(z.string()),
  })),
  prefixRoutes: z.array(z.object({
    rd: z.string(),
    prefix: z.string(),
    nexthop: z.string(),
    peer: z.string(),
    routerMac: z.string().optional(),
    routeTargets: z.array(z.string()).default([]),
  })),
});

const failureSchema: z.ZodType<FrrFailure> = z
  .object({
    code: z.enum(["FrrUnavailable", "FrrRefused", "FrrTimeout"]),
    message: z.string(),
    line: z.string().optional(),
  });

/**
 * Parses the answer of `/check` and `/apply`.
 *
 * @throws {Error} When it has another form
 */
export function parseApplyResult(body: unknown): FrrApplyResult {
  return applyResultSchema.parse(body);
}

/**
 * Parses the answer of `/state`.
 *
 * @throws {Error} When it has another form
 */
export function parseState(body: unknown): FrrState {
  return stateSchema.parse(body);
}

/**
 * Parses the answer of `/routes`.
 *
 * @throws {Error} When it has another form
 */
export function parseRoutes(body: unknown): FrrRoutes {
  return routesSchema.parse(body);
}

/**
 * Parses the body of a failed request.
 *
 * @throws {Error} When it has another form
 */
export function parseFailure(body: unknown): FrrFailure {
  return failureSchema.parse(body);
}
