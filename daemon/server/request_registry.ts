/**
 * Request ids between their creation and the end of their request.
 *
 * A request id is a secret that only the creator of the request learns (over a socket that only root reaches), and it works
 * once. The creator declares its process id; the datagram with the descriptor must come from that very process: the kernel tells
 * the sender's process id, which nobody can forge, and the process's start time guards against a number that was given again.
 * HTTP on a UNIX socket gives the daemon no credentials of its own, which is why the binding is made on the datagram.
 */
import { CniError } from "../../lib/cni/errors.ts";
import { fdTimeoutMs, ridLifetimeMs } from "../../lib/ipc/messages.ts";

/** Who sent a descriptor, as the kernel tells it. */
export interface Sender {
  /** Process id; 0 when the sender's process is not visible to the daemon. */
  readonly pid: number;
  /** User id. */
  readonly uid: number;
}

/** What became of a descriptor: everything but `delivered` leaves it with the caller. */
export type Delivery = "delivered" | "unknown" | "duplicate" | "stranger";

/** What the registry takes from its surroundings. */
export interface RegistryOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** A new request id: 128 random bits in hexadecimal. */
  readonly randomId: () => string;
  /** What tells this process from another one that had or gets its id; undefined when there is none. */
  readonly processIdentity: (pid: number) => string | undefined;
  /** Milliseconds after which an unused request id is forgotten. */
  readonly lifetimeMs?: number;
  /** Milliseconds to wait for a descriptor. */
  readonly fdTimeoutMs?: number;
  /** Most requests at once, used or not. */
  readonly maxOutstanding?: number;
}

/** A request that is being run: gives its descriptor, and ends when it is disposed of. */
export interface ClaimedRequest<H extends Disposable> extends Disposable {
  /**
   * Waits for the descriptor and hands it over.
   *
   * @throws {CniError} `RequestRefused` when none comes in time or a wrong one came
   * @throws The signal's reason after an abort
   */
  descriptor(signal: AbortSignal): Promise<H>;
  /** Whether the process that asked for the request id still runs. */
  isAwaited(): boolean;
}

interface Entry<H> {
  readonly pid: number;
  readonly identity: string;
  readonly createdAt: number;
  claimed: boolean;
  descriptor: H | undefined;
  delivered: boolean;
  failure: CniError | undefined;
  stranger: Sender | undefined;
  wake: () => void;
}

/** Requests at once that no real node reaches: a kubelet starts far fewer pods at a time. */
const defaultMaxOutstanding = 512;

/** The outstanding requests. */
export class RequestRegistry<H extends Disposable> implements Disposable {
  readonly #entries = new Map<string, Entry<H>>();
  readonly #options: RegistryOptions;

