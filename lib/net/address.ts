import { CodedError } from "../errors.ts";

/** IP version of an address or prefix. */
export type IpFamily = 4 | 6;

/** A text or byte string that was to be an address, a prefix or a MAC address is not one. */
export class AddressError extends CodedError {}

const dot = ".".charCodeAt(0);
const zero = "0".charCodeAt(0);

/** Bits in an address of each family. */
export const ADDRESS_BITS: Readonly<Record<IpFamily, number>> = { 4: 32, 6: 128 };

/**
 * Parses an IPv4 address in dotted-quad form (RFC 6943, section 3.1.1, "strict" form) into a number in host order.
 *
 * @throws {AddressError} `InvalidAddress` if the text is anything else, leading zeros included
 */
export function ipv4ToNumber(text: string): number {
  const value = tryIpv4(text);
  if (value === undefined) {
    throw new AddressError(
      "InvalidAddress",
      `Expected an IPv4 address such as "10.0.0.1", found ${JSON.stringify(text)}`,
    );
  }
  return value;
}

/**
 * Formats a number in host order (0 to 2^32 - 1) as a dotted quad.
 *
 * @throws {AddressError} `InvalidAddress` if the number is not an unsigned 32-bit integer
 */
export function numberToIpv4(value: number): string {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new AddressError(
      "InvalidAddress",
      `Expected an unsigned 32-bit integer for an IPv4 address, found "${value}"`,
    );
  }
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/**
 * Parses an IPv6 address (RFC 4291, section 2.2, all three forms) into a number in host order.
 *
 * @throws {AddressError} `InvalidAddress` if the text is anything else; zone identifiers are refused
 */
export function ipv6ToBigint(text: string): bigint {
  const value = tryIpv6(text);
  if (value === undefined) {
    throw new AddressError(
      "InvalidAddress",
      `Expected an IPv6 address such as "fd00::1", found ${JSON.stringify(text)}`,
    );
  }
  return value;
}

/**
 * Formats a number in host order (0 to 2^128 - 1) in the canonical form of RFC 5952.
 *
 * @throws {AddressError} `InvalidAddress` if the number does not fit 128 bits
 */
export function bigintToIpv6(value: bigint): string {
  if (value < 0n || value >> 128n !== 0n) {
    throw new AddressError(
      "InvalidAddress",
      `Expected an unsigned 128-bit integer for an IPv6 address, found "${value}"`,
    );
  }
  const groups: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((value >> shift) & 0xffffn));
  if (value >> 32n === 0xffffn) return `::ffff:${numberToIpv4(Number(value & 0xffffffffn))}`;
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return groups.map((group) => group.toString(16)).join(":");
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(":");
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/**
 * An IPv6 address with all its digits, such as `fd00:0150:0000:0000:0000:0000:0000:0001`: one text per address, in the order of the
 * addresses.
 *
 * @throws {AddressError} `InvalidAddress` if the text is no IPv6 address
 */
export function expandIpv6(text: string): string {
  const digits = ipv6ToBigint(text).toString(16).padStart(32, "0");
  return digits.match(/.{4}/g)?.join(":") ?? digits;
}

/** The family of an address given as text, or `undefined` if it is not an address. */
export function addressFamily(text: string): IpFamily | undefined {
  if (tryIpv4(text) !== undefined) return 4;
  return tryIpv6(text) === undefined ? undefined : 6;
}

/**
 * Parses an address of either family into its value in host order.
 *
 * @throws {AddressError} `InvalidAddress` if the text is no address
 */
export function parseAddress(text: string): { family: IpFamily; value: bigint } {
  const four = tryIpv4(text);
  if (four !== undefined) return { family: 4, value: BigInt(four) };
  const six = tryIpv6(text);
  if (six !== undefined) return { family: 6, value: six };
  throw new AddressError(
    "InvalidAddress",
    `Expected an IPv4 or IPv6 address, found ${JSON.stringify(text)}`,
  );
}

/**
 * Formats an address value in host order; the inverse of {@link parseAddress}.
 *
 * @throws {AddressError} `InvalidAddress` if the value does not fit the family
 */
export function formatAddress(family: IpFamily, value: bigint): string {
  return family === 4 ? numberToIpv4(Number(value)) : bigintToIpv6(value);
}

/**
 * The one form that an address is written in here (RFC 5952 for IPv6).
 *
 * @throws {AddressError} `InvalidAddress` if the text is no address
 */
export function canonicalAddress(text: string): string {
  const { family, value } = parseAddress(text);
  return formatAddress(family, value);
}

/**
 * The bytes of an address in network order: 4 for IPv4, 16 for IPv6.
 *
 * @throws {AddressError} `InvalidAddress` if the text is no address
 */
export function addressToBytes(text: string): Uint8Array<ArrayBuffer> {
  const four = tryIpv4(text);
  if (four !== undefined) {
    return new Uint8Array([four >>> 24, (four >>> 16) & 255, (four >>> 8) & 255, four & 255]);
  }
  const { value } = parseAddress(text);
  const bytes = new Uint8Array(16);
  for (let i = 15, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

/**
 * The text of an address given by its bytes in network order.
 *
 * @throws {AddressError} `InvalidAddress` unless there are 4 or 16 bytes
 */
export function bytesToAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) {
    throw new AddressError(
      "InvalidAddress",
      `Expected 4 or 16 bytes for an IP address, found "${bytes.length}"`,
    );
  }
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return bigintToIpv6(value);
}

/** Digit by digit: a node looks at the addresses of all others at every run. */
function tryIpv4(text: string): number | undefined {
  if (text.length > 15) return undefined;
  let [value, octet, digits, dots] = [0, 0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === dot) {
      if (digits === 0 || dots === 3) return undefined;
      value = value * 256 + octet;
      [octet, digits, dots] = [0, 0, dots + 1];
      continue;
    }
    const digit = code - zero;
    const isLeadingZero = digits > 0 && octet === 0;
    if (digit < 0 || digit > 9 || isLeadingZero) return undefined;
    octet = octet * 10 + digit;
    digits += 1;
    if (octet > 255) return undefined;
  }
  return dots === 3 && digits > 0 ? value * 256 + octet : undefined;
}

function tryIpv6(text: string): bigint | undefined {
  if (text.length > 45 || !text.includes(":")) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  let value = 0n;
  for (const group of [...head, ...new Array<number>(missing).fill(0), ...tail]) {
    value = (value << 16n) | BigInt(group);
  }
  return value;
}

/** The 16-bit groups of one side of "::"; a dotted quad may stand only at the very end. */
function groupsOf(text: string, atEnd: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const groups: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(parseInt(part, 16));
      continue;
    }
    const quad = atEnd && i === parts.length - 1 ? tryIpv4(part) : undefined;
    if (quad === undefined) return undefined;
    groups.push(quad >>> 16, quad & 0xffff);
  }
  return groups;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (const [i, group] of groups.entries()) {
    if (group !== 0) start = i + 1;
    else if (i + 1 - start > best.length) best = { start, length: i + 1 - start };
  }
  return best;
}
