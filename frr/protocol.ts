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

/** An L3VNI as zebra sees it. */
export interface FrrVniState {
  /** Name of the VRF. */
  readonly vrf: string;
  /** VXLAN network identifier. */
  readonly vni: number;
  /** `Up` once zebra has joined VRF, bridge and VXLAN device. */
  readonly state: "Up" | "Down";
  /** Name of the bridge, once known. */
  readonly svi?: string | undefined;
  /** Name of the VXLAN device, once known. */
  readonly vxlan?: string | undefined;
  /** MAC of the bridge, which peers use to reach this VRF's routes. */
  readonly routerMac?: string | undefined;
}

/** A BGP peer of the address family `l2vpn evpn`. */
export interface FrrPeerState {
  /** IPv4 address of the peer. */
  readonly address: string;
  /** State of RFC 4271, section 8.2.2, as FRR writes it, such as `Active`, `Established`, or `Idle (Admin)`. */
  readonly state: string;
  /** Whether routes are exchanged. */
  readonly established: boolean;
  /** EVPN prefixes accepted from the peer. */
  readonly prefixesReceived: number;
}

/** What FRR has really done with its configuration. */
export interface FrrState {
  /** Whether zebra, bgpd and staticd all answer. */
  readonly ready: boolean;
  /** Changes whenever zebra or bgpd has been restarted: apply the configuration again then. */
  readonly epoch: string;
  /** VRFs, sorted by name. */
  readonly vrfs: readonly FrrVrfState[];
  /** L3VNIs, sorted by VRF. */
  readonly vnis: readonly FrrVniState[];
  /** EVPN peers, sorted by address. */
  readonly peers: readonly FrrPeerState[];
}

/** What applying a configuration has done. */
export interface FrrApplyResult {
  /** Whether anything had to be changed. */
  readonly changed: boolean;
  /** The lines given to FRR, in order. */
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
}

/** Routes for a person to look at. */
export interface FrrRoutes {
  /** Routes of the VRF's table. */
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
    state: z.enum(["Up", "Down"]),
    svi: z.string().optional(),
    vxlan: z.string().optional(),
    routerMac: z.string().optional(),
  })),
  peers: z.array(z.object({
    address: z.string(),
    state: z.string(),
    established: z.boolean(),
    prefixesReceived: z.number(),
  })),
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
