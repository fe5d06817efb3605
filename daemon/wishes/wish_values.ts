/** The texts in which people write addresses and MACs that they wish for. Pure. */
import { CniError } from "../../lib/cni/errors.ts";
import { addressFamily, formatAddress, parseAddress } from "../../lib/net/address.ts";
import { formatMac, parseMac } from "../../lib/net/mac.ts";
import type { WishedAddress } from "../ipam/port.ts";

/** Longest text that is looked at, in characters: two addresses with lengths take less than half of it. */
export const longestValue = 256;

/** Longest part of a wrong text that is repeated in a message, in characters. */
const longestQuote = 64;

/** A text as a message repeats it. */
export function quote(text: string): string {
  return JSON.stringify(text.length > longestQuote ? `${text.slice(0, longestQuote)}…` : text);
}

/**
 * Parses a JSON array of addresses, or addresses with commas between them; each may have a prefix length.
 *
 * @param text What was written
 * @param where Where, for the message
 * @throws {CniError} `InvalidConfig` for anything else
 */
export function parseAddressList(text: string, where: string): readonly WishedAddress[] {
  if (text.length > longestValue) {
    throw invalid(
      where,
      `at most ${longestValue} characters with addresses`,
      `${text.length} characters`,
    );
  }
  const trimmed = text.trim();
  if (!trimmed.startsWith("[")) return parseAddresses(trimmed.split(","), where);
  let value: unknown;
  try {
    value = JSON.parse(trimmed);
  } catch {
    throw invalid(where, 'a JSON array such as ["10.150.0.70"]', quote(text));
  }
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    throw invalid(where, 'a JSON array of texts such as ["10.150.0.70"]', quote(text));
  }
  return parseAddresses(value, where);
}

/**
 * Parses addresses, at most one of a family; each may have a prefix length.
 *
 * @param texts What was written
 * @param where Where, for the message
 * @throws {CniError} `InvalidConfig` for anything else
 */
export function parseAddresses(
  texts: readonly string[],
  where: string,
): readonly WishedAddress[] {
  const addresses = texts.map((text) => parseOne(text.trim(), where));
  const families = addresses.map(({ address }) => addressFamily(address));
  if (addresses.length === 0) throw invalid(where, "an address", "none");
  if (new Set(families).size < families.length) {
    throw invalid(where, "at most one address of each family", quote(texts.join(",")));
  }
  return addresses;
}

/**
 * Parses a MAC address for a container, in lower case.
 *
 * @param text What was written
 * @param where Where, for the message
 * @throws {CniError} `InvalidConfig` if it is none, or a group's, or zero
 */
export function parseWishedMac(text: string, where: string): string {
  let bytes: Uint8Array;
  try {
    bytes = parseMac(text.trim());
  } catch {
    throw invalid(where, 'a MAC address such as "02:00:00:00:00:01"', quote(text));
  }
  const group = ((bytes[0] ?? 0) & 1) === 1;
  if (group || bytes.every((byte) => byte === 0)) {
    const found = `${quote(text)}, which is ${group ? "a group's" : "nobody's"}`;
    throw invalid(where, "the MAC address of one interface", found);
  }
  return formatMac(bytes);
}

function parseOne(text: string, where: string): WishedAddress {
  const [, bare = "", length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = addressFamily(bare);
  const prefixLength = length === undefined ? undefined : Number(length);
  const most = family === 6 ? 128 : 32;
  if (family === undefined || prefixLength !== undefined && prefixLength > most) {
    throw invalid(where, 'an address such as "10.150.0.70"', quote(text));
  }
  const address = formatAddress(family, parseAddress(bare).value);
  return prefixLength === undefined ? { address } : { address, prefixLength };
}

function invalid(where: string, expected: string, found: string): CniError {
  return new CniError("InvalidConfig", `Expected ${where} to be ${expected}, found ${found}`);
}
