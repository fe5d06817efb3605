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
  /** EVPN peers: the other nodes of a full mesh, or the route reflectors. */
  readonly neighbors: readonly FrrNeighbor[];
  /** The tenants of this node. */
  readonly vrfs: readonly FrrVrf[];
  /**
   * Advertise the gateway addresses of L2VNI bridges as type-2 routes (`advertise-svi-ip`). Off when absent. Each node
   * needs gateway addresses of its own for this: it is not for anycast gateways.
   */
  readonly advertiseSviIp?: boolean;
}

/** A BGP peer with which the address family `l2vpn evpn` (RFC 7432) is exchanged. */
export interface FrrNeighbor {
  /** IPv4 address of the peer. */
  readonly address: string;
  /** The peer's autonomous system; `"internal"` means the node's own, whatever its number. */
  readonly remoteAs: number | "internal";
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
  /** Route distinguisher, `"<IPv4>:<number>"` or `"<ASN>:<number>"`; unique on the node, stable over restarts. */
  readonly rd: string;
  /** BGP identifier of the VRF's instance; usually the node's own. */
  readonly routerId: string;
  /** Route targets, each `"<ASN>:<number>"` or `"<IPv4>:<number>"`. */
  readonly routeTargets: FrrRouteTargets;
  /** The domain's prefix, such as `"10.150.0.0/16"`: only routes inside it are exported. */
  readonly prefix: string;
}

/** Route targets of a VRF. */
export interface FrrRouteTargets {
  /** Routes that carry one of these are imported into the VRF. */
  readonly import: readonly string[];
  /** Communities that the VRF's exported routes carry. */
  readonly export: readonly string[];
}
