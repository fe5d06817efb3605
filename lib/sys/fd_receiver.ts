import { CodedError } from "../errors.ts";
import { Errno, SysError } from "./errno.ts";
import { checked, OwnedFd } from "./fd.ts";
import { blockingLibc, errno, libc } from "./libc.ts";
import { MAX_FD_PAYLOAD, MessageArena, openUnixDatagram, unixAddress } from "./unix_datagram.ts";

/** A receiver was used in a way it cannot serve. Codes: `ReceiverBusy`, `ReceiverStopped`, `ReceiverPathTaken`. */
export class FdReceiverError extends CodedError {}

/** Who sent a datagram, as the kernel tells it (SCM_CREDENTIALS, unix(7)), in the receiver's own pid and user namespaces. */
export interface PeerCredentials {
  /** Process id; 0 if the sender's is not visible from here. */
  readonly pid: number;
  /** User id. */
  readonly uid: number;
  /** Group id. */
  readonly gid: number;
}

/** A datagram and what came with it. Whoever receives it disposes of every descriptor. */
export interface FdMessage {
  /** The payload, a copy, at most {@link MAX_FD_PAYLOAD} bytes. */
  readonly payload: Uint8Array<ArrayBuffer>;
  /** Every descriptor that came, close-on-exec. */
  readonly fds: OwnedFd[];
  /** The sender, if the kernel told. */
  readonly credentials?: PeerCredentials;
  /** Whether the kernel cut off some of the payload or of the ancillary data. */
  readonly truncated: boolean;
}

const SOL_SOCKET = 1;
const SO_PASSCRED = 16;
const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SHUT_RDWR = 2;
const SOCKET_MODE = 0o600;

/** Room for the most descriptors the kernel passes at once (SCM_MAX_FD, 253) and for the credentials. */
const CONTROL_BYTES = 1024 + 40 + 32;

/** Receives datagrams with descriptors on a UNIX datagram socket that only its owner may send to. */
export class FdReceiver implements AsyncDisposable {
  readonly #socket: OwnedFd;
  readonly #path: string;
  readonly #arena = new MessageArena(new Uint8Array(0), CONTROL_BYTES, MAX_FD_PAYLOAD);
  #receiving: Promise<number> | undefined;
  #busy = false;
  #stopped = false;

  private constructor(socket: OwnedFd, path: string) {
    this.#socket = socket;
    this.#path = path;
  }

  /**
   * Makes the socket with mode 0600. One left over at the path by a dead process is replaced.
   *
   * @throws {FdReceiverError} `ReceiverPathTaken` if somebody receives there or the path is something else
   * @throws {SysError} If the socket cannot be made
   */
  static bind(path: string): FdReceiver {
    const socket = openUnixDatagram();
    try {
      const one = new Uint8Array([1, 0, 0, 0]);
      const set = libc.setsockopt(socket.fd, SOL_SOCKET, SO_PASSCRED, one, 4);
      checked(set, "setsockopt", 'to set "SO_PASSCRED"');
      // Before bind, so that the file never exists with a wider mode.
      checked(libc.fchmod(socket.fd, SOCKET_MODE), "fchmod", "to restrict a UNIX socket");
      bindReplacingStale(socket.fd, path);
      return new FdReceiver(socket, path);
    } catch (thrown) {
      socket[Symbol.dispose]();
      throw thrown;
    }
  }

  /**
   * Waits for the next datagram. One call at a time.
   *
   * An abort stops the receiver for good, since only shutting the socket down wakes the waiting thread.
   *
   * @throws The signal's reason after an abort
   * @throws {FdReceiverError} `ReceiverBusy`, `ReceiverStopped`
   * @throws {SysError} If receiving fails
   */
  async receive(signal: AbortSignal): Promise<FdMessage> {
    if (this.#busy) {
      throw new FdReceiverError("ReceiverBusy", "Expected one receive call at a time, found two");
    }
    this.#busy = true;
    const stop = () => this.stop();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) this.stop();
    try {
      while (!this.#stopped) {
        const message = await this.#receiveOnce();
        if (message === undefined) continue;
        if (!this.#stopped) return message;
        for (const fd of message.fds) fd[Symbol.dispose]();
      }
    } finally {
      this.#busy = false;
      signal.removeEventListener("abort", stop);
    }
    signal.throwIfAborted();
    throw new FdReceiverError("ReceiverStopped", "Expected an open receiver, found a stopped one");
  }

