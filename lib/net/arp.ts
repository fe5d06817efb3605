import { AddressError, addressToBytes } from "./address.ts";
import { parseMac } from "./mac.ts";

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
