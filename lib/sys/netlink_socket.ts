import { Errno, SysError } from "./errno.ts";
import { checked, OwnedFd } from "./fd.ts";
import { blockingLibc, errno, libc } from "./libc.ts";
import { inNetns, type NetnsHandle } from "./netns.ts";

/** The netlink family of nftables, conntrack and others (include/uapi/linux/netlink.h). */
export const NETLINK_NETFILTER = 12;

const NETLINK_ROUTE = 0;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;

/** What a netlink socket is opened with. */
export interface NetlinkSocketOptions {
  /** The network namespace it works in; the caller's by default. The descriptor may be closed afterwards. */
  readonly netns?: NetnsHandle | undefined;
  /** The netlink family, such as {@linkcode NETLINK_NETFILTER}; NETLINK_ROUTE by default. */
  readonly protocol?: number | undefined;
  /** Multicast groups to join (`RTNLGRP_*`, not bit masks). */
  readonly groups?: readonly number[] | undefined;
  /** Size of the kernel's receive queue in bytes. */
  readonly receiveQueueBytes?: number | undefined;
  /** After how many milliseconds an answer that does not come is an error; 0 waits for ever. */
  readonly receiveTimeoutMs?: number | undefined;
}

/**
 * A netlink socket (netlink(7), rtnetlink(7)), of NETLINK_ROUTE unless another family is asked for, that carries bytes to and from the kernel.
 *
 * It is connected to the kernel, which keeps other processes' messages out. Extended acknowledgements, capped
 * acknowledgements and strict checking of dump requests are on where the kernel knows them.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: OwnedFd;
  /** What other threads are sending: referenced until they are done, since the FFI itself keeps nothing alive. */
  readonly #sending = new Set<Uint8Array<ArrayBuffer>>();
  #disposed = false;

  private constructor(fd: OwnedFd) {
    this.#fd = fd;
  }

  /**
   * Opens and connects a socket.
   *
   * @throws {SysError} If the namespace cannot be entered or the socket cannot be set up
   */
  static open(options: NetlinkSocketOptions = {}): NetlinkSocket {
    const open = () => openSocket(options.protocol ?? NETLINK_ROUTE);
    const fd = options.netns === undefined ? open() : inNetns(options.netns, open);
    try {
      configure(fd, options);
      return new NetlinkSocket(fd);
    } catch (thrown) {
      fd[Symbol.dispose]();
      throw thrown;
    }
  }

  /** The descriptor's number. */
  get fd(): number {
    return this.#fd.fd;
  }

  /**
   * Sends messages to the kernel, which carries them out before this returns.
   *
   * @throws {SysError} If the kernel does not take them
   */
  send(bytes: Uint8Array<ArrayBuffer>): void {
    const sent = libc.send(this.fd, bytes, BigInt(bytes.length), 0);
    if (sent < 0) throw new SysError("send", errno(), "to send a netlink request");
  }

  /**
   * The same on a thread of the pool, for requests over which the kernel takes its time.
   *
   * @throws {SysError} If the kernel does not take them; the error number is unknown then and given as EIO
   */
  async sendNonblocking(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#sending.add(bytes);
    try {
      const sent = await blockingLibc.send(this.fd, bytes, BigInt(bytes.length), 0);
      if (sent < 0) throw new SysError("send", Errno.EIO, "to send a netlink request");
    } finally {
      this.#sending.delete(bytes);
      if (this.#disposed && this.#sending.size === 0) this.#fd[Symbol.dispose]();
    }
  }

  /**
   * Receives one datagram into the buffer, waiting on this thread.
   *
   * @returns The datagram's length, which is greater than the buffer's if the datagram was cut
   * @throws {SysError} `EAGAIN` at the receive timeout, `ENOBUFS` if the kernel had to drop messages
   */
  recv(buffer: Uint8Array<ArrayBuffer>): number {
    const received = libc.recv(this.fd, buffer, BigInt(buffer.length), MSG_TRUNC);
    if (received < 0) throw new SysError("recv", errno(), "to receive a netlink answer");
    return received;
  }

  /**
   * Receives one datagram into the buffer if there is one, without waiting.
   *
   * @returns As for {@link NetlinkSocket.recv}, or `undefined` if there is none
   * @throws {SysError} `ENOBUFS` if the kernel had to drop messages
   */
  tryRecv(buffer: Uint8Array<ArrayBuffer>): number | undefined {
    const size = BigInt(buffer.length);
    const received = libc.recv(this.fd, buffer, size, MSG_TRUNC | MSG_DONTWAIT);
    if (received >= 0) return received;
    const number = errno();
    if (number === Errno.EAGAIN || number === Errno.EINTR) return undefined;
    throw new SysError("recv", number, "to receive a netlink message");
  }

  /** Closes the socket, once the requests being sent on other threads are through. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    if (this.#sending.size === 0) this.#fd[Symbol.dispose]();
  }
}

function openSocket(protocol: number): OwnedFd {
  const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  return new OwnedFd(checked(fd, "socket", "to open a netlink socket"));
}

function configure(fd: OwnedFd, options: NetlinkSocketOptions): void {
  const { receiveQueueBytes, receiveTimeoutMs = 10_000, groups = [] } = options;
  setTimeval(fd.fd, receiveTimeoutMs);
  if (receiveQueueBytes !== undefined) {
    setInt(fd.fd, SOL_SOCKET, SO_RCVBUFFORCE, receiveQueueBytes, "SO_RCVBUFFORCE");
  }
  setInt(fd.fd, SOL_NETLINK, NETLINK_EXT_ACK, 1, "NETLINK_EXT_ACK");
  setInt(fd.fd, SOL_NETLINK, NETLINK_CAP_ACK, 1, "NETLINK_CAP_ACK");
  setInt(fd.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1, "NETLINK_GET_STRICT_CHK");
  const address = netlinkAddress();
  checked(libc.bind(fd.fd, address, address.length), "bind", "to bind a netlink socket");
  for (const group of groups) {
    setInt(fd.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group, "NETLINK_ADD_MEMBERSHIP");
  }
  checked(libc.connect(fd.fd, address, address.length), "connect", "to connect a netlink socket");
}

/** struct sockaddr_nl with port 0: for bind "any free port", for connect "the kernel". */
function netlinkAddress(): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(new ArrayBuffer(12));
  new DataView(address.buffer).setUint16(0, AF_NETLINK, true);
  return address;
}

function setInt(fd: number, level: number, option: number, value: number, name: string): void {
  const bytes = new Uint8Array(new ArrayBuffer(4));
  new DataView(bytes.buffer).setInt32(0, value, true);
  checked(libc.setsockopt(fd, level, option, bytes, 4), "setsockopt", `to set "${name}"`);
}

function setTimeval(fd: number, milliseconds: number): void {
  const timeval = new BigInt64Array([
    BigInt(Math.floor(milliseconds / 1000)),
    BigInt((milliseconds % 1000) * 1000),
  ]);
  checked(
    libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeval, 16),
    "setsockopt",
    'to set "SO_RCVTIMEO"',
  );
}
