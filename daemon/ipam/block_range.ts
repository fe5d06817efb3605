/** The range of addresses that an IPBlock stands for. Addresses are unsigned 32-bit numbers in host order. */
import { ipv4ToNumber, numberToIpv4 } from "../../lib/net/address.ts";
import { IpamError } from "./errors.ts";

/** An IPv4 network. */
export interface BlockRange {
  /** The network in CIDR form, host bits cleared. */
  readonly cidr: string;
  /** Network address. */
  readonly first: number;
  /** Broadcast address. */
  readonly last: number;
  /** Prefix length in bits. */
  readonly length: number;
}

/** The longest block that still has a gateway and one address for a pod. */
export const longestBlock = 30;

/**
 * Parses an IPv4 prefix, clearing its host bits.
 *
 * @throws {IpamError} `InvalidBlock` if the text is no IPv4 prefix
 */
export function parseRange(cidr: string): BlockRange {
  const match = /^([0-9.]+)\/(\d{1,2})$/.exec(cidr);
  const length = Number(match?.[2] ?? Number.NaN);
  if (match === null || !(length <= 32)) throw invalid(cidr);
  let address: number;
  try {
    address = ipv4ToNumber(match[1] ?? "");
  } catch (cause) {
    throw invalid(cidr, cause);
  }
  return rangeAt(address, length);
}

/** The network of the given length, in bits, that holds an address. */
export function rangeAt(address: number, length: number): BlockRange {
  const size = 2 ** (32 - length);
  const first = Math.floor(address / size) * size;
  return { cidr: `${numberToIpv4(first)}/${length}`, first, last: first + size - 1, length };
}

/** Whether two ranges have an address in common. */
export function rangesOverlap(
  a: Pick<BlockRange, "first" | "last">,
  b: Pick<BlockRange, "first" | "last">,
): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/** Whether the whole of `inner` lies in `outer`. */
export function rangeContains(outer: BlockRange, inner: BlockRange): boolean {
  return outer.first <= inner.first && inner.last <= outer.last;
}

/** Usable addresses of a block, the gateway's included: network and broadcast address are never given. */
export function capacityOf(range: BlockRange): number {
  return Math.max(range.last - range.first - 1, 0);
}

/** The block's gateway: its first usable address. */
export function gatewayOf(range: BlockRange): string {
  return numberToIpv4(range.first + 1);
}

function invalid(cidr: string, cause?: unknown): IpamError {
  return new IpamError(
    "InvalidBlock",
    `Expected an IPv4 prefix such as "10.150.0.0/26", found ${JSON.stringify(cidr)}`,
    { cause },
  );
}
