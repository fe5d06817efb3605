import { checked, OwnedFd } from "./fd.ts";
import { SysError } from "./errno.ts";
import { errno, libc } from "./libc.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;

/**
 * Opens a raw packet socket (packet(7)) in the calling thread's network namespace; it stays tied to that namespace.
 *
 * It is opened with protocol 0: it sends, and receives nothing.
 *
 * @throws {SysError} `EPERM` without CAP_NET_RAW
 */
export function openPacketSocket(): OwnedFd {
  const fd = libc.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  return new OwnedFd(checked(fd, "socket", "to open a packet socket"));
}

/**
 * Sends one whole link-layer frame, header included, out of a link.
 *
 * @param socket A socket of {@link openPacketSocket}
 * @param ifindex Index of the link in the socket's namespace
 * @param frame At least an Ethernet header (14 bytes)
 * @throws {SysError} `ENETDOWN` if the link is down, `ENXIO` if there is none
 */
export function sendFrame(
  socket: { readonly fd: number },
  ifindex: number,
  frame: Uint8Array<ArrayBuffer>,
): void {
  const address = new Uint8Array(new ArrayBuffer(20)); // struct sockaddr_ll
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_PACKET, true);
  address.set(frame.subarray(12, 14), 2); // the protocol is in network order in both
  view.setInt32(4, ifindex, true);
  address[11] = 6;
  address.set(frame.subarray(0, 6), 12);
  const sent = libc.sendto(socket.fd, frame, BigInt(frame.length), 0, address, address.length);
  if (sent < 0) throw new SysError("sendto", errno(), `to send a frame out of link "${ifindex}"`);
}
