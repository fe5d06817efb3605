import { AddressError, addressToBytes, bytesToAddress } from "./address.ts";
import { formatMac, parseMac } from "./mac.ts";

/** EtherType of ARP (RFC 826), in host order. */
export const ETHERTYPE_ARP = 0x0806;

/** Length of an Ethernet frame with an ARP packet, without padding or checksum, in bytes. */
export const ARP_FRAME_LENGTH = 42;

/**
 * Encodes the Ethernet broadcast frame of an ARP announcement (RFC 5227, section 3: a request whose sender and target
 * address are the same), which tells neighbours that `address` is now at `mac`.
 *
 * @throws {AddressError} If `mac` is no MAC address or `address` no IPv4 address
 */
export function encodeGratuitousArp(mac: string, address: string): Uint8Array<ArrayBuffer> {
  const hardware = parseMac(mac);
  const protocol = addressToBytes(address);
  if (protocol.length !== 4) {
    throw new AddressError(
      "InvalidAddress",
      `Expected an IPv4 address to announce by ARP, found "${address}"`,
    );
  }
  const frame = new Uint8Array(ARP_FRAME_LENGTH);
  frame.fill(0xff, 0, 6);
  frame.set(hardware, 6);
  const view = new DataView(frame.buffer);
  view.setUint16(12, ETHERTYPE_ARP);
  view.setUint16(14, 1); // hardware type: Ethernet
  view.setUint16(16, 0x0800); // protocol type: IPv4
  frame[18] = 6;
  frame[19] = 4;
  view.setUint16(20, 1); // operation: request
  frame.set(hardware, 22);
  frame.set(protocol, 28);
  // The target's hardware address stays zero: it is what a request asks for.
  frame.set(protocol, 38);
  return frame;
}

/** What an ARP announcement tells. */
export interface ArpAnnouncement {
  /** Where the address is now. */
  readonly mac: string;
  /** IPv4 address. */
  readonly address: string;
}

/**
 * Decodes the Ethernet broadcast frame of an ARP announcement, a request or a reply (RFC 5227, section 3). Undefined for every other frame,
 * and for one that somebody else sends than the one that has the address.
 */
export function decodeGratuitousArp(frame: Uint8Array<ArrayBuffer>): ArpAnnouncement | undefined {
  if (frame.length < ARP_FRAME_LENGTH) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const ofEthernetAndIpv4 = view.getUint16(12) === ETHERTYPE_ARP && view.getUint16(14) === 1 &&
    view.getUint16(16) === 0x0800 && frame[18] === 6 && frame[19] === 4;
  const operation = view.getUint16(20);
  if (!ofEthernetAndIpv4 || (operation !== 1 && operation !== 2)) return undefined;
  const toAll = frame.subarray(0, 6).every((byte) => byte === 0xff);
  const [mac, address] = [frame.subarray(22, 28), frame.subarray(28, 32)];
  const fromItself = equal(frame.subarray(6, 12), mac) && equal(address, frame.subarray(38, 42));
  const possible = ((mac[0] ?? 1) & 1) === 0 && address[0] !== 0;
  if (!toAll || !fromItself || !possible) return undefined;
  return { mac: formatMac(mac), address: bytesToAddress(address) };
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, index) => byte === b[index]);
}
