/** All that the plan of a node depends on: what its objects say, in the terms of the plan. */
import type { FrrNeighbor } from "../../frr/model.ts";
import type { Prefix } from "../../lib/net/prefix.ts";
import type { PoolBlock } from "../ipam/port.ts";
import type { PodPort, Underlay } from "../kernel/port.ts";
import type { DomainExtraConfig, NodeExtraConfig } from "../resources/extra_config.ts";
import type { RouteFilters } from "../resources/route_filter.ts";
import type { VRFRouteTargets } from "../resources/vrf_domain.ts";
import type { Egress } from "../firewall/model.ts";
import type { NodeVtep } from "./reach.ts";

/** An overlay attachment of a domain, as its resource says it. */
export interface PlanAttachment {
  /** Whether the VNI routes or stretches a subnet. */
  readonly type: "l3vni" | "l2vni";
  /** VXLAN network identifier. */
  readonly vni: number;
  /** UDP port of the VXLAN device. */
  readonly port: number;
  /** VTEP address; the underlay's where absent. */
  readonly local?: string | undefined;
}

/** A domain that this node shall carry: accepted, and not being deleted. */
export interface PlanDomain {
  /** Name of the VRFDomain. */
  readonly name: string;
  /** VRF number. */
  readonly vrf: number;
  /** Routing table id. */
  readonly table: number;
  /** Its prefixes: one of each IP version at most. */
  readonly prefixes: readonly Prefix[];
  /** Overlay attachments; at most one of each type counts. */
  readonly attachments: readonly PlanAttachment[];
  /** Route targets besides its own. */
  readonly routeTargets?: VRFRouteTargets | undefined;
  /** Routes that pass between its VRF and the fabric. */
  readonly routeFilters?: RouteFilters | undefined;
  /** Lines of FRR that no field covers. */
  readonly extraConfig?: DomainExtraConfig | undefined;
  /** MTU that it asks for, in bytes; what the underlay has room for where absent. */
  readonly mtu?: number | undefined;
  /** Where packets go that no route of the VRF answers; `nat` when absent. */
  readonly egress?: Egress | undefined;
}

/** A routing policy for a domain. */
export interface PlanPolicy {
  /** Name of the VRFRoutingPolicy. */
  readonly name: string;
  /** Name of the VRFDomain. */
  readonly domain: string;
  /** One rule each. */
  readonly match: readonly {
    readonly dst?: string | undefined;
    readonly src?: string | undefined;
    readonly iifname?: string | undefined;
    readonly oifname?: string | undefined;
  }[];
}

/** All that the plan depends on. */
export interface PlanInput {
  /** This node's name: bridge MACs are derived from it. */
  readonly node: string;
  /** This node's underlay. */
  readonly underlay: Underlay;
  /** The installation's AS number, of which route targets are made. */
  readonly asn: number;
  /** This node's AS number; the installation's when absent. */
  readonly nodeAsn?: number | undefined;
  /** Lines of FRR that no field covers. */
  readonly extraConfig?: NodeExtraConfig | undefined;
  /** BGP identifier of this node. */
  readonly routerId: string;
  /** EVPN peers. */
  readonly peers: readonly FrrNeighbor[];
  /** The other nodes' ends of the tunnels; none when absent. */
  readonly vteps?: readonly NodeVtep[];
  /** Domains to carry. */
  readonly domains: readonly PlanDomain[];
  /** Blocks that this node holds. */
  readonly blocks: readonly PoolBlock[];
  /** The attached pods, by VRF number. */
  readonly ports: ReadonlyMap<number, readonly PodPort[]>;
  /** Routing policies. */
  readonly policies: readonly PlanPolicy[];
  /** VRFs whose table is below this one are service VRFs: their prefix is reachable from the host and every VRF. */
  readonly serviceVrfMax: number;
  /** Whether IPv6 that leaves the node is masqueraded; off when absent. */
  readonly nat66?: boolean | undefined;
  /** Bits of packet marks that are ours; all but kube-proxy's when absent. */
  readonly markMask?: number | undefined;
  /** Links that lead out of the node; the underlay's alone when absent. */
  readonly outward?: readonly string[] | undefined;
  /** Addresses of Kubernetes Services, which the host translates, in CIDR form. */
  readonly serviceCidrs?: readonly string[] | undefined;
}
