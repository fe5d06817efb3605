import { AddressError } from "./address.ts";

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
 * A MAC address that depends on the seed alone: unicast and locally administered (first octet `x2`, `x6`, `xa` or `xe`).
 *
 * The seed's UTF-8 bytes are hashed with 64-bit FNV-1a and mixed (the finaliser of MurmurHash3), and 46 bits are kept. It spreads
 * names; it is no secret.
 */
export function macFromSeed(seed: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(seed)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  hash = BigInt.asUintN(64, (hash ^ (hash >> 33n)) * 0xff51afd7ed558ccdn);
  hash = BigInt.asUintN(64, (hash ^ (hash >> 33n)) * 0xc4ceb9fe1a85ec53n);
  hash ^= hash >> 33n;
  const bytes = new Uint8Array(6);
  for (let i = 0; i < 6; i++) bytes[i] = Number((hash >> BigInt(8 * i)) & 0xffn);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return formatMac(bytes);
}
