/**
 * The sysctls that forwarding between pods, VRFs and the underlay depends on.
 *
 * @module
 */
import { inNetns, type NetnsHandle } from "../../lib/sys/netns.ts";
import { readSysctl, SysctlError, writeSysctl } from "../../lib/sys/sysctl.ts";
import { vrfOfBridge, vrfOfHostLeg, vrfOfName } from "./names.ts";

/** A sysctl and the value that it shall have. */
export interface SysctlWish {
  /** Parts of the name, as `readSysctl` takes them. */
  readonly key: readonly string[];
  /** The value. */
  readonly value: string;
  /** True where a kernel may lack the sysctl, which then does not matter. */
  readonly optional?: true;
}

const ipv4 = (...rest: readonly string[]) => ["net", "ipv4", ...rest];
const ipv6 = (...rest: readonly string[]) => ["net", "ipv6", ...rest];

const allReversePathFilter = ipv4("conf", "all", "rp_filter");

/** What the host's namespace needs with either backend. */
export const hostSysctls: readonly SysctlWish[] = [
  { key: ipv4("ip_forward"), value: "1" },
  // The kernel takes the greater of "all" and the link's own value: with "all" at 1 no link could be exempt.
  { key: allReversePathFilter, value: "0" },
];

/** What the host's namespace needs where VRFs are links. */
export const deviceSysctls: readonly SysctlWish[] = [
  ...hostSysctls,
  // Redirects go out if either "all" or the bridge asks for them.
  { key: ipv4("conf", "all", "send_redirects"), value: "0" },
  // A socket of a node's process is in no VRF, while its pods' answers arrive in one.
  { key: ipv4("tcp_l3mdev_accept"), value: "1" },
  { key: ipv4("udp_l3mdev_accept"), value: "1" },
  { key: ipv4("raw_l3mdev_accept"), value: "1" },
  { key: ["net", "vrf", "strict_mode"], value: "1", optional: true },
];

/** What the host's namespace needs besides, once a VRF has IPv6. Whether its other links have IPv6 is left to others. */
export const hostIpv6Sysctls: readonly SysctlWish[] = [
  { key: ipv6("conf", "all", "forwarding"), value: "1" },
];

/** What the network namespace of a VRF with IPv6 needs besides. */
export const vrfNetnsIpv6Sysctls: readonly SysctlWish[] = [
  { key: ipv6("conf", "all", "disable_ipv6"), value: "0" },
  { key: ipv6("conf", "default", "disable_ipv6"), value: "0" },
  { key: ipv6("conf", "all", "forwarding"), value: "1" },
];

/** What the network namespace of a VRF needs. */
export const vrfNetnsSysctls: readonly SysctlWish[] = [
  { key: ipv4("ip_forward"), value: "1" },
  { key: allReversePathFilter, value: "0" },
  { key: ipv4("conf", "default", "rp_filter"), value: "0" },
  { key: ipv4("conf", "all", "send_redirects"), value: "0" },
  { key: ipv4("conf", "default", "send_redirects"), value: "0" },
  { key: ["net", "bridge", "bridge-nf-call-iptables"], value: "0", optional: true },
  { key: ["net", "bridge", "bridge-nf-call-ip6tables"], value: "0", optional: true },
];

/** What one link needs, so that packets whose sources the main table knows nothing of get through and none is redirected. */
export function linkSysctls(ifname: string): readonly SysctlWish[] {
  return [
    { key: ipv4("conf", ifname, "rp_filter"), value: "0" },
    { key: ipv4("conf", ifname, "send_redirects"), value: "0" },
  ];
}

/** What a bridge needs besides, so that deleting one gateway address takes no other of the same subnet with it. */
export function bridgeSysctls(bridge: string): readonly SysctlWish[] {
  const promote = { key: ipv4("conf", bridge, "promote_secondaries"), value: "1" };
  return [...linkSysctls(bridge), promote];
}

