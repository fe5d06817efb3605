import { NetlinkSocket, type NetlinkSocketOptions } from "../sys/netlink_socket.ts";
import { ByteWriter } from "./byte_writer.ts";
import { type Codec, viewOf } from "./codec.ts";
import { NetlinkDecodeError, NetlinkError, refusal } from "./errors.ts";
import {
  eachMessage,
  type MessageView,
  NLM_F,
  NLMSG,
  readAcknowledgement,
  writeMessage,
} from "./message.ts";
import type { NetlinkTransport } from "./transport.ts";

/** One request to the kernel. */
export interface NetlinkRequest<V> {
  /** What it does, as a phrase for error messages: `to create the link "x"`. */
  readonly operation: string;
  /** Message type, such as RTM_NEWLINK. */
  readonly type: number;
  /** Flags besides NLM_F_REQUEST and NLM_F_ACK. */
  readonly flags?: number;
  /** The payload's codec. */
  readonly codec: Codec<V>;
  /** The payload. */
  readonly value: V;
}

/** A request whose payload is already bound to its codec, so that requests of different kinds fit one list. */
export interface BoundRequest {
  /** As in {@link NetlinkRequest}. */
  readonly operation: string;
  /** As in {@link NetlinkRequest}. */
  readonly type: number;
  /** As in {@link NetlinkRequest}. */
  readonly flags: number;
  /** Appends the payload. */
  readonly writePayload: (writer: ByteWriter) => void;
}

/** Binds a request's payload to its codec. */
export function bind<V>(request: NetlinkRequest<V>): BoundRequest {
  const { operation, type, flags = 0, codec, value } = request;
  return { operation, type, flags, writePayload: (writer) => codec.write(writer, value) };
}

interface Pending {
  readonly operation: string;
  readonly visit: (message: MessageView) => void;
  done: boolean;
  interrupted: boolean;
  failure?: unknown;
}

/** Larger than any datagram the kernel makes for a dump (32 KiB), with room for single large answers. */
const RECEIVE_BYTES = 128 * 1024;

/** What a connection is opened with. */
export interface NetlinkConnectionOptions extends NetlinkSocketOptions {
  /**
   * Room for an answer in bytes. Enough for every answer by default; a connection that lives for a few requests about single objects takes
   * less, because the room is the most that it costs.
   */
  readonly receiveBytes?: number | undefined;
}
const MAX_DUMP_ATTEMPTS = 8;

/**
 * A conversation with the kernel's rtnetlink.
 *
 * Requests may overlap: answers are matched to requests by sequence number, and those that nobody waits for are dropped. A synchronous
 * request may be made while an asynchronous one is under way.
 */
export class NetlinkConnection implements Disposable {
  readonly #transport: NetlinkTransport;
  readonly #writer = new ByteWriter();
  readonly #buffer: Uint8Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;
  readonly #pending = new Map<number, Pending>();
  #sequence = 0;
  #closed = false;

  /**
   * A conversation over a transport.
   *
   * @param transport Belongs to the connection from now on
   * @param receiveBytes Room for an answer, see {@linkcode NetlinkConnectionOptions}
   */
  constructor(transport: NetlinkTransport, receiveBytes: number = RECEIVE_BYTES) {
    this.#transport = transport;
    this.#buffer = new Uint8Array(new ArrayBuffer(receiveBytes));
    this.#view = viewOf(this.#buffer);
  }

  /**
   * Opens a connection to the kernel, for the network namespace given or the caller's own. The namespace's descriptor may be closed
   * afterwards.
   *
   * @throws {SysError} If the namespace cannot be entered or the socket cannot be opened
   */
  static open(options: NetlinkConnectionOptions = {}): NetlinkConnection {
    return new NetlinkConnection(NetlinkSocket.open(options), options.receiveBytes);
  }

  /**
   * Makes a request and waits for its acknowledgement.
   *
   * @throws {NetlinkError} If the kernel refuses
   */
  request<V>(request: NetlinkRequest<V>): void {
    this.#exchange(bind(request), NLM_F.ACK, () => {});
  }

  /**
   * Makes a request and reads the first of the messages that come before its acknowledgement.
   *
   * @param read Reads a message, or gives `undefined` for one that is not the answer; it must not use the connection
   * @returns The answer, or `undefined` if the kernel sent none
   * @throws {NetlinkError} If the kernel refuses
   * @throws What `read` throws
   */
  query<V, R>(
    request: NetlinkRequest<V>,
    read: (message: MessageView) => R | undefined,
  ): R | undefined {
    let answer: R | undefined;
    this.#exchange(bind(request), NLM_F.ACK, (message) => answer ??= read(message));
    return answer;
  }

