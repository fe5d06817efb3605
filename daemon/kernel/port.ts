/**
 * The kernel as the reconciler and the attachments see it.
 *
 * Two adapters implement it: `vrf_device.ts` (a VRF is a link of kind vrf) and `vrf_netns.ts` (a VRF is a network
 * namespace with a host leg). Nothing above this file knows which is in use.
 */
import type { IpFamily } from "../../lib/net/address.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import type { NetnsHandle } from "../../lib/sys/netns.ts";

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
  /** The attached pods: the host end of each that exists is a port of the bridge. A bridge made anew takes its pods back. */
  readonly ports: readonly PodPort[];
  /**
   * Where the other nodes are, when the daemon must say it: zebra cannot where tunnels run over IPv6, for it knows VTEPs of IPv4 only
   * (FRR 8.4). Absent where zebra does.
   */
  readonly remotes?: readonly RemoteVtep[] | undefined;
}

/** The other end of a tunnel. */
export interface RemoteVtep {
  /** Router MAC of the other node in the VRF. */
  readonly mac: string;
  /** Its VTEP address. */
  readonly address: string;
}

/** An attached pod as its bridge sees it. */
export interface PodPort {
  /** Name of the veth's host end. */
  readonly name: string;
  /** MAC in the pod. */
  readonly mac: string;
  /** The pod's addresses, without prefix lengths. */
  readonly addresses: readonly string[];
  /** Name of the interface in the pod. */
  readonly ifname: string;
  /** Path of the pod's network namespace, as the runtime gave it. */
  readonly netnsPath: string;
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
  /** The domain's prefixes in CIDR form, one of each IP version at most. */
  readonly prefixes: readonly string[];
  /** CIDRs of the blocks that this node holds for the VRF. */
  readonly blocks: readonly string[];
  /** Prefixes, in CIDR form, that the host looks up whatever default route the VRF has: those of service VRFs and of Services. */
  readonly viaHost?: readonly string[];
}

/** An RPDB rule of ours. All of them carry {@linkcode ruleProtocol}, which is how they are recognised. */
export interface RuleSpec {
  /** Lower is looked at first. */
  readonly priority: number;
  /** Table to look up; 0 where the action is another. */
  readonly table: number;
  /** What it does instead of looking up the table. */
  readonly action?: "unreachable";
  /** Whether default routes of the table do not count. With `fromVrf` the table must be that VRF's own. */
  readonly noDefault?: true;
  /** Firewall mark that the packet must carry. */
  readonly fwmark?: number;
  /** Bits of the mark that count; all by default. */
  readonly fwmask?: number;
  /** VRF whose pods sent the packet. The adapter knows by what the kernel tells it; not with `iifname`. */
  readonly fromVrf?: number;
  /** Source prefix in CIDR form. */
  readonly src?: string;
  /** Destination prefix in CIDR form. */
  readonly dst?: string;
  /** Incoming interface name. */
  readonly iifname?: string;
  /** Outgoing interface name (of a socket bound to it). */
  readonly oifname?: string;
  /** IP version of a rule without a prefix; 4 when absent. A prefix tells its own. */
  readonly family?: IpFamily;
}

/** What became of the rules. */
export interface RuleSync {
  /** How many were added. */
  readonly added: number;
  /** How many were deleted. */
  readonly deleted: number;
  /** Those that the kernel refused, as they were given, and why. */
  readonly refused: readonly { readonly rule: RuleSpec; readonly message: string }[];
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
  /** The pods whose host end has another MTU than the overlay. Not a part of {@linkcode ObservedOverlay.matches}. */
  misfits(spec: OverlaySpec): readonly PodPort[];
  /** False when any property (VNI, port, local, MAC, MTU, master, up, learning, the pods' ports and neighbours, remotes) differs from what its spec asks. */
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
  /** Whether the bridge stretches a subnet: then its neighbour table tells EVPN each pod's address. */
  readonly stretched: boolean;
}

/** A network namespace that is a VRF. */
export interface OwnNamespace {
  /** Its path. */
  readonly path: string;
  /** Name in it of the link that leads to the host. */
  readonly hostLink: string;
  /** Prefixes that the addresses of such links are of, in CIDR form. */
  readonly hostPrefixes: readonly string[];
}

