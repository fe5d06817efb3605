/**
 * What a node wants of FRR: its BGP speaker, its peers and its VRFs.
 *
 * The model is plain data made by the reconciler's plan. `render.ts` turns it into FRR configuration text.
 */

/** The whole desired FRR configuration of one node. */
export interface FrrModel {
  /** The node's autonomous system number, 1 to 4294967294 (RFC 6793). */
  readonly asn: number;
  /** BGP identifier of the node, in dotted form (RFC 6286). */
  readonly routerId: string;
  /**
   * IPv4 address that stands for this node as the next hop of the EVPN routes that it makes, where its VTEP is none: FRR 8.4 knows VTEPs of
   * IPv4 only. Absent where the next hop is the VTEP.
   */
  readonly nextHop?: string;
  /** EVPN peers: the other nodes of a full mesh, or the route reflectors. */
  readonly neighbors: readonly FrrNeighbor[];
  /** The tenants of this node. */
  readonly vrfs: readonly FrrVrf[];
  /**
   * Advertise the gateway addresses of L2VNI bridges as type-2 routes (`advertise-svi-ip`). Off when absent. Each node
   * needs gateway addresses of its own for this: it is not for anycast gateways.
   */
  readonly advertiseSviIp?: boolean;
  /** Lines besides these. */
  readonly extra?: FrrExtraLines | undefined;
}

/** Lines of FRR that nothing else in the model says, by the context that they stand in; `extra_lines.ts` knows which there may be. */
export interface FrrExtraLines {
  /** In the BGP instance. */
  readonly bgp?: readonly string[] | undefined;
  /** In its address family `l2vpn evpn`. */
  readonly evpn?: readonly string[] | undefined;
}

/** Extra lines of a VRF's BGP instance; an address family that the VRF does not carry has none. */
export interface FrrVrfExtraLines extends FrrExtraLines {
  /** In its address family `ipv4 unicast`. */
  readonly ipv4?: readonly string[] | undefined;
  /** In its address family `ipv6 unicast`. */
  readonly ipv6?: readonly string[] | undefined;
}

/** A BGP peer with which the address family `l2vpn evpn` (RFC 7432) is exchanged. What is absent has FRR's default. */
export interface FrrNeighbor {
  /** IPv4 or IPv6 address of the peer. */
  readonly address: string;
  /** The peer's autonomous system; `"internal"` means the node's own, whatever its number. */
  readonly remoteAs: number | "internal";
  /** For people who read the configuration. */
  readonly description?: string | undefined;
  /** Password of the TCP connection (RFC 2385), 1 to 80 printable ASCII characters without blanks and "?". */
  readonly password?: string | undefined;
  /** Bidirectional Forwarding Detection (RFC 5880). */
  readonly bfd?: FrrBfd | undefined;
  /** Seconds between keepalives, and of silence that end the session: at least three times as many. */
  readonly timers?: { readonly keepalive: number; readonly hold: number } | undefined;
  /** Seconds between two attempts to connect. */
  readonly connectRetry?: number | undefined;
  /** How many hops away the peer may be, 2 to 255. Of external peers alone. */
  readonly ebgpMultihop?: number | undefined;
  /** Address or interface that the session comes from. */
  readonly updateSource?: string | undefined;
  /** Graceful restart (RFC 4724). */
  readonly gracefulRestart?: "restart" | "helper" | "disable" | undefined;
  /** How often the node's own AS number may be in a path, 1 to 10. */
  readonly allowAsIn?: number | undefined;
  /** Speak with it no more; its settings stay. Off when absent. */
  readonly shutdown?: boolean | undefined;
  /** Routes that are exchanged; all when absent. */
  readonly filters?: FrrPeerFilters | undefined;
}

/** Which EVPN routes a peer may send and gets; all where a list is absent. */
export interface FrrPeerFilters {
  /** Routes that are taken from it. */
  readonly in?: readonly FrrPeerFilterEntry[] | undefined;
  /** Routes that are sent to it. */
  readonly out?: readonly FrrPeerFilterEntry[] | undefined;
}

