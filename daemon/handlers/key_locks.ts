/** Mutual exclusion by key: what concerns one attachment runs one after another, everything else at once. */
export class KeyLocks {
  readonly #tails = new Map<string, Promise<void>>();

  /** How many keys are held or waited for. */
  get size(): number {
    return this.#tails.size;
  }

  /**
   * Waits for its turn on a key. Dispose of the result to let the next one in.
   *
   * @throws The signal's reason after an abort; the others keep their order
   */
  async acquire(key: string, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    const before = this.#tails.get(key) ?? Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const tail = before.then(() => promise);
    this.#tails.set(key, tail);
    const release = () => {
      resolve();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    };
    try {
      await settledOrAborted(before, signal);
    } catch (thrown) {
      // Whoever comes next waits for those before this one all the same: the tail includes them.
      resolve();
      tail.then(() => {
        if (this.#tails.get(key) === tail) this.#tails.delete(key);
      });
      throw thrown;
    }
    return { [Symbol.dispose]: release };
  }
}

function settledOrAborted(before: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    before.then(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
  });
}
