/**
 * The kernel as the reconciler and the attachments see it.
 *
 * Two adapters implement it: `vrf_device.ts` (a VRF is a link of kind vrf) and `vrf_netns.ts` (a VRF is a network
 * namespace with a host leg). Nothing above this file knows which is in use.
 */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";

/** How a VRF is kept on this node. */
export type VrfBackend = "device" | "netns";

/** The interface that carries the VXLAN packets and the way out of the node. */
export interface Underlay {
  /** Interface name, such as `eth0`. */
  readonly ifname: string;
  /** Interface index in the host's namespace. */
  readonly ifindex: number;
  /** This node's VTEP address. */
  readonly address: string;
  /** MTU in bytes. */
  readonly mtu: number;
  /** Next hop of the host's default route, when it has one. */
  readonly gateway?: string;
}

/** A gateway address on a VRF's bridge. */
export interface GatewayAddress {
  /** Address, without the prefix length. */
  readonly address: string;
  /** Prefix length on the bridge, in bits. */
  readonly prefixLength: number;
}

/** A bridge with its VXLAN device in a VRF. */
export interface OverlaySpec {
  /** Whether the VNI routes (type 5) or stretches a subnet (types 2 and 3). */
  readonly type: "l3vni" | "l2vni";
  /** VXLAN network identifier, 1 to 2^24 − 1. */
  readonly vni: number;
  /** UDP port of the VXLAN device. */
  readonly port: number;
  /** Local VTEP address. */
  readonly local: string;
  /** Bridge name, `l3br-<vrf>` or `l2br-<vrf>`. */
  readonly bridge: string;
  /** VXLAN device name, `l3vx-<vni>` or `l2vx-<vni>`. */
  readonly vxlan: string;
  /** The bridge's fixed MAC, unique per node and VRF: it is the router MAC in EVPN. */
  readonly mac: string;
  /** MTU of bridge, VXLAN device and pods, in bytes. */
  readonly mtu: number;
  /** Gateway addresses on the bridge, one per block. */
  readonly gateways: readonly GatewayAddress[];
  /** Names of the pods' host ends: each that exists is a port of the bridge. A bridge made anew takes its pods back. */
  readonly ports: readonly string[];
}

/** A VRF as it shall be on this node. */
export interface VrfSpec {
  /** VRF number. */
  readonly vrf: number;
  /** Name of the VRF in the kernel and in FRR, `vrf-<vrf>`. */
  readonly name: string;
  /** Routing table id. */
  readonly table: number;
  /** Overlays, the one that pods attach to first. */
  readonly overlays: readonly OverlaySpec[];
  /** The domain's prefix in CIDR form. */
  readonly prefix: string;
  /** CIDRs of the blocks that this node holds for the VRF. */
  readonly blocks: readonly string[];
}

/** An RPDB rule of ours. All of them carry {@linkcode ruleProtocol}, which is how they are recognised. */
export interface RuleSpec {
  /** Lower is looked at first. */
  readonly priority: number;
  /** Table to look up. */
  readonly table: number;
  /** Firewall mark that the packet must carry. */
  readonly fwmark?: number;
  /** Source prefix in CIDR form. */
  readonly src?: string;
  /** Destination prefix in CIDR form. */
  readonly dst?: string;
  /** Incoming interface name. */
  readonly iifname?: string;
  /** Outgoing interface name (of a socket bound to it). */
  readonly oifname?: string;
}

/** FRA_PROTOCOL and RTA_PROTOCOL value of the rules and routes that this project makes. */
export const ruleProtocol = 142;

/** An overlay found in the kernel. */
export interface ObservedOverlay {
  /** Bridge name. */
  readonly bridge: string;
  /** VXLAN device name; absent while the bridge has none. */
  readonly vxlan?: string;
  /** Gateway addresses on the bridge. */
  readonly gateways: readonly GatewayAddress[];
  /** False when any property (VNI, port, local, MAC, MTU, master, up, learning, the pods' ports) differs from what its spec asks. */
  matches(spec: OverlaySpec): boolean;
}

