import { AddressError, bytesToAddress } from "./address.ts";
import { hashOf } from "./hash.ts";

/**
 * Parses a MAC address: six hexadecimal octets with colons (IEEE 802-2014, section 8.1, with the usual colons).
 *
 * @throws {AddressError} `InvalidMac` if the text is anything else
 */
export function parseMac(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) {
    throw new AddressError(
      "InvalidMac",
      `Expected a MAC address such as "02:00:00:00:00:01", found ${JSON.stringify(text)}`,
    );
  }
  return Uint8Array.from(text.split(":"), (octet) => parseInt(octet, 16));
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Formats hardware address bytes (of any length: links other than Ethernet have 0, 4, 8, 20) in lower case with colons. */
export function formatMac(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += text === "" ? HEX[byte] : `:${HEX[byte]}`;
  return text;
}

/**
 * A MAC address that depends on the seed alone: unicast and locally administered (first octet `x2`, `x6`, `xa` or `xe`). 46 bits of the
 * seed's hash are kept.
 */
export function macFromSeed(seed: string): string {
  const hash = hashOf(seed);
  const bytes = new Uint8Array(6);
  for (let i = 0; i < 6; i++) bytes[i] = Number((hash >> BigInt(8 * i)) & 0xffn);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return formatMac(bytes);
}

/**
 * The IPv6 link-local address that follows from a MAC address (RFC 4291, appendix A; RFC 2464, section 5).
 *
 * @throws {AddressError} `InvalidMac` if the text is no MAC address
 */
export function linkLocalOf(mac: string): string {
  const octets = parseMac(mac);
  const bytes = new Uint8Array(16);
  bytes.set([0xfe, 0x80]);
  bytes.set(octets.subarray(0, 3), 8);
  bytes.set([0xff, 0xfe], 11);
  bytes.set(octets.subarray(3), 13);
  bytes[8] = (octets[0] ?? 0) ^ 0x02;
  return bytesToAddress(bytes);
}
