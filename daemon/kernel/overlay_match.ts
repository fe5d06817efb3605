/** Where a bridge and its VXLAN device differ from what they shall be. Pure. */
import { addressFamily, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { linkLocalOf } from "../../lib/net/mac.ts";
import type { LinkKind } from "../../lib/netlink/link_kinds/link_kind.ts";
import type { BridgePort } from "../../lib/netlink/rtnl/bridge_port.ts";
import type { Link } from "../../lib/netlink/rtnl/link.ts";
import { isOfKind, isOurs } from "./ownership.ts";
import { missingNeighbors, type PodNeighbor } from "./pod_neighbors.ts";
import type { GatewayAddress, OverlaySpec, PodPort, RemoteVtep } from "./port.ts";
import type { Snapshot } from "./snapshot.ts";

/** A property of a bridge that needs repair. */
export type BridgeFault =
  | "missing"
  | "mac"
  | "mtu"
  | "down"
  | "master"
  | "stp"
  | "ageing"
  | "addrGenMode"
  | "alias";

/**
 * How long a bridge that stretches a subnet remembers a MAC, in hundredths of a second: longer than any pod runs. A MAC goes with its port or
 * by EVPN, never by the clock: the other nodes would be told that a pod which was silent for a while has gone.
 */
export const stretchedAgeingTime = 400 * 24 * 3600 * 100;

/** A property of a VXLAN device that needs repair; `identity` (VNI, port, home of the socket) can be set only at creation. */
export type VxlanFault =
  | "missing"
  | "identity"
  | "local"
  | "mtu"
  | "down"
  | "master"
  | "port"
  | "protoDown"
  | "addrGenMode"
  | "alias";

/**
 * A VXLAN device as a port of its bridge. It learns from nothing but EVPN, and what EVPN has not told of is on no other node: frames to unknown
 * MACs stay here. Broadcasts and multicasts do go to the other nodes: nobody knows who waits for them.
 */
export const vxlanPort: BridgePort = {
  learning: false,
  neighSuppress: true,
  unicastFlood: false,
  broadcastFlood: true,
  multicastFlood: true,
};

/** Where an overlay is kept. */
export interface OverlayHome {
  /** Index of the link of kind vrf that the bridge belongs to; 0 where the namespace is the VRF. */
  readonly master: number;
  /** Whether the VXLAN device's socket is in another namespace than the device. */
  readonly foreignSocket: boolean;
}

/** What needs repair at a bridge. */
export function bridgeFaults(
  bridge: Link | undefined,
  spec: OverlaySpec,
  home: OverlayHome,
): BridgeFault[] {
  if (!isOfKind(bridge, "bridge")) return ["missing"];
  const faults: BridgeFault[] = [];
  if (bridge.mac !== spec.mac.toLowerCase()) faults.push("mac");
  if (bridge.mtu !== spec.mtu) faults.push("mtu");
  if ((bridge.master ?? 0) !== home.master) faults.push("master");
  if (bridge.kind.stp === true || bridge.kind.vlanFiltering === true) faults.push("stp");
  const ages = bridge.kind.ageingTime !== stretchedAgeingTime;
  if (spec.type === "l2vni" && ages) faults.push("ageing");
  if (makesAddresses(bridge)) faults.push("addrGenMode");
  if (!isOurs(bridge)) faults.push("alias");
  if (!bridge.up) faults.push("down");
  return faults;
}

/** What needs repair at a VXLAN device. */
export function vxlanFaults(
  vxlan: Link | undefined,
  spec: OverlaySpec,
  home: OverlayHome,
  bridgeIndex: number | undefined,
): VxlanFault[] {
  if (!isOfKind(vxlan, "vxlan")) return ["missing"];
  const faults: VxlanFault[] = [];
  if (!hasIdentity(vxlan.kind, spec) || (vxlan.linkNetnsId !== undefined) !== home.foreignSocket) {
    faults.push("identity");
  }
  if (!sameAddress(vxlan.kind.local, spec.local)) faults.push("local");
  if (vxlan.mtu !== spec.mtu) faults.push("mtu");
  if (makesAddresses(vxlan)) faults.push("addrGenMode");
  if (!isOurs(vxlan)) faults.push("alias");
  if (bridgeIndex === undefined || vxlan.master !== bridgeIndex) faults.push("master");
  const found = vxlan.bridgePort ?? {};
  if (Object.entries(vxlanPort).some(([key, value]) => found[key as keyof BridgePort] !== value)) {
    faults.push("port");
  }
  if (vxlan.protoDown === true) faults.push("protoDown");
  if (!vxlan.up) faults.push("down");
  return faults;
}

/** The pods whose host end is there, with that. */
export function presentPorts(
  links: ReadonlyMap<string, Link>,
  ports: readonly PodPort[],
): { readonly port: PodPort; readonly link: Link }[] {
  return ports.flatMap((port) => {
    const link = links.get(port.name);
    return isOfKind(link, "veth") ? [{ port, link }] : [];
  });
}

/** Those of the pods' host ends that are not, or not rightly, in the bridge. */
export function strayPorts(
  links: ReadonlyMap<string, Link>,
  ports: readonly PodPort[],
  bridgeIndex: number | undefined,
): { readonly port: PodPort; readonly link: Link }[] {
  return presentPorts(links, ports).filter(({ link: { master, bridgePort } }) =>
    master !== bridgeIndex || bridgePort?.hairpin !== true
  );
}

/** The pods' addresses that the neighbour table of a bridge lacks; none where the bridge stretches no subnet. */
export function missingPods(
  snapshot: Snapshot,
  spec: OverlaySpec,
  bridgeIndex: number | undefined,
): PodNeighbor[] {
  if (spec.type !== "l2vni") return [];
  const found = bridgeIndex === undefined ? undefined : snapshot.neighbors.get(bridgeIndex);
  const ports = presentPorts(snapshot.links, spec.ports).map(({ port }) => port);
  return missingNeighbors(ports, found ?? []);
}

/** Gateway addresses to delete and to add. */
export interface GatewayDifference {
  /** On the bridge, but not wanted. */
  readonly surplus: readonly GatewayAddress[];
  /** Wanted, but not on the bridge. */
  readonly missing: readonly GatewayAddress[];
}

/** Compares gateway addresses, whatever their order and notation. */
export function diffGateways(
  desired: readonly GatewayAddress[],
  found: readonly GatewayAddress[],
): GatewayDifference {
  const wanted = new Map(desired.map((gateway) => [gatewayKey(gateway), gateway]));
  const present = new Map(found.map((gateway) => [gatewayKey(gateway), gateway]));
  return {
    surplus: [...present].filter(([key]) => !wanted.has(key)).map(([, gateway]) => gateway),
    missing: [...wanted].filter(([key]) => !present.has(key)).map(([, gateway]) => gateway),
  };
}

/** Tunnels' ends to forget and to tell a VXLAN device. */
export interface RemoteDifference {
  /** Told, but not wanted. */
  readonly surplus: readonly RemoteVtep[];
  /** Wanted, but not told. */
  readonly missing: readonly RemoteVtep[];
}

/** Compares where a VXLAN device shall send to with where it does; nothing differs where that is zebra's business. */
export function diffRemotes(
  desired: readonly RemoteVtep[] | undefined,
  found: readonly RemoteVtep[],
): RemoteDifference {
  if (desired === undefined) return { surplus: [], missing: [] };
  const wanted = new Map(desired.map((remote) => [remoteKey(remote), remote]));
  const present = new Map(found.map((remote) => [remoteKey(remote), remote]));
  return {
    surplus: [...present].filter(([key]) => !wanted.has(key)).map(([, remote]) => remote),
    missing: [...wanted].filter(([key]) => !present.has(key)).map(([, remote]) => remote),
  };
}

function remoteKey({ mac, address }: RemoteVtep): string {
  return `${mac.toLowerCase()} ${canonicalAddress(address)}`;
}

/**
 * The link-local address that a bridge needs beside its gateways: the kernel asks for a pod's MAC by IPv6 neighbour discovery only from
 * such an address (net/ipv6/ndisc.c, `ndisc_send_ns`). Undefined where no gateway is IPv6.
 */
export function linkLocalFor(
  spec: Pick<OverlaySpec, "mac" | "gateways">,
): string | undefined {
  return spec.gateways.some(isIpv6) ? linkLocalOf(spec.mac) : undefined;
}

/** Whether an address is IPv6. */
export function isIpv6({ address }: Pick<GatewayAddress, "address">): boolean {
  return addressFamily(address) === 6;
}

function hasIdentity(
  kind: Extract<LinkKind, { readonly type: "vxlan" }>,
  spec: OverlaySpec,
): boolean {
  // A tunnel keeps its IP version.
  const local = kind.local === undefined || addressFamily(kind.local) === addressFamily(spec.local);
  return kind.vni === spec.vni && kind.port === spec.port && kind.learning === false &&
    kind.remote === undefined && local;
}

/** Kernels without IPv6 do not tell the mode, and then make none either. */
function makesAddresses(link: Link): boolean {
  return link.addrGenMode !== undefined && link.addrGenMode !== "none";
}

function sameAddress(found: string | undefined, desired: string): boolean {
  return found !== undefined && canonicalAddress(found) === canonicalAddress(desired);
}

function canonicalAddress(text: string): string {
  const { family, value } = parseAddress(text);
  return formatAddress(family, value);
}

function gatewayKey({ address, prefixLength }: GatewayAddress): string {
  return `${canonicalAddress(address)}/${prefixLength}`;
}
