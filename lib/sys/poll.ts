import { Errno, SysError } from "./errno.ts";
import { checked, OwnedFd } from "./fd.ts";
import { blockingLibc, errno, libc } from "./libc.ts";

/** There is something to read (poll(2)). */
export const POLLIN = 0x1;
/** Writing will not wait (poll(2)). */
export const POLLOUT = 0x4;
/** An error is pending; reported without being asked for (poll(2)). */
export const POLLERR = 0x8;
/** The other side hung up; reported without being asked for (poll(2)). */
export const POLLHUP = 0x10;
/** The descriptor is not open; reported without being asked for (poll(2)). */
export const POLLNVAL = 0x20;

/**
 * Asks for the state of one descriptor, waiting on this thread for at most `timeoutMs` milliseconds (0: not at all).
 *
 * @returns The events that are ready, 0 at the timeout
 * @throws {SysError} If poll fails; an interruption by a signal counts as a timeout
 */
export function pollSync(fd: number, events: number, timeoutMs: number): number {
  const pollfd = pollfdOf(fd, events);
  const result = libc.poll(pollfd, 1n, timeoutMs);
  if (result < 0) {
    const number = errno();
    if (number === Errno.EINTR) return 0;
    throw new SysError("poll", number, `to wait for the descriptor "${fd}"`);
  }
  return returnedEvents(pollfd);
}

/**
 * Waits for one descriptor on a thread of the pool, for at most `timeoutMs` milliseconds.
 *
 * The descriptor must stay open until the promise settles. A closed descriptor does not wake poll: choose a timeout with which waiting
 * for it at the end can be borne.
 *
 * @returns The events that are ready, 0 at the timeout or when a signal came
 */
export async function poll(fd: number, events: number, timeoutMs: number): Promise<number> {
  const pollfd = pollfdOf(fd, events);
  const result = await blockingLibc.poll(pollfd, 1n, timeoutMs);
  return result > 0 ? returnedEvents(pollfd) : 0;
}

const EFD_CLOEXEC = 0x80000;

/** Waits for one descriptor on a thread of the pool, without a timeout, until it is ready or somebody ends the wait. */
export class Waiter implements AsyncDisposable {
  readonly #wake: OwnedFd;
  /** Kept here, since the FFI itself does not keep alive what another thread uses. */
  readonly #pollfds = new Uint8Array(new ArrayBuffer(16));
  #waiting: Promise<number> | undefined;
  #stopped = false;

  /**
   * A waiter for a descriptor.
   *
   * @param fd Must stay open until the waiter is disposed of
   * @throws {SysError} If no descriptor is left for waking it
   */
  constructor(fd: number) {
    const wake = libc.eventfd(0, EFD_CLOEXEC);
    this.#wake = new OwnedFd(checked(wake, "eventfd", "to make a descriptor to wake poll"));
    this.#pollfds.set(pollfdOf(fd, POLLIN));
    this.#pollfds.set(pollfdOf(this.#wake.fd, POLLIN), 8);
  }

  /**
   * Waits until there is something to read (or an error to be fetched).
   *
   * @returns `false` once {@link Waiter.stop} was called
   */
  async readable(): Promise<boolean> {
    if (this.#stopped) return false;
    this.#waiting = blockingLibc.poll(this.#pollfds, 2n, -1);
    await this.#waiting;
    return !this.#stopped;
  }

  /** Ends the wait and all later ones. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    libc.write(this.#wake.fd, new BigUint64Array([1n]), 8n);
  }

  /** Stops, and waits until no thread uses the descriptors any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
    await this.#waiting;
    this.#wake[Symbol.dispose]();
  }
}

function pollfdOf(fd: number, events: number): Uint8Array<ArrayBuffer> {
  const pollfd = new Uint8Array(new ArrayBuffer(8));
  const view = new DataView(pollfd.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, events, true);
  return pollfd;
}

function returnedEvents(pollfd: Uint8Array<ArrayBuffer>): number {
  return new DataView(pollfd.buffer).getInt16(6, true);
}
