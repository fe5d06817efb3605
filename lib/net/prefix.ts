import {
  ADDRESS_BITS,
  AddressError,
  formatAddress,
  type IpFamily,
  parseAddress,
} from "./address.ts";

/** An IP prefix. `address` may have bits set beyond `length`, as in the address of an interface. */
export interface Prefix {
  /** IP version. */
  readonly family: IpFamily;
  /** The address in canonical text form. */
  readonly address: string;
  /** Prefix length in bits: 0 to 32 or 128. */
  readonly length: number;
}

/**
 * Parses `address/length` (RFC 4632, section 3.1; RFC 4291, section 2.3).
 *
 * A bare address is refused: use {@link hostPrefix} for it.
 *
 * @throws {AddressError} `InvalidPrefix` if the text is anything else
 */
export function parsePrefix(text: string): Prefix {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  if (match === null) throw invalidPrefix(text);
  const lengthText = match[2] ?? "";
  const length = Number(lengthText);
  let parsed: { family: IpFamily; value: bigint };
  try {
    parsed = parseAddress(match[1] ?? "");
  } catch (cause) {
    throw invalidPrefix(text, { cause });
  }
  const leadingZero = lengthText.length > 1 && lengthText.startsWith("0");
  if (length > ADDRESS_BITS[parsed.family] || leadingZero) throw invalidPrefix(text);
  return { family: parsed.family, address: formatAddress(parsed.family, parsed.value), length };
}

/** Formats a prefix as `address/length`, with the address as it is. */
export function formatPrefix(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}

/**
 * The prefix that holds one address alone: /32 or /128.
 *
 * @throws {AddressError} `InvalidAddress` if the text is no address
 */
export function hostPrefix(address: string): Prefix {
  const { family, value } = parseAddress(address);
  return { family, address: formatAddress(family, value), length: ADDRESS_BITS[family] };
}

/**
 * The prefix with all bits beyond its length cleared.
 *
 * @throws {AddressError} If the prefix was not made by {@link parsePrefix} and is invalid
 */
export function networkOf(prefix: Prefix): Prefix {
  const { first } = prefixRange(prefix);
  return { ...prefix, address: formatAddress(prefix.family, first) };
}

/**
 * The last address of a prefix: for IPv4 the directed broadcast address.
 *
 * @throws {AddressError} If the prefix was not made by {@link parsePrefix} and is invalid
 */
export function broadcastOf(prefix: Prefix): string {
  return formatAddress(prefix.family, prefixRange(prefix).last);
}

/**
 * The first and last address of a prefix, as values in host order.
 *
 * @throws {AddressError} If the prefix was not made by {@link parsePrefix} and is invalid
 */
export function prefixRange(prefix: Prefix): { first: bigint; last: bigint } {
  const { family, value } = parseAddress(prefix.address);
  const bits = ADDRESS_BITS[prefix.family];
  if (family !== prefix.family || prefix.length < 0 || prefix.length > bits) {
    throw invalidPrefix(formatPrefix(prefix));
  }
  const hostMask = (1n << BigInt(bits - prefix.length)) - 1n;
  const first = (value | hostMask) ^ hostMask;
  return { first, last: first | hostMask };
}

/**
 * Whether the address, or the whole of the inner prefix, lies in the outer prefix. Different families never do.
 *
 * @throws {AddressError} If either is invalid
 */
export function contains(outer: Prefix, inner: Prefix | string): boolean {
  const innerPrefix = typeof inner === "string" ? hostPrefix(inner) : inner;
  if (outer.family !== innerPrefix.family) return false;
  const a = prefixRange(outer);
  const b = prefixRange(innerPrefix);
  return a.first <= b.first && b.last <= a.last;
}

/**
 * Whether two prefixes have an address in common. Different families never do.
 *
 * @throws {AddressError} If either is invalid
 */
export function overlaps(a: Prefix, b: Prefix): boolean {
  if (a.family !== b.family) return false;
  const left = prefixRange(a);
  const right = prefixRange(b);
  return left.first <= right.last && right.first <= left.last;
}

function invalidPrefix(text: string, options?: ErrorOptions): AddressError {
  return new AddressError(
    "InvalidPrefix",
    `Expected a prefix such as "10.0.0.0/16" or "fd00::/64", found ${JSON.stringify(text)}`,
    options,
  );
}
