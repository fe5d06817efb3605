/** A generator of numbers that a seed determines. Pure but for its own state. */

/** Draws numbers. */
export interface Random {
  /** A whole number from 0 to `below` - 1. */
  below(below: number): number;
  /** One of the items. @throws {RangeError} When there is none */
  pick<T>(items: readonly T[]): T;
}

/**
 * Makes a generator: the same seed gives the same numbers, on every machine (mulberry32: 32 bits of state are enough for drawing).
 *
 * @param seed A whole number; of a longer one the lowest 32 bits count
 */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    below,
    pick<T>(items: readonly T[]): T {
      const index = below(items.length);
      const item = items[index];
      if (item === undefined) throw new RangeError("Expected something to choose from, found none");
      return item;
    },
  };
}
