import { checked, OwnedFd } from "./fd.ts";
import { libc } from "./libc.ts";

const EPOLL_CLOEXEC = 0x80000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
/** struct epoll_event is packed on x86-64 alone (epoll_ctl(2)). */
const EVENT_BYTES = Deno.build.arch === "x86_64" ? 12 : 16;
const DATA_OFFSET = EVENT_BYTES - 8;
const MOST_EVENTS = 64;

/**
 * Descriptors of which some have something to read (epoll(7)). The set's own descriptor is readable then: one {@link Waiter}, and so one
 * thread, waits for all of them.
 */
export class ReadableSet implements Disposable {
  readonly #fd: OwnedFd;
  readonly #events = new Uint8Array(new ArrayBuffer(EVENT_BYTES * MOST_EVENTS));

  /**
   * An empty set.
   *
   * @throws {SysError} If no descriptor is left
   */
  constructor() {
    const fd = libc.epoll_create1(EPOLL_CLOEXEC);
    this.#fd = new OwnedFd(checked(fd, "epoll_create1", "to make a set of descriptors"));
  }

  /** The descriptor that is readable while one of the set is. */
  get fd(): number {
    return this.#fd.fd;
  }

  /**
   * Adds a descriptor.
   *
   * @throws {SysError} If it is there already or cannot be waited for
   */
  add(fd: number): void {
    this.#control(EPOLL_CTL_ADD, fd, "to wait for one more descriptor");
  }

  /**
   * Removes a descriptor; before it is closed.
   *
   * @throws {SysError} If it is not there
   */
  delete(fd: number): void {
    this.#control(EPOLL_CTL_DEL, fd, "to wait no more for a descriptor");
  }

  /**
   * The descriptors that have something to read, at most 64; those that are not read come again.
   *
   * @throws {SysError} If the set is closed
   */
  ready(): number[] {
    const count = checked(
      libc.epoll_wait(this.fd, this.#events, MOST_EVENTS, 0),
      "epoll_wait",
      "to see which descriptors are ready",
    );
    const view = new DataView(this.#events.buffer);
    return Array.from(
      { length: count },
      (_, i) => view.getInt32(i * EVENT_BYTES + DATA_OFFSET, true),
    );
  }

  /** Closes the set; the descriptors in it stay open. */
  [Symbol.dispose](): void {
    this.#fd[Symbol.dispose]();
  }

  #control(operation: number, fd: number, doing: string): void {
    const event = new Uint8Array(new ArrayBuffer(EVENT_BYTES));
    const view = new DataView(event.buffer);
    view.setUint32(0, EPOLLIN, true);
    view.setInt32(DATA_OFFSET, fd, true);
    checked(libc.epoll_ctl(this.fd, operation, fd, event), "epoll_ctl", doing);
  }
}
