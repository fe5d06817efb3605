import { type Backoff, createBackoff } from "./backoff.ts";

/** How the runs of a {@linkcode CoalescingRunner} are timed; all in milliseconds. */
export interface CoalescingOptions {
  /** What is run; never twice at a time. A failure is repeated with growing delays. */
  readonly run: (signal: AbortSignal) => Promise<unknown>;
  /** Quiet time after a mark before a run starts. */
  readonly debounceMs: number;
  /** Longest time between the first mark and its run, however many marks follow. */
  readonly maxDelayMs: number;
  /** Longest time between two runs without any mark. */
  readonly resyncMs: number;
  /** Ends everything. */
  readonly signal: AbortSignal;
  /** Takes the failure of a run. */
  readonly failed?: (error: unknown) => void;
  /** First delay after a failed run; 500 when absent. */
  readonly retryBaseMs?: number;
  /** Longest delay after failed runs; 30 000 when absent. */
  readonly retryMaxMs?: number;
}

/** Turns any number of marks into few runs, one at a time. */
export interface CoalescingRunner {
  /** Says that something changed: a run will start soon. */
  mark(): void;
  /**
   * Asks for a run now. Resolves when a run that started after this call has succeeded; rejects with its error if it
   * failed (it is repeated all the same), or with the signal's reason.
   */
  requestRun(): Promise<void>;
  /** Resolves once the signal has aborted and the last run is over. */
  readonly stopped: Promise<void>;
}

/**
 * Makes a runner. Nothing runs before the first mark, request or resync.
 *
 * @param options What to run and when
 */
export function createTrigger(options: CoalescingOptions): CoalescingRunner {
  return new Trigger(options);
}

class Trigger implements CoalescingRunner {
  readonly stopped: Promise<void>;
  readonly #options: CoalescingOptions;
  readonly #backoff: Backoff;
  readonly #stopped = Promise.withResolvers<void>();
  #waiting: PromiseWithResolvers<void>[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running = false;
  /** Since when a run is due because of marks; undefined when nothing is marked. */
  #markedAt: number | undefined;
  #lastMarkAt = 0;
  /** When the next run is due in any case: after a failure, or to resync. */
  #dueAt: number;

  constructor(options: CoalescingOptions) {
    this.#options = options;
    this.#backoff = createBackoff({
      baseMs: options.retryBaseMs ?? 500,
      maxMs: options.retryMaxMs ?? 30_000,
    });
    this.stopped = this.#stopped.promise;
    this.#dueAt = performance.now() + options.resyncMs;
    if (options.signal.aborted) {
      this.#stop();
      return;
    }
    options.signal.addEventListener("abort", () => this.#stop(), { once: true });
    this.#schedule();
  }

  mark(): void {
    this.#lastMarkAt = performance.now();
    this.#markedAt ??= this.#lastMarkAt;
    this.#schedule();
  }

  requestRun(): Promise<void> {
    const { signal } = this.#options;
    if (signal.aborted) return Promise.reject(signal.reason);
    const request = Promise.withResolvers<void>();
    this.#waiting.push(request);
    this.#schedule();
    return request.promise;
  }

  #schedule(): void {
    if (this.#running || this.#options.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#start(), this.#untilDue());
  }

  #untilDue(): number {
    if (this.#waiting.length > 0) return 0;
    const { debounceMs, maxDelayMs } = this.#options;
    const marked = this.#markedAt === undefined
      ? Infinity
      : Math.min(this.#lastMarkAt + debounceMs, this.#markedAt + maxDelayMs);
    // After a failure a mark does not shorten the delay: the object that fails may be what is being marked.
    const due = this.#backoff.failures > 0 ? this.#dueAt : Math.min(marked, this.#dueAt);
    return Math.max(0, due - performance.now());
  }

  #start(): void {
    this.#running = true;
    this.#markedAt = undefined;
    const served = this.#waiting;
    this.#waiting = [];
    const { run, signal, failed } = this.#options;
    Promise.resolve().then(() => run(signal)).then(
      () => {
        this.#backoff.reset();
        this.#dueAt = performance.now() + this.#options.resyncMs;
        for (const request of served) request.resolve();
      },
      (error) => {
        this.#dueAt = performance.now() + this.#backoff.next();
        for (const request of served) request.reject(error);
        if (!signal.aborted) failed?.(error);
      },
    ).finally(() => {
      this.#running = false;
      if (signal.aborted) this.#stop();
      else this.#schedule();
    });
  }

  #stop(): void {
    clearTimeout(this.#timer);
    for (const request of this.#waiting) request.reject(this.#options.signal.reason);
    this.#waiting = [];
    if (!this.#running) this.#stopped.resolve();
  }
}
