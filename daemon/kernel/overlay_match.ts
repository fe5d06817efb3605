/** Where a bridge and its VXLAN device differ from what they shall be. Pure. */
import { formatAddress, parseAddress } from "../../lib/net/address.ts";
import type { LinkKind } from "../../lib/netlink/link_kinds/link_kind.ts";
import type { Link } from "../../lib/netlink/rtnl/link.ts";
import type { GatewayAddress, OverlaySpec } from "./port.ts";
import { isOfKind, isOurs } from "./ownership.ts";

/** A property of a bridge that needs repair. */
export type BridgeFault =
  | "missing"
  | "mac"
  | "mtu"
  | "down"
  | "master"
  | "stp"
  | "addrGenMode"
  | "alias";

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
  const { learning, neighSuppress } = vxlan.bridgePort ?? {};
  if (learning !== false || neighSuppress !== true) faults.push("port");
  if (vxlan.protoDown === true) faults.push("protoDown");
  if (!vxlan.up) faults.push("down");
  return faults;
}

/** The pods' host ends that are there but not, or not rightly, in the bridge. */
export function strayPorts(
  links: ReadonlyMap<string, Link>,
  ports: readonly string[],
  bridgeIndex: number | undefined,
): Link[] {
  return ports.map((name) => links.get(name)).filter((link) => isOfKind(link, "veth")).filter((
    { master, bridgePort },
  ) => master !== bridgeIndex || bridgePort?.hairpin !== true);
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

function hasIdentity(
  kind: Extract<LinkKind, { readonly type: "vxlan" }>,
  spec: OverlaySpec,
): boolean {
  return kind.vni === spec.vni && kind.port === spec.port && kind.learning === false &&
    kind.remote === undefined;
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