  /** Stops receiving for good; a waiting {@link FdReceiver.receive} rejects. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    // shutdown wakes the thread that waits in recvmsg; close would not.
    if (!this.#socket.closed) libc.shutdown(this.#socket.fd, SHUT_RDWR);
  }

  /** Stops, waits until no thread uses the socket any more, closes it and removes its file. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.#receiving;
    if (this.#socket.closed) return;
    this.#socket[Symbol.dispose]();
    try {
      Deno.removeSync(this.#path);
    } catch (thrown) {
      if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
    }
  }

  /** One datagram, or `undefined` if the wait was interrupted. */
  async #receiveOnce(): Promise<FdMessage | undefined> {
    const { header } = this.#arena;
    this.#arena.reset();
    this.#receiving = blockingLibc.recvmsg(this.#socket.fd, header, MSG_CMSG_CLOEXEC);
    let length: number;
    try {
      length = await this.#receiving;
    } finally {
      this.#receiving = undefined;
    }
    if (length < 0) {
      if (this.#stopped) return undefined;
      // errno is lost with the other thread: a second try on this one tells what is the matter.
      this.#arena.reset();
      length = libc.recvmsg(this.#socket.fd, header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
      if (length < 0) {
        const number = errno();
        if (number === Errno.EAGAIN || number === Errno.EINTR) return undefined;
        throw new SysError("recvmsg", number, `to receive from "${this.#path}"`);
      }
    }
    const flags = this.#arena.receivedFlags();
    const control = parseControl(this.#arena.receivedControl());
    return {
      payload: this.#arena.data.slice(0, length),
      truncated: (flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0,
      ...control,
    };
  }
}

/** Takes ownership of all descriptors in the ancillary data, which the kernel wrote (cmsg(3)). */
function parseControl(
  control: Uint8Array<ArrayBuffer>,
): { fds: OwnedFd[]; credentials?: PeerCredentials } {
  const view = new DataView(control.buffer, control.byteOffset, control.byteLength);
  const fds: OwnedFd[] = [];
  let credentials: PeerCredentials | undefined;
  for (let at = 0; at + 16 <= control.length;) {
    const length = Number(view.getBigUint64(at, true));
    if (length < 16) break;
    // A cut-off message keeps its full length in its header (MSG_CTRUNC).
    const end = Math.min(at + length, control.length);
    const ours = view.getInt32(at + 8, true) === SOL_SOCKET;
    const type = view.getInt32(at + 12, true);
    if (ours && type === SCM_RIGHTS) {
      for (let i = at + 16; i + 4 <= end; i += 4) fds.push(new OwnedFd(view.getInt32(i, true)));
    } else if (ours && type === SCM_CREDENTIALS && end - at >= 28) {
      credentials = {
        pid: view.getInt32(at + 16, true),
        uid: view.getUint32(at + 20, true),
        gid: view.getUint32(at + 24, true),
      };
    }
    at += (length + 7) & ~7;
  }
  return credentials === undefined ? { fds } : { fds, credentials };
}

function bindReplacingStale(fd: number, path: string): void {
  const address = unixAddress(path);
  if (libc.bind(fd, address, address.length) === 0) return;
  const number = errno();
  if (number !== Errno.EADDRINUSE) {
    throw new SysError("bind", number, `to make the UNIX socket "${path}"`);
  }
  if (!isStaleSocket(path)) {
    throw new FdReceiverError(
      "ReceiverPathTaken",
      `Expected nobody to receive at "${path}", found that it is in use; stop the other process or choose another path`,
    );
  }
  Deno.removeSync(path);
  checked(libc.bind(fd, address, address.length), "bind", `to make the UNIX socket "${path}"`);
}

/** Whether the path is a UNIX datagram socket that no process has open. */
function isStaleSocket(path: string): boolean {
  if (Deno.lstatSync(path).isSocket !== true) return false;
  using probe = openUnixDatagram();
  const address = unixAddress(path);
  return libc.connect(probe.fd, address, address.length) !== 0 && errno() === Errno.ECONNREFUSED;
}
