import { Errno, SysError } from "./errno.ts";
import { checked, OwnedFd } from "./fd.ts";
import { addressOf, errno, libc } from "./libc.ts";

/** The longest payload of a datagram with a descriptor, in bytes. */
export const MAX_FD_PAYLOAD = 4096;

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_SNDTIMEO = 21;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;

/** How long a sender waits for room in the receiver's queue, in seconds. */
const SEND_TIMEOUT_SECONDS = 5n;

/**
 * Sends one datagram with one descriptor to a UNIX datagram socket (unix(7), SCM_RIGHTS).
 *
 * The kernel adds the sender's process, user and group by itself for a receiver that asked for them. The caller keeps its own
 * descriptor and may close it at once.
 *
 * @param path The receiver's socket, at most 107 bytes
 * @throws {SysError} `ENOENT` or `ECONNREFUSED` if nobody receives, `EAGAIN` if the receiver's queue stays full for 5 s
 * @throws {TypeError} If the payload or the path is too long
 */
export function sendFd(path: string, fd: number, payload: Uint8Array): void {
  if (payload.length === 0 || payload.length > MAX_FD_PAYLOAD) {
    throw new TypeError(
      `Expected a payload of 1 to ${MAX_FD_PAYLOAD} bytes, found "${payload.length}"`,
    );
  }
  using socket = openUnixDatagram();
  const timeout = new BigInt64Array([SEND_TIMEOUT_SECONDS, 0n]);
  checked(
    libc.setsockopt(socket.fd, SOL_SOCKET, SO_SNDTIMEO, timeout, 16),
    "setsockopt",
    'to set "SO_SNDTIMEO"',
  );
  const message = new MessageArena(unixAddress(path), CONTROL_SPACE_OF_ONE_FD, payload.length);
  message.data.set(payload);
  message.setRights(fd);
  const sent = libc.sendmsg(socket.fd, message.header, MSG_NOSIGNAL);
  if (sent < 0) throw new SysError("sendmsg", errno(), `to send a descriptor to "${path}"`);
}

/**
 * Opens an unbound UNIX datagram socket.
 *
 * @throws {SysError} If the kernel refuses
 */
export function openUnixDatagram(): OwnedFd {
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return new OwnedFd(checked(fd, "socket", "to open a UNIX datagram socket"));
}

/**
 * A path as struct sockaddr_un.
 *
 * @throws {SysError} `ENAMETOOLONG` if the path does not fit
 */
export function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(path);
  if (text.length > 107) {
    throw new SysError("bind", Errno.ENAMETOOLONG, `to use "${path}" as the path of a UNIX socket`);
  }
  const address = new Uint8Array(new ArrayBuffer(2 + text.length + 1));
  address[0] = AF_UNIX;
  address.set(text, 2);
  return address;
}

const MSGHDR_BYTES = 56;
const IOVEC_BYTES = 16;
const CMSG_HEADER_BYTES = 16;
const CONTROL_SPACE_OF_ONE_FD = 24;

/**
 * A struct msghdr and all it points to, in one buffer: the kernel may write there for as long as a call lasts, and one
 * reference keeps all of it alive. Layout: little-endian LP64 (recvmsg(2), cmsg(3)).
 */
export class MessageArena {
  /** The struct msghdr, and with it the whole arena: what sendmsg and recvmsg are given. */
  readonly header: Uint8Array<ArrayBuffer>;
  /** The payload's place. */
  readonly data: Uint8Array<ArrayBuffer>;
  /** The ancillary data's place. */
  readonly control: Uint8Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;

  /** Lays out a message with an address (may be empty), room for ancillary data and room for a payload, in bytes. */
  constructor(address: Uint8Array, controlBytes: number, dataBytes: number) {
    const iovec = MSGHDR_BYTES;
    const control = iovec + IOVEC_BYTES;
    const data = control + align8(controlBytes);
    const name = data + align8(dataBytes);
    const buffer = new ArrayBuffer(name + align8(address.length));
    this.header = new Uint8Array(buffer);
    this.data = new Uint8Array(buffer, data, dataBytes);
    this.control = new Uint8Array(buffer, control, controlBytes);
    this.header.set(address, name);
    const base = addressOf(this.header);
    const view = this.#view = new DataView(buffer);
    if (address.length > 0) {
      view.setBigUint64(0, base + BigInt(name), true);
      view.setUint32(8, address.length, true);
    }
    view.setBigUint64(16, base + BigInt(iovec), true);
    view.setBigUint64(24, 1n, true);
    view.setBigUint64(32, base + BigInt(control), true);
    view.setBigUint64(40, BigInt(controlBytes), true);
    view.setBigUint64(iovec, base + BigInt(data), true);
    view.setBigUint64(iovec + 8, BigInt(dataBytes), true);
  }

  /** Makes the ancillary data one SCM_RIGHTS message with one descriptor. */
  setRights(fd: number): void {
    const at = this.control.byteOffset;
    this.#view.setBigUint64(at, BigInt(CMSG_HEADER_BYTES + 4), true);
    this.#view.setInt32(at + 8, SOL_SOCKET, true);
    this.#view.setInt32(at + 12, SCM_RIGHTS, true);
    this.#view.setInt32(at + 16, fd, true);
  }

  /** Prepares the header for receiving again: the kernel overwrote the lengths and flags. */
  reset(): void {
    this.#view.setBigUint64(40, BigInt(this.control.length), true);
    this.#view.setInt32(48, 0, true);
  }

  /** The ancillary data that came, without what is left of an earlier message. */
  receivedControl(): Uint8Array<ArrayBuffer> {
    return this.control.subarray(0, Number(this.#view.getBigUint64(40, true)));
  }

  /** The flags that came with the message (MSG_TRUNC, MSG_CTRUNC). */
  receivedFlags(): number {
    return this.#view.getInt32(48, true);
  }
}

function align8(bytes: number): number {
  return (bytes + 7) & ~7;
}