/** An entry of a peer's filter: the first that matches decides, and what none matches does not pass. Without a condition it matches all. */
export interface FrrPeerFilterEntry {
  /** Type of the route: 2, 3 (RFC 7432) or 5 (RFC 9136). */
  readonly routeType?: "macip" | "multicast" | "prefix" | undefined;
  /** VXLAN network identifier that the route carries; of the type 3 none has one that FRR 8.4 sees. */
  readonly vni?: number | undefined;
  /** Whether it passes. */
  readonly action: "permit" | "deny";
}

/** Settings of Bidirectional Forwarding Detection; FRR's own, 3 times 300 ms, where absent. */
export interface FrrBfd {
  /** How many packets may be missed, 2 to 255. */
  readonly detectMultiplier?: number | undefined;
  /** Least time between two packets that are received, in milliseconds, 10 to 60000. */
  readonly receiveInterval?: number | undefined;
  /** Least time between two packets that are sent, in milliseconds, 10 to 60000. */
  readonly transmitInterval?: number | undefined;
}

/** A VRF and how BGP carries its routes. */
export interface FrrVrf {
  /** Name of the VRF in the kernel (a vrf link or a network namespace), at most 15 characters, such as `"vrf-200"`. */
  readonly name: string;
  /**
   * VXLAN network identifier of the VRF's type-5 routes (RFC 9136), 1 to 16777215. Without it the VRF has only L2VNIs, which
   * FRR finds in the kernel by itself, so that nothing is rendered for the VRF.
   */
  readonly l3vni?: number;
  /** VXLAN network identifier of the subnet that the VRF stretches (RFC 7432). Nothing is rendered of it: FRR finds it in the kernel. */
  readonly l2vni?: number;
  /** Route distinguisher, `"<IPv4>:<number>"` or `"<ASN>:<number>"`; unique on the node, stable over restarts. */
  readonly rd: string;
  /** BGP identifier of the VRF's instance; usually the node's own. */
  readonly routerId: string;
  /** Route targets, each `"<ASN>:<number>"` or `"<IPv4>:<number>"`. */
  readonly routeTargets: FrrRouteTargets;
  /** The domain's IPv4 prefix, such as `"10.150.0.0/16"`: only IPv4 routes inside it are exported. Without it, none are carried. */
  readonly prefix?: string;
  /** The same for IPv6, such as `"fd00:150::/48"`. A VRF has a prefix of either IP version, or of both. */
  readonly prefix6?: string;
  /** What else is taken and announced. */
  readonly filters?: FrrRouteFilters;
  /** Lines besides these. */
  readonly extra?: FrrVrfExtraLines | undefined;
}

/** Which routes pass besides those of the VRF's own prefixes, which always do. */
export interface FrrRouteFilters {
  /** Routes that are taken from the fabric; all when absent. */
  readonly import?: readonly FrrFilterEntry[] | undefined;
  /** Routes of the VRF that are announced; none when absent. */
  readonly export?: readonly FrrFilterEntry[] | undefined;
}

/** An entry of a prefix list: the first that matches decides, and what none matches does not pass. */
export interface FrrFilterEntry {
  /** A prefix of either IP version. */
  readonly prefix: string;
  /** Least length of a route inside it, beyond its own; its own length when neither `ge` nor `le` is given. */
  readonly ge?: number | undefined;
  /** Greatest length of a route inside it. */
  readonly le?: number | undefined;
  /** Whether it passes. */
  readonly action: "permit" | "deny";
}

/** Route targets of a VRF. */
export interface FrrRouteTargets {
  /** Routes that carry one of these are imported into the VRF. */
  readonly import: readonly string[];
  /** Communities that the VRF's exported routes carry. */
  readonly export: readonly string[];
}