  /** Makes an empty registry. */
  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** How many requests are outstanding. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Makes a request id for a process.
   *
   * @throws {CniError} `TryAgainLater` over the limit, `RequestRefused` when there is no such process
   */
  create(pid: number): string {
    this.sweep();
    const limit = this.#options.maxOutstanding ?? defaultMaxOutstanding;
    if (this.#entries.size >= limit) {
      throw new CniError(
        "TryAgainLater",
        `Expected at most ${limit} requests at once, found that many already; the runtime tries again`,
      );
    }
    const identity = this.#options.processIdentity(pid);
    if (identity === undefined) {
      throw new CniError(
        "RequestRefused",
        `Expected the id of the plugin's process, found "${pid}", which the daemon does not see; it must run in the host's PID namespace`,
      );
    }
    const rid = this.#options.randomId();
    this.#entries.set(rid, {
      pid,
      identity,
      createdAt: this.#options.now(),
      claimed: false,
      descriptor: undefined,
      delivered: false,
      failure: undefined,
      stranger: undefined,
      wake: () => {},
    });
    return rid;
  }

  /** Hands a descriptor to its request. */
  deliver(rid: string, sender: Sender, descriptor: H): Delivery {
    const entry = this.#senderEntry(rid, sender);
    if (typeof entry === "string") return entry;
    if (entry.delivered) return "duplicate";
    entry.delivered = true;
    entry.descriptor = descriptor;
    entry.wake();
    return "delivered";
  }

  /** Fails a request whose sender sent something else than one good descriptor. */
  reject(rid: string, sender: Sender, failure: CniError): Delivery {
    const entry = this.#senderEntry(rid, sender);
    if (typeof entry === "string") return entry;
    entry.failure ??= failure;
    entry.wake();
    return "delivered";
  }

  /**
   * Uses a request id up.
   *
   * @throws {CniError} `RequestRefused` when it is unknown, expired or used
   */
  claim(rid: string): ClaimedRequest<H> {
    this.sweep();
    const entry = this.#entries.get(rid);
    if (entry === undefined || entry.claimed) {
      throw new CniError(
        "RequestRefused",
        "Expected a request id that is new and not yet used, found an unknown, expired or used one",
      );
    }
    entry.claimed = true;
    return {
      descriptor: (signal) => this.#wait(entry, signal),
      isAwaited: () => this.#options.processIdentity(entry.pid) === entry.identity,
      [Symbol.dispose]: () => this.#forget(rid),
    };
  }

  /** Forgets request ids that nobody used in time and closes the descriptors that came for them. */
  sweep(): void {
    const oldest = this.#options.now() - (this.#options.lifetimeMs ?? ridLifetimeMs);
    for (const [rid, entry] of this.#entries) {
      if (!entry.claimed && entry.createdAt < oldest) this.#forget(rid);
    }
  }

  /** Forgets everything and closes all descriptors that nobody took. */
  [Symbol.dispose](): void {
    for (const rid of [...this.#entries.keys()]) this.#forget(rid);
  }

  #senderEntry(rid: string, sender: Sender): Entry<H> | "unknown" | "stranger" {
    this.sweep();
    const entry = this.#entries.get(rid);
    if (entry === undefined) return "unknown";
    const known = sender.uid === 0 && sender.pid === entry.pid &&
      this.#options.processIdentity(sender.pid) === entry.identity;
    if (known) return entry;
    // A stranger must not be able to fail somebody's request: it is only told of when the wait ends in vain.
    entry.stranger = sender;
    return "stranger";
  }

  #forget(rid: string): void {
    const entry = this.#entries.get(rid);
    if (entry === undefined) return;
    this.#entries.delete(rid);
    entry.descriptor?.[Symbol.dispose]();
    entry.descriptor = undefined;
  }

  async #wait(entry: Entry<H>, signal: AbortSignal): Promise<H> {
    const timeoutMs = this.#options.fdTimeoutMs ?? fdTimeoutMs;
    if (entry.descriptor === undefined && entry.failure === undefined) {
      await wakened(entry, timeoutMs, signal);
    }
    signal.throwIfAborted();
    if (entry.failure !== undefined) throw entry.failure;
    const descriptor = entry.descriptor;
    if (descriptor === undefined) throw missing(entry, timeoutMs);
    entry.descriptor = undefined;
    return descriptor;
  }
}

/** Resolves when the entry is woken, at the timeout or at the abort. */
function wakened(
  entry: { wake: () => void },
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      entry.wake = () => {};
      resolve();
    };
    const timer = setTimeout(done, timeoutMs);
    signal.addEventListener("abort", done, { once: true });
    entry.wake = done;
    if (signal.aborted) done();
  });
}

function missing(
  entry: { readonly stranger: Sender | undefined; readonly pid: number },
  timeoutMs: number,
): CniError {
  const { stranger, pid } = entry;
  return new CniError(
    "RequestRefused",
    `Expected the descriptor of the container's network namespace within ${timeoutMs} ms, found none`,
    stranger === undefined ? {} : {
      details:
        `A descriptor came from process "${stranger.pid}" of user "${stranger.uid}" instead of process "${pid}" of user "0"; the daemon must run in the host's PID namespace`,
    },
  );
}
