/** Time that goes on when a test says so. */

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

/** A clock that stands until it is moved. */
export class SteppedClock {
  #now = 0;
  #sleepers: readonly Sleeper[] = [];

  /** The present, in milliseconds since the clock was made. */
  readonly now = (): number => this.#now;

  /**
   * Waits until the clock has been moved far enough.
   *
   * @param ms Milliseconds
   * @param signal Ends the wait early
   * @throws The signal's reason
   */
  readonly wait = (ms: number, signal?: AbortSignal): Promise<void> => {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => {
      this.#sleepers = this.#sleepers.filter((each) => each !== sleeper);
      reject(signal?.reason);
    };
    const sleeper = {
      until: this.#now + ms,
      wake: () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      },
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#sleepers = [...this.#sleepers, sleeper];
    return promise;
  };

  /** Moves the clock on. @param ms Milliseconds */
  advance(ms: number): void {
    this.#now += ms;
    const due = this.#sleepers.filter(({ until }) => until <= this.#now);
    this.#sleepers = this.#sleepers.filter(({ until }) => until > this.#now);
    for (const { wake } of due) wake();
  }
}
