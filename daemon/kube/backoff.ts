/** How delays grow between attempts that fail. */
export interface BackoffOptions {
  /** Delay after the first failure, in milliseconds. */
  readonly baseMs: number;
  /** Longest delay, in milliseconds. */
  readonly maxMs: number;
  /** Source of numbers from 0 to 1; a test may hold it still. */
  readonly random?: () => number;
}

/** Delays that double with each failure, each shortened by up to half at random so that nodes do not march in step. */
export interface Backoff {
  /** The delay before the next attempt, in milliseconds. */
  next(): number;
  /** Forgets the failures. */
  reset(): void;
  /** Failures since the last reset. */
  readonly failures: number;
}

/** Makes a {@linkcode Backoff}. */
export function createBackoff(options: BackoffOptions): Backoff {
  const random = options.random ?? Math.random;
  let failures = 0;
  return {
    next() {
      const full = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(failures, 30));
      failures += 1;
      return full * (0.5 + random() / 2);
    },
    reset() {
      failures = 0;
    },
    get failures() {
      return failures;
    },
  };
}
