/** The range of addresses that an IPBlock stands for. Addresses are unsigned numbers in host order, of 32 or 128 bits. */
import { ADDRESS_BITS, formatAddress, type IpFamily, parseAddress } from "../../lib/net/address.ts";
import { parsePrefix } from "../../lib/net/prefix.ts";
import { IpamError } from "./errors.ts";

/** A network of one IP version. */
export interface BlockRange {
  /** IP version. */
  readonly family: IpFamily;
  /** The network in CIDR form, host bits cleared. */
  readonly cidr: string;
  /** Network address. */
  readonly first: bigint;
  /** Last address: for IPv4 the broadcast address. */
  readonly last: bigint;
  /** Prefix length in bits. */
  readonly length: number;
}

/** A span of addresses. */
export type Span = Pick<BlockRange, "family" | "first" | "last">;

/** An address as its value. */
export interface AddressValue {
  /** IP version. */
  readonly family: IpFamily;
  /** The address in host order. */
  readonly value: bigint;
}

/** The longest block of each family that still has a gateway and one address for a pod. */
export const longestBlock: Readonly<Record<IpFamily, number>> = { 4: 30, 6: 126 };

/**
 * Parses a prefix, clearing its host bits.
 *
 * @throws {IpamError} `InvalidBlock` if the text is no prefix
 */
export function parseRange(cidr: string): BlockRange {
  try {
    const { address, length } = parsePrefix(cidr);
    return rangeAt(parseAddress(address), length);
  } catch (cause) {
    throw new IpamError(
      "InvalidBlock",
      `Expected a prefix such as "10.150.0.0/26" or "fd00:150::/64", found ${JSON.stringify(cidr)}`,
      { cause },
    );
  }
}

/** The network of the given length, in bits, that holds an address. */
export function rangeAt({ family, value }: AddressValue, length: number): BlockRange {
  const hostBits = BigInt(ADDRESS_BITS[family] - length);
  const first = (value >> hostBits) << hostBits;
  const last = first + (1n << hostBits) - 1n;
  return { family, cidr: `${formatAddress(family, first)}/${length}`, first, last, length };
}

/** Whether two spans have an address in common. */
export function rangesOverlap(a: Span, b: Span): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last;
}

/** Whether the whole of `inner` lies in `outer`. */
export function rangeContains(outer: Span, inner: Span): boolean {
  return outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;
}

/** Whether an address lies in a span. */
export function rangeHolds(span: Span, address: AddressValue): boolean {
  return span.family === address.family && span.first <= address.value &&
    address.value <= span.last;
}

/** Orders spans: IPv4 before IPv6, then the lower first. */
export function compareSpans(a: Span, b: Span): number {
  if (a.family !== b.family) return a.family - b.family;
  return a.first < b.first ? -1 : a.first > b.first ? 1 : 0;
}

/**
 * Usable addresses of a block, the gateway's included: an IPv4 network and broadcast address are never given, and neither is an IPv6
 * network address, which means "any router" (RFC 4291, section 2.6.1). More than a JSON number can count are told as the largest
 * number that is exact.
 */
export function capacityOf(range: BlockRange): number {
  const usable = lastUsable(range) - range.first;
  if (usable <= 0n) return 0;
  return usable > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(usable);
}

/** The highest address that may be given: only IPv4 has a broadcast address. */
export function lastUsable({ family, last }: Span): bigint {
  return family === 4 ? last - 1n : last;
}

/** The block's gateway: its first usable address. */
export function gatewayOf(range: BlockRange): string {
  return formatAddress(range.family, range.first + 1n);
}
