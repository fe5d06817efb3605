/**
 * The addresses of host legs: for each VRF a /31 (RFC 3021) of link-local addresses (RFC 3927), and where it has IPv6 a /127 (RFC 6164)
 * of unique local ones (RFC 4193). IPv6 link-local addresses would not do: what a node sends to its pods would have one as its source,
 * and a pod's answer to it would not leave the pod's link.
 *
 * @module
 */
import { bigintToIpv6, ipv4ToNumber, ipv6ToBigint, numberToIpv4 } from "../../lib/net/address.ts";
import { KernelError } from "./errors.ts";

/** The two addresses of a host leg. */
export interface HostLegAddresses {
  /** The host's end, the even one. */
  readonly host: string;
  /** The VRF's end, the odd one. */
  readonly vrf: string;
}

/** What the addresses of all host legs are of, in CIDR form. */
export const hostLegPrefixes: readonly string[] = ["169.254.0.0/16", "fd26:492c:1670::/64"];

/** Prefix length of a host leg, in bits. */
export const hostLegPrefixLength = 31;

/** Prefix length of a host leg's IPv6 addresses, in bits. */
export const hostLegPrefixLength6 = 127;

/** This project's own /48 in fd00::/8, by a random global ID (RFC 4193, section 3.2.2). */
const uniqueLocal = ipv6ToBigint("fd26:492c:1670::");

/** RFC 3927, section 2.1, reserves the first and the last 256 addresses of 169.254.0.0/16. */
const firstPair = ipv4ToNumber("169.254.1.0") / 2;
const lastPair = ipv4ToNumber("169.254.254.254") / 2;
const pairCount = lastPair - firstPair + 1;

/** Addresses that others use on nodes: cloud metadata, Calico's pod gateway, node-local DNS, EKS pod identity, ECS. */
const foreign = [
  "169.254.169.254",
  "169.254.169.253",
  "169.254.169.123",
  "169.254.1.1",
  "169.254.20.10",
  "169.254.25.10",
  "169.254.170.2",
  "169.254.170.23",
];

/**
 * The addresses for a VRF's host leg: those that its number gives, or the next free ones where others hold them.
 *
 * @param vrf VRF number
 * @param taken Addresses in use on the host, those of other host legs included
 * @throws {KernelError} `HostLegsExhausted` when no pair is free
 */
export function chooseHostLegAddresses(vrf: number, taken: Iterable<string>): HostLegAddresses {
  const takenPairs = new Set<number>();
  for (const address of [...taken, ...foreign]) {
    if (address.startsWith("169.254.")) takenPairs.add(Math.floor(ipv4ToNumber(address) / 2));
  }
  for (let step = 0; step < pairCount; step++) {
    const pair = firstPair + (vrf + step) % pairCount;
    if (!takenPairs.has(pair)) return addressesOfPair(pair);
  }
  throw new KernelError(
    "HostLegsExhausted",
    `Expected a free pair of addresses in 169.254.0.0/16 for the host leg of VRF "${vrf}", found all ${pairCount} taken`,
  );
}

/** The IPv6 addresses of a VRF's host leg: `fd26:492c:1670::<number>:0` and `…:1`, the number of the VRF in two groups. */
export function hostLegAddresses6(vrf: number): HostLegAddresses {
  const host = uniqueLocal + (BigInt(vrf) << 16n);
  return { host: bigintToIpv6(host), vrf: bigintToIpv6(host + 1n) };
}

/** The pair that holds the given address of a host leg's host end; undefined when it cannot be one. */
export function hostLegAddressesOf(
  address: string,
  prefixLength: number,
): HostLegAddresses | undefined {
  if (prefixLength !== hostLegPrefixLength || !address.startsWith("169.254.")) return undefined;
  const value = ipv4ToNumber(address);
  return value % 2 === 0 ? addressesOfPair(value / 2) : undefined;
}

function addressesOfPair(pair: number): HostLegAddresses {
  return { host: numberToIpv4(pair * 2), vrf: numberToIpv4(pair * 2 + 1) };
}