  /**
   * Makes several requests in one datagram; the kernel carries all of them out in order, also those after one that failed.
   *
   * @param read Reads the messages that come before the acknowledgements, if any are asked for with NLM_F_ECHO
   * @throws {NetlinkError} For the first request that the kernel refused
   */
  batch(requests: readonly BoundRequest[], read: (message: MessageView) => void = () => {}): void {
    this.#writer.clear();
    const group = requests.map((request) => this.#write(this.#writer, request, NLM_F.ACK, read));
    this.#transact(group);
  }

  /**
   * Asks for a list. One that changed while the kernel told it is asked for again, several times.
   *
   * @param read Reads a message, or gives `undefined` to leave it out; it must not use the connection
   * @throws {NetlinkError} If the kernel refuses; `NetlinkDumpInterrupted` if the list never holds still
   * @throws What `read` throws
   */
  dump<V, R>(
    request: NetlinkRequest<V>,
    read: (message: MessageView) => R | undefined,
  ): R[] {
    const bound = bind(request);
    for (let attempt = 1; attempt <= MAX_DUMP_ATTEMPTS; attempt++) {
      const results: R[] = [];
      const { interrupted } = this.#exchange(bound, NLM_F.DUMP, (message) => {
        const result = read(message);
        if (result !== undefined) results.push(result);
      });
      if (!interrupted) return results;
    }
    throw new NetlinkError(
      "NetlinkDumpInterrupted",
      `Failed ${request.operation}: the list changed during each of ${MAX_DUMP_ATTEMPTS} attempts to read it; try again later`,
    );
  }

  /**
   * Makes a request without holding up the event loop while the kernel works on it, as it does for milliseconds when links are deleted.
   *
   * @throws {NetlinkError} If the kernel refuses; `NetlinkClosed` if the connection is closed meanwhile
   */
  async requestAsync<V>(request: NetlinkRequest<V>): Promise<void> {
    // A writer of its own: the shared one may be used before the other thread has read the bytes.
    const writer = new ByteWriter(512);
    const pending = this.#write(writer, bind(request), NLM_F.ACK, () => {});
    this.#pending.set(pending.sequence, pending.entry);
    try {
      await this.#transport.sendNonblocking(writer.written());
      if (this.#closed) {
        throw new NetlinkError(
          "NetlinkClosed",
          `Failed ${request.operation}: the connection was closed before the answer came`,
        );
      }
      this.#receiveUntilDone(pending.entry);
    } finally {
      this.#pending.delete(pending.sequence);
    }
    settle(pending.entry);
  }

  /** Closes the connection. Requests under way on other threads end by themselves. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#transport[Symbol.dispose]();
  }

  #exchange(request: BoundRequest, flags: number, visit: (message: MessageView) => void): Pending {
    this.#writer.clear();
    const pending = this.#write(this.#writer, request, flags, visit);
    this.#transact([pending]);
    return pending.entry;
  }

  #write(
    writer: ByteWriter,
    request: BoundRequest,
    flags: number,
    visit: (message: MessageView) => void,
  ): { sequence: number; entry: Pending } {
    const sequence = this.#sequence = this.#sequence % 0xffffffff + 1;
    const allFlags = NLM_F.REQUEST | flags | request.flags;
    writeMessage(writer, request.type, allFlags, sequence, request.writePayload);
    const entry = { operation: request.operation, visit, done: false, interrupted: false };
    return { sequence, entry };
  }

  #transact(group: readonly { sequence: number; entry: Pending }[]): void {
    for (const { sequence, entry } of group) this.#pending.set(sequence, entry);
    try {
      this.#transport.send(this.#writer.written());
      for (const { entry } of group) this.#receiveUntilDone(entry);
    } finally {
      for (const { sequence } of group) this.#pending.delete(sequence);
    }
    for (const { entry } of group) settle(entry);
  }

  #receiveUntilDone(entry: Pending): void {
    while (!entry.done) {
      const length = this.#transport.recv(this.#buffer);
      if (length > this.#buffer.length) {
        throw new NetlinkDecodeError(
          "NetlinkTruncated",
          `Expected at most ${this.#buffer.length} bytes in answer to a request ${entry.operation}, found "${length}"`,
        );
      }
      eachMessage(this.#view, length, (message) => this.#dispatch(message));
    }
  }

  #dispatch(message: MessageView): void {
    const entry = this.#pending.get(message.sequence);
    if (entry === undefined || entry.done) return;
    if ((message.flags & NLM_F.DUMP_INTR) !== 0) entry.interrupted = true;
    // A failure is kept until the answer has ended, so that the rest of it does not stay in the queue.
    try {
      if (message.type === NLMSG.ERROR || message.type === NLMSG.DONE) {
        entry.done = true;
        const { errno, extAck } = readAcknowledgement(message);
        if (errno !== 0) entry.failure ??= refusal(entry.operation, errno, extAck);
      } else if (message.type !== NLMSG.NOOP) {
        entry.visit(message);
      }
    } catch (thrown) {
      entry.failure ??= thrown;
    }
  }
}

function settle(entry: Pending): void {
  if (entry.failure !== undefined) throw entry.failure;
}