/** What a link with IPv6 addresses needs besides. What pods say of routers is not listened to. */
export function ipv6LinkSysctls(ifname: string): readonly SysctlWish[] {
  return [
    { key: ipv6("conf", ifname, "disable_ipv6"), value: "0" },
    { key: ipv6("conf", ifname, "accept_ra"), value: "0" },
  ];
}

/** Runs a synchronous function in the namespace; without one, where the caller is. */
export function inside<T>(netns: NetnsHandle | undefined, fn: () => T): T {
  return netns === undefined ? fn() : inNetns(netns, fn);
}

/**
 * The wishes that do not hold in the calling thread's namespace.
 *
 * @throws {SysctlError} `SysctlRead` if a sysctl that is not optional cannot be read
 */
export function unmetSysctls(wishes: readonly SysctlWish[]): SysctlWish[] {
  return wishes.filter((wish) => {
    try {
      return readSysctl(wish.key) !== wish.value;
    } catch (thrown) {
      if (thrown instanceof SysctlError && wish.optional === true) return false;
      throw thrown;
    }
  });
}

/**
 * Writes those of the wishes that do not hold in the calling thread's namespace.
 *
 * @returns How many were written
 * @throws {SysctlError} If a sysctl cannot be read or written
 */
export function ensureSysctls(wishes: readonly SysctlWish[]): number {
  const unmet = unmetSysctls(wishes);
  for (const { key, value } of unmet) writeSysctl(key, value);
  return unmet.length;
}

/**
 * The same for a host, whose other links shall stay as strict about sources as they were: where `conf.all.rp_filter` has to go down,
 * each of them first takes over the value that "all" imposed on it.
 *
 * @returns How many of the wishes were written
 * @throws {SysctlError} If a sysctl cannot be read or written
 */
export function ensureHostSysctls(wishes: readonly SysctlWish[]): number {
  const imposed = Number(readSysctl(allReversePathFilter));
  if (imposed > 0) handDownReversePathFilter(imposed);
  return ensureSysctls(wishes);
}

/**
 * Lets the calling thread's namespace, the host's, forward IPv6. A host that forwards takes no router advertisements, and forgets what it
 * had of them, unless a link insists (Documentation/networking/ip-sysctl.rst, `accept_ra`): so that it keeps its default route, each
 * link that takes them now insists first.
 *
 * @returns How many of the wishes were written
 * @throws {SysctlError} If a sysctl cannot be read or written, as where the kernel has no IPv6
 */
export function ensureHostForwardsIpv6(): number {
  if (readSysctl(ipv6("conf", "all", "forwarding")) === "0") insistOnAdvertisements();
  return ensureSysctls(hostIpv6Sysctls);
}

/** `accept_ra`: 1 takes router advertisements while nothing is forwarded, 2 always. */
function insistOnAdvertisements(): void {
  for (const { name } of Deno.readDirSync("/proc/sys/net/ipv6/conf")) {
    if (name === "all") continue;
    const key = ipv6("conf", name, "accept_ra");
    try {
      if (readSysctl(key) === "1") writeSysctl(key, 2);
    } catch (thrown) {
      // A link may go while the directory is read.
      if (!(thrown instanceof SysctlError)) throw thrown;
    }
  }
}

/** Whether all wishes hold in the calling thread's namespace; they do not where the kernel has no such sysctl. */
export function sysctlsHold(wishes: readonly SysctlWish[]): boolean {
  try {
    return unmetSysctls(wishes).length === 0;
  } catch (thrown) {
    if (thrown instanceof SysctlError) return false;
    throw thrown;
  }
}

function handDownReversePathFilter(imposed: number): void {
  for (const { name } of Deno.readDirSync("/proc/sys/net/ipv4/conf")) {
    const ours = vrfOfBridge(name) ?? vrfOfHostLeg(name) ?? vrfOfName(name);
    if (name === "all" || ours !== undefined) continue;
    const key = ipv4("conf", name, "rp_filter");
    try {
      if (Number(readSysctl(key)) < imposed) writeSysctl(key, imposed);
    } catch (thrown) {
      // A link may go while the directory is read.
      if (!(thrown instanceof SysctlError)) throw thrown;
    }
  }
}