/** A VRF found in the kernel that is ours. */
export interface ObservedVrf {
  /** VRF number, taken from its name. */
  readonly vrf: number;
  /** VRF name. */
  readonly name: string;
  /** Routing table id; 0 when it could not be told. */
  readonly table: number;
  /** Overlays present. */
  readonly overlays: readonly ObservedOverlay[];
  /** Block routes present in the host's table for the VRF (netns backend) or implied by the bridge (device backend). */
  readonly blocks: readonly string[];
  /** False when the VRF's container, its way out or a sysctl needs repair by {@linkcode Kernel.ensureVrf}. */
  matches(spec: VrfSpec, underlay: Underlay): boolean;
}

/** What the node's kernel holds of ours at one moment. */
export interface KernelState {
  /** VRFs by number. */
  readonly vrfs: ReadonlyMap<number, ObservedVrf>;
  /** Rules that carry {@linkcode ruleProtocol}. */
  readonly rules: readonly RuleSpec[];
}

/** Where a pod's veth is plugged in. */
export interface AttachmentPoint {
  /** A connection in the namespace where the bridge lives (the host's, or the VRF's in the netns backend). Not owned by the caller. */
  readonly connection: NetlinkConnection;
  /** Index of the bridge in that namespace. */
  readonly bridgeIndex: number;
  /** Name of the bridge. */
  readonly bridge: string;
  /** MTU for the pod, in bytes. */
  readonly mtu: number;
}

/** Operations on the node's kernel. Each ensure/remove is idempotent; errors are typed (`KernelError` or `NetlinkError`). */
export interface Kernel extends Disposable {
  /** Which adapter this is. */
  readonly backend: VrfBackend;
  /** Finds the underlay: the named interface and address, or those of the default route. */
  underlay(hint?: { readonly ifname: string; readonly address: string }): Underlay;
  /** Reads what is there. */
  observe(): KernelState;
  /**
   * Makes the VRF's container (link or namespace), its sysctls, its way out, and its block routes.
   *
   * The way out: in the netns backend the default route through the host leg. In the device backend NO default route stands in
   * the VRF's table: a lookup that finds nothing there goes on in the RPDB, where the service VRFs' rule (12000) and then
   * the main table answer; a default route would hide the service VRFs (cluster DNS) from the tenants. So that packets to
   * unassigned addresses of the tenant itself never fall through, an `unreachable` route for `spec.prefix` with the
   * highest metric stands in the VRF's table in both backends.
   */
  ensureVrf(spec: VrfSpec, underlay: Underlay): void;
  /** Makes or repairs bridge, gateway addresses and, last, the VXLAN device. FRR must know the VNI before this. */
  ensureOverlay(spec: VrfSpec, overlay: OverlaySpec): void;
  /** Deletes the VXLAN device and the bridge. FRR must have forgotten the VNI before this. */
  removeOverlay(vrfName: string, overlay: ObservedOverlay): Promise<void>;
  /** Deletes what else ties a VRF to the host (the host leg and its routes); its overlays must be gone. */
  detachVrf(vrf: ObservedVrf): Promise<void>;
  /** Deletes the VRF's container, which is empty. In the netns backend zebra must have seen that it is. */
  removeVrf(vrf: ObservedVrf): Promise<void>;
  /** Adds the missing rules and deletes ours that are not listed. Returns how many were added and deleted. */
  syncRules(rules: readonly RuleSpec[]): { readonly added: number; readonly deleted: number };
  /** Interface names through which a VRF's pods' packets enter the host's namespace (for marks). */
  ingressInterfaces(
    vrf: { readonly vrf: number; readonly overlays: readonly OverlaySpec[] },
  ): readonly string[];
  /**
   * A connection to where the host ends of the VRF's pods are, with or without a bridge; undefined while there is no such
   * place. Not owned by the caller.
   */
  connection(vrf: number): NetlinkConnection | undefined;
  /** Where pods of the VRF attach. @throws {KernelError} `VrfNotReady` while the bridge is missing */
  attachmentPoint(vrf: number): AttachmentPoint;
}
