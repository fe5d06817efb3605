/** Names and addresses that follow from a VRF's number alone, so that a restart finds what it made before. */
import { macFromSeed } from "../../lib/net/mac.ts";
import { KernelError } from "./errors.ts";

/** The text in IFLA_IFALIAS by which links of this project are recognised. */
export const ownerAlias = "pyroute2-cni";

/** The alias of a VXLAN device. It names the VRF too: without its bridge, nothing else would tell whose it is. */
export function vxlanAlias(vrf: string): string {
  return `${ownerAlias} ${vrf}`;
}

/** The VRF number in an alias made by {@linkcode vxlanAlias}; undefined for any other. */
export function vrfOfVxlanAlias(alias: string | undefined): number | undefined {
  const prefix = `${ownerAlias} `;
  return alias?.startsWith(prefix) === true ? vrfOfName(alias.slice(prefix.length)) : undefined;
}

/** Longest interface name in bytes: IFNAMSIZ (include/uapi/linux/if.h) less the closing NUL. */
const longestInterfaceName = 15;

/** Highest VRF and routing table number: rt_tables ids are unsigned 32-bit. */
const highestVrf = 0xffffffff;

/** Longest alias in bytes: IFALIASZ (include/uapi/linux/if.h) less the closing NUL. */
const longestAlias = 255;

/** Whose a pod's host end is. */
export interface PodAlias {
  /** CNI_CONTAINERID. */
  readonly containerId: string;
  /** Interface in the container. */
  readonly ifname: string;
  /** Name of the CNI network; empty where the alias does not say. */
  readonly network: string;
}

/** The alias of a pod's host end, so that a person finds the container, and the daemon a pod that its journal has lost. */
export function podAlias({ containerId, ifname, network }: PodAlias): string {
  return `${ownerAlias}/${containerId}/${ifname}/${network}`.slice(0, longestAlias);
}

/** What an alias of {@linkcode podAlias} says; undefined for another, or for one that was too long to say it. */
export function parsePodAlias(alias: string | undefined): PodAlias | undefined {
  const [owner, containerId = "", ifname = "", network = ""] = alias?.split("/") ?? [];
  const whole = containerId !== "" && ifname !== "" && (alias ?? "").length < longestAlias;
  return owner === ownerAlias && whole ? { containerId, ifname, network } : undefined;
}

/** Whether an alias was made by {@linkcode podAlias}. */
export function isPodAlias(alias: string | undefined): boolean {
  return alias?.startsWith(`${ownerAlias}/`) === true;
}

/** Type of an overlay: whether its VNI routes or stretches a subnet. */
export type OverlayType = "l3vni" | "l2vni";

/**
 * Name of a VRF in the kernel and in FRR, `vrf-<vrf>`.
 *
 * @throws {KernelError} `InvalidName` unless `vrf` is an integer from 1 to 2^32 - 1
 */
export function vrfName(vrf: number): string {
  return numbered("vrf-", vrf, highestVrf);
}

/** The VRF number in a name made by {@linkcode vrfName}; undefined for any other name. */
export function vrfOfName(name: string): number | undefined {
  return numberIn(/^vrf-([1-9]\d{0,9})$/, name);
}

/**
 * Name of an overlay's bridge, `l3br-<vrf>` or `l2br-<vrf>`.
 *
 * @throws {KernelError} `InvalidName` unless `vrf` is an integer from 1 to 2^32 - 1
 */
export function bridgeName(type: OverlayType, vrf: number): string {
  return numbered(type === "l3vni" ? "l3br-" : "l2br-", vrf, highestVrf);
}

/** The VRF number in a name made by {@linkcode bridgeName}; undefined for any other name. */
export function vrfOfBridge(name: string): number | undefined {
  return numberIn(/^l[23]br-([1-9]\d{0,9})$/, name);
}

/** Whether a name made by {@linkcode bridgeName} is that of a bridge that stretches a subnet; false for any other name. */
export function isStretched(name: string): boolean {
  return name.startsWith("l2br-") && vrfOfBridge(name) !== undefined;
}

/**
 * Name of an overlay's VXLAN device, `l3vx-<vni>` or `l2vx-<vni>`.
 *
 * @throws {KernelError} `InvalidName` unless `vni` is an integer from 1 to 2^24 - 1
 */
export function vxlanName(type: OverlayType, vni: number): string {
  return numbered(type === "l3vni" ? "l3vx-" : "l2vx-", vni, 0xffffff);
}

/**
 * Name of the host's end of a VRF's host leg, `pr2h-<vrf>`.
 *
 * @throws {KernelError} `InvalidName` unless `vrf` is an integer from 1 to 2^32 - 1
 */
export function hostLegName(vrf: number): string {
  return numbered("pr2h-", vrf, highestVrf);
}

/** The VRF number in a name made by {@linkcode hostLegName}; undefined for any other name. */
export function vrfOfHostLeg(name: string): number | undefined {
  return numberIn(/^pr2h-([1-9]\d{0,9})$/, name);
}

/** Name of the VRF's end of a host leg, inside the VRF's network namespace. */
export const hostLegPeerName = "host";

/** The fixed MAC of a VRF's bridges: the same after every restart, different for each node and VRF. */
export function bridgeMac(nodeName: string, vrf: number): string {
  return macFromSeed(`bridge ${vrf} ${nodeName}`);
}

/**
 * The MAC of a pod's interface: it goes with the address, so that whoever knew the address from an earlier pod, on this node or on
 * another one, still knows the right MAC.
 */
export function podMac(vrf: number, address: string): string {
  return macFromSeed(`pod ${vrf} ${address}`);
}

function numbered(prefix: string, value: number, highest: number): string {
  const name = `${prefix}${value}`;
  const valid = Number.isInteger(value) && value >= 1 && value <= highest;
  if (!valid || name.length > longestInterfaceName) {
    throw new KernelError(
      "InvalidName",
      `Expected an integer from 1 to ${highest} after "${prefix}", found "${value}"`,
    );
  }
  return name;
}

function numberIn(pattern: RegExp, name: string): number | undefined {
  const digits = pattern.exec(name)?.[1];
  if (digits === undefined) return undefined;
  const value = Number(digits);
  return value <= highestVrf ? value : undefined;
}
