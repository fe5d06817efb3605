import type { CniVersion } from "./version.ts";

/** An interface in a result. `mtu` and what follows it exist since 1.1.0. */
export interface CniInterface {
  /** Interface name. */
  readonly name: string;
  /** MAC address. */
  readonly mac?: string | undefined;
  /** Path of the network namespace for a container's interface; absent or empty for the host's. */
  readonly sandbox?: string | undefined;
  /** MTU in bytes. */
  readonly mtu?: number | undefined;
  /** Path of a socket, for interfaces that are one. */
  readonly socketPath?: string | undefined;
  /** PCI id, for interfaces that have one. */
  readonly pciID?: string | undefined;
}

/** An address in a result. */
export interface CniIp {
  /** Address in CIDR form. */
  readonly address: string;
  /** Default gateway of the subnet. */
  readonly gateway?: string | undefined;
  /** Index into the result's interfaces. */
  readonly interface?: number | undefined;
}

/** A route in a result. What follows `gw` exists since 1.1.0. */
export interface CniRoute {
  /** Destination in CIDR form. */
  readonly dst: string;
  /** Next hop. */
  readonly gw?: string | undefined;
  /** MTU of the path, in bytes. */
  readonly mtu?: number | undefined;
  /** Maximal segment size to advertise, in bytes. */
  readonly advmss?: number | undefined;
  /** Priority: lower is preferred. */
  readonly priority?: number | undefined;
  /** Table id. */
  readonly table?: number | undefined;
  /** Scope (rtnetlink's rtm_scope). */
  readonly scope?: number | undefined;
}

/** DNS settings in a result. */
export interface CniDns {
  /** Addresses of name servers, in order of preference. */
  readonly nameservers?: readonly string[] | undefined;
  /** Local domain for short names. */
  readonly domain?: string | undefined;
  /** Search list for short names. */
  readonly search?: readonly string[] | undefined;
  /** Options for the resolver. */
  readonly options?: readonly string[] | undefined;
}

/** A result in the newest version's terms, without a version. */
export interface CniResult {
  /** Interfaces; addresses refer to them by index. */
  readonly interfaces: readonly CniInterface[];
  /** Addresses. */
  readonly ips: readonly CniIp[];
  /** Routes. */
  readonly routes: readonly CniRoute[];
  /** DNS settings. */
  readonly dns?: CniDns | undefined;
}

/** A result as printed: a JSON object in the shape of one version. */
export type VersionedResult = Readonly<Record<string, unknown>> & { readonly cniVersion: string };

const interfaceSince110 = ["mtu", "socketPath", "pciID"];
const routeSince110 = ["mtu", "advmss", "priority", "table", "scope"];

/**
 * Writes a result in the caller's version (SPEC 0.3.1, 0.4.0, 1.0.0 and 1.1.0, "ADD success"): before 1.0.0 each address
 * tells its IP version; before 1.1.0 interfaces and routes have fewer members.
 */
export function toVersionedResult(result: CniResult, cniVersion: CniVersion): VersionedResult {
  const old = cniVersion !== "1.1.0";
  return {
    cniVersion,
    interfaces: result.interfaces.map((item) => compact(item, old ? interfaceSince110 : [])),
    ips: result.ips.map((ip) => compact(withIpVersion(ip, cniVersion), [])),
    routes: result.routes.map((route) => compact(route, old ? routeSince110 : [])),
    dns: compact(result.dns ?? {}, []),
  };
}

/**
 * Adds what this plugin made to the result of the plugins before it in the chain, and moves the interface indices of the
 * addresses accordingly.
 */
export function mergeResults(previous: CniResult | undefined, own: CniResult): CniResult {
  if (previous === undefined) return own;
  const offset = previous.interfaces.length;
  const moved = own.ips.map((ip) =>
    ip.interface === undefined ? ip : { ...ip, interface: ip.interface + offset }
  );
  const dns = own.dns ?? previous.dns;
  return {
    interfaces: [...previous.interfaces, ...own.interfaces],
    ips: [...previous.ips, ...moved],
    routes: [...previous.routes, ...own.routes],
    ...(dns === undefined ? {} : { dns }),
  };
}

function withIpVersion(ip: CniIp, cniVersion: CniVersion): object {
  if (cniVersion === "0.3.1" || cniVersion === "0.4.0") {
    return { ...ip, version: ip.address.includes(":") ? "6" : "4" };
  }
  const { version: _, ...rest } = ip as CniIp & { version?: string };
  return rest;
}

/** A copy without the named members and without undefined ones. */
function compact(item: object, without: readonly string[]): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(item)) {
    if (value !== undefined && !without.includes(name)) kept[name] = value;
  }
  return kept;
}
