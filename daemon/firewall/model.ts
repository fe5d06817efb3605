/** What the nftables table of a node depends on. */

/** Where a VRF's packets go that no route of the VRF answers; see `spec.egress` of VRFDomain. */
export type Egress = "nat" | "routed" | "none";

/** One VRF's share of the table. */
export interface FirewallVrf {
  /** Its mark, within the model's mask. */
  readonly mark: number;
  /** Interfaces on the host through which the pods' packets arrive, and leave to the pods. */
  readonly ingress: readonly string[];
  /** Prefixes inside which addresses are kept, in CIDR form. */
  readonly prefixes: readonly string[];
  /** The node's blocks in CIDR form. */
  readonly blocks: readonly string[];
  /** Prefixes whose addresses answer the VRF's pods past the host, in CIDR form: a flow that was sent there by DNAT must come from here. */
  readonly neighbors: readonly string[];
  /** The way out. */
  readonly egress: Egress;
}

/** All that the table depends on. */
export interface FirewallModel {
  /** Links that lead out of the node. */
  readonly outward: readonly string[];
  /** Bits of packet and connection marks that are ours. */
  readonly markMask: number;
  /** Whether IPv6 that leaves the node is masqueraded too. Off when absent: IPv6 has addresses enough, and routers to lead to them. */
  readonly nat66?: boolean | undefined;
  /** VRFs, in any order. */
  readonly vrfs: readonly FirewallVrf[];
}
