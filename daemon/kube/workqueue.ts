import { type BackoffOptions, createBackoff } from "./backoff.ts";

/** How a {@linkcode WorkQueue} works. */
export interface WorkQueueOptions {
  /** Brings one key in step. Never runs twice at a time for the same key. A failure is repeated with growing delays. */
  readonly process: (key: string, signal: AbortSignal) => Promise<void>;
  /** How many keys are worked on at a time; 1 when absent. */
  readonly workers?: number;
  /** Delays after failures, per key; 200 ms to 30 s when absent. */
  readonly backoff?: BackoffOptions;
  /** Takes the failure of a key. */
  readonly failed?: (key: string, error: unknown) => void;
  /** Ends everything; what runs sees it too. */
  readonly signal: AbortSignal;
}

/** A queue of keys, not of events: a key waits at most once, and whoever works on it looks at the present state. */
export interface WorkQueue {
  /** Says that a key needs work. While it is being worked on, it will be worked on once more. */
  add(key: string): void;
  /** The same, after a time in milliseconds. */
  addAfter(key: string, ms: number): void;
  /** Keys that wait for a worker. */
  readonly length: number;
  /** Resolves once the signal has aborted and no key is being worked on. */
  readonly stopped: Promise<void>;
}

/** Makes a queue. */
export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  return new KeyQueue(options);
}

type Timer = ReturnType<typeof setTimeout>;

class KeyQueue implements WorkQueue {
  readonly stopped: Promise<void>;
  readonly #options: WorkQueueOptions;
  readonly #stopped = Promise.withResolvers<void>();
  /** Insertion order is the queue's order. */
  readonly #waiting = new Set<string>();
  readonly #active = new Set<string>();
  readonly #again = new Set<string>();
  readonly #backoffs = new Map<string, ReturnType<typeof createBackoff>>();
  readonly #timers = new Map<string, { readonly timer: Timer; readonly at: number }>();

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.stopped = this.#stopped.promise;
    if (options.signal.aborted) this.#stop();
    else options.signal.addEventListener("abort", () => this.#stop(), { once: true });
  }

  get length(): number {
    return this.#waiting.size;
  }

  add(key: string): void {
    if (this.#options.signal.aborted) return;
    if (this.#active.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    // In a turn of its own, so that keys added together wait together.
    queueMicrotask(() => this.#work());
  }

  addAfter(key: string, ms: number): void {
    if (this.#options.signal.aborted) return;
    const at = performance.now() + ms;
    const planned = this.#timers.get(key);
    if (planned !== undefined) {
      if (planned.at <= at) return;
      clearTimeout(planned.timer);
    }
    const timer = setTimeout(() => {
      this.#timers.delete(key);
      this.add(key);
    }, ms);
    this.#timers.set(key, { timer, at });
  }

  #work(): void {
    if (this.#options.signal.aborted) return;
    for (const key of this.#waiting) {
      if (this.#active.size >= (this.#options.workers ?? 1)) return;
      this.#waiting.delete(key);
      this.#active.add(key);
      this.#process(key);
    }
  }

  #process(key: string): void {
    const { process, signal, failed } = this.#options;
    Promise.resolve().then(() => process(key, signal)).then(
      () => this.#backoffs.delete(key),
      (error) => {
        if (signal.aborted) return;
        this.addAfter(key, this.#backoffOf(key).next());
        failed?.(key, error);
      },
    ).finally(() => {
      this.#active.delete(key);
      if (this.#again.delete(key)) this.add(key);
      if (signal.aborted) this.#stop();
      else this.#work();
    });
  }

  #backoffOf(key: string): ReturnType<typeof createBackoff> {
    const known = this.#backoffs.get(key);
    if (known !== undefined) return known;
    const made = createBackoff(this.#options.backoff ?? { baseMs: 200, maxMs: 30_000 });
    this.#backoffs.set(key, made);
    return made;
  }

  #stop(): void {
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#waiting.clear();
    if (this.#active.size === 0) this.#stopped.resolve();
  }
}
