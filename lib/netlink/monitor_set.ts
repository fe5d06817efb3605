import { NetlinkSocket } from "../sys/netlink_socket.ts";
import { Waiter } from "../sys/poll.ts";
import { ReadableSet } from "../sys/readable_set.ts";
import { BUFFER_BYTES, drain, type MonitorOptions, QUEUE_BYTES } from "./monitor.ts";

/** What to listen to in one namespace, and whom to tell. */
export type MonitoredSpace = Omit<MonitorOptions, "signal">;

interface Monitored extends MonitoredSpace {
  readonly socket: NetlinkSocket;
}

/** Listens in many network namespaces with one thread. */
export class MonitorSet implements Disposable {
  readonly #readable = new ReadableSet();
  readonly #spaces = new Map<string, Monitored>();
  readonly #buffer = new Uint8Array(new ArrayBuffer(BUFFER_BYTES));

  /**
   * Begins to listen in a namespace; what is listed after this misses nothing.
   *
   * @param name Tells it from the others; one of that name is replaced
   * @throws {SysError} If the socket cannot be opened
   */
  add(name: string, space: MonitoredSpace): void {
    this.delete(name);
    const { groups, netns } = space;
    const socket = NetlinkSocket.open({ groups, netns, receiveQueueBytes: QUEUE_BYTES });
    try {
      this.#readable.add(socket.fd);
      this.#spaces.set(name, { ...space, socket });
    } catch (thrown) {
      socket[Symbol.dispose]();
      throw thrown;
    }
  }

  /** Stops listening in a namespace; the last thing that keeps it alive may be the socket. */
  delete(name: string): void {
    const space = this.#spaces.get(name);
    if (space === undefined) return;
    this.#spaces.delete(name);
    this.#readable.delete(space.socket.fd);
    space.socket[Symbol.dispose]();
  }

  /**
   * Passes on what the kernel tells, until the signal aborts.
   *
   * @throws As {@link monitor}
   */
  async run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await using waiter = new Waiter(this.#readable.fd);
    const stop = () => waiter.stop();
    signal.addEventListener("abort", stop, { once: true });
    try {
      while (await waiter.readable()) this.#passOn();
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** Closes all sockets. */
  [Symbol.dispose](): void {
    for (const name of [...this.#spaces.keys()]) this.delete(name);
    this.#readable[Symbol.dispose]();
  }

  #passOn(): void {
    const ready = new Set(this.#readable.ready());
    for (const [name, { socket, onMessage, onLost }] of [...this.#spaces]) {
      // One that is gone by now was taken out by what another one told; its number may be another's already.
      if (this.#spaces.get(name)?.socket !== socket || !ready.has(socket.fd)) continue;
      drain(socket, this.#buffer, onMessage, onLost);
    }
  }
}