/** Operations on the node's kernel. Each ensure/remove is idempotent; errors are typed (`KernelError` or `NetlinkError`). */
export interface Kernel extends Disposable {
  /** Which adapter this is. */
  readonly backend: VrfBackend;
  /** Finds the underlay: the named interface and address, or those of the default route. */
  underlay(hint?: { readonly ifname: string; readonly address: string }): Underlay;
  /** Names of the links that lead out of the node: the underlay's and those of the host's default routes. */
  outwardLinks(underlay: Underlay): readonly string[];
  /** Reads what is there. */
  observe(): KernelState;
  /**
   * Makes the VRF's container (link or namespace), its sysctls, its way out, and its block routes.
   *
   * The way out is the host's to decide in both backends: what the VRF has no route for goes on in the host's RPDB. In the netns backend
   * the default route through the host leg leads there, with the highest metric, so that one that FRR learns is preferred; `spec.viaHost`
   * stays with the host even then. In the device backend the RPDB itself goes on, and nothing stands in the VRF's table for it. So that
   * packets to unassigned addresses of the tenant itself never fall through, an `unreachable` route for each of `spec.prefixes` with a
   * metric above FRR's stands in the VRF's table in both backends.
   */
  ensureVrf(spec: VrfSpec, underlay: Underlay): void;
  /** Tells zebra of a VRF's container once more, as if it had just come. */
  announceVrf(vrfName: string): void;
  /** Makes or repairs bridge, gateway addresses and, last, the VXLAN device. FRR must know the VNI before this. */
  ensureOverlay(spec: VrfSpec, overlay: OverlaySpec): void;
  /** How many addresses zebra has to know on a stretched bridge: the gateways', the pods' and those of other nodes. */
  countAddresses(vrfName: string, overlay: OverlaySpec): number;
  /** Tells zebra of the gateways on a bridge once more, as if each had just come. */
  announceGateways(vrfName: string, overlay: OverlaySpec): void;
  /** The same, on a stretched bridge, with the pods besides. */
  announcePods(vrfName: string, overlay: OverlaySpec): void;
  /** Deletes what zebra told of other nodes' addresses on a stretched bridge: it puts back at once what it still knows. */
  askAddressesBack(vrfName: string, overlay: OverlaySpec): void;
  /** Deletes the VXLAN device and the bridge. FRR must have forgotten the VNI before this. */
  removeOverlay(vrfName: string, overlay: ObservedOverlay): Promise<void>;
  /** Deletes what else ties a VRF to the host (the host leg and its routes); its overlays must be gone. */
  detachVrf(vrf: ObservedVrf): Promise<void>;
  /** Deletes the VRF's container, which is empty. In the netns backend zebra must have seen that it is. */
  removeVrf(vrf: ObservedVrf): Promise<void>;
  /** Adds the missing rules and deletes ours that are not listed. A rule that the kernel refuses keeps no other out. */
  syncRules(rules: readonly RuleSpec[]): RuleSync;
  /**
   * Makes the addresses that stand for other nodes' VTEPs resolvable for FRR: by a route in the main table where no route but a default one
   * leads there. Nothing is sent to them. Deletes routes of ours that are not listed. Returns how many were added and deleted.
   *
   * @param addresses IPv4 addresses
   */
  syncVtepRoutes(
    addresses: readonly string[],
    underlay: Underlay,
  ): { readonly added: number; readonly deleted: number };
  /** Interface names through which a VRF's pods' packets enter the host's namespace (for marks). */
  ingressInterfaces(
    vrf: { readonly vrf: number; readonly overlays: readonly OverlaySpec[] },
  ): readonly string[];
  /**
   * Prefixes whose addresses answer the VRF's pods past the host's namespace: on the same bridge, or in the VRF's own namespace. DNAT that was
   * done in the host's namespace is not undone for them.
   */
  neighborPrefixes(vrf: { readonly overlays: readonly OverlaySpec[] }): readonly string[];
  /** Where a VRF is a network namespace of its own; undefined where it shares the host's, and while it is not there. */
  ownNamespace(vrf: number): OwnNamespace | undefined;
  /**
   * A connection to where the host ends of the VRF's pods are, with or without a bridge; undefined while there is no such
   * place. Not owned by the caller.
   */
  connection(vrf: number): NetlinkConnection | undefined;
  /**
   * The network namespace of the VRF's bridges, to listen to: null for the host's own, undefined while there is none. Not owned by the
   * caller.
   */
  namespace(vrf: number): NetnsHandle | null | undefined;
  /** Where pods of the VRF attach. @throws {KernelError} `VrfNotReady` while the bridge is missing */
  attachmentPoint(vrf: number): AttachmentPoint;
}
