import { checked, OwnedFd } from "./fd.ts";
import { Errno, SysError } from "./errno.ts";
import { addressOf, errno, libc } from "./libc.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;

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

/** An instruction of the classic BPF (struct sock_filter, include/uapi/linux/filter.h): code, jumps if true and if false, operand. */
export type FilterInstruction = readonly [code: number, jt: number, jf: number, k: number];

/** What a listener is opened with. */
export interface PacketListenerOptions {
  /** Index of the link, in the calling thread's network namespace. */
  readonly ifindex: number;
  /** EtherType of the frames, in host order. */
  readonly protocol: number;
  /** Which frames are received: those for which the program returns more than 0. */
  readonly filter: readonly FilterInstruction[];
}

/**
 * Opens a raw packet socket that receives frames of one link and one protocol, in the calling thread's network namespace.
 *
 * @throws {SysError} `EPERM` without CAP_NET_RAW, `ENODEV` if there is no such link, `EINVAL` if the filter is none
 */
export function openPacketListener(options: PacketListenerOptions): OwnedFd {
  const socket = openPacketSocket();
  try {
    // Before it is bound: not a single frame gets around the filter.
    attachFilter(socket.fd, options.filter);
    const address = new Uint8Array(new ArrayBuffer(20)); // struct sockaddr_ll
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, options.protocol); // network order
    view.setInt32(4, options.ifindex, true);
    const doing = `to receive frames of link "${options.ifindex}"`;
    checked(libc.bind(socket.fd, address, address.length), "bind", doing);
    return socket;
  } catch (thrown) {
    socket[Symbol.dispose]();
    throw thrown;
  }
}

/**
 * Takes one frame that has been received, header included.
 *
 * @param socket A socket of {@link openPacketListener}
 * @param buffer Where it is put; a longer frame is cut off
 * @returns Its length in bytes, cut off or not; undefined when there is none
 * @throws {SysError} `ENETDOWN` once when the link has gone down or away
 */
export function receiveFrame(
  socket: { readonly fd: number },
  buffer: Uint8Array<ArrayBuffer>,
): number | undefined {
  const flags = MSG_DONTWAIT | MSG_TRUNC;
  const length = libc.recv(socket.fd, buffer, BigInt(buffer.length), flags);
  if (length >= 0) return length;
  const number = errno();
  if (number === Errno.EAGAIN || number === Errno.EINTR) return undefined;
  throw new SysError("recv", number, "to take a frame");
}

function attachFilter(fd: number, filter: readonly FilterInstruction[]): void {
  const program = new Uint8Array(new ArrayBuffer(8 * filter.length));
  const view = new DataView(program.buffer);
  filter.forEach(([code, jt, jf, k], index) => {
    view.setUint16(index * 8, code, true);
    view.setUint8(index * 8 + 2, jt);
    view.setUint8(index * 8 + 3, jf);
    view.setUint32(index * 8 + 4, k, true);
  });
  const header = new Uint8Array(new ArrayBuffer(16)); // struct sock_fprog
  const headerView = new DataView(header.buffer);
  headerView.setUint16(0, filter.length, true);
  headerView.setBigUint64(8, addressOf(program), true);
  const result = libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, header, header.length);
  checked(result, "setsockopt", "to attach a filter");
}
