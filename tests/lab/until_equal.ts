/** Waiting for what a look gives to be as expected. */
import assert from "node:assert/strict";
import { until } from "./process.ts";

/**
 * Waits until what is looked at is as expected: a change takes a moment to reach a node.
 *
 * @param seconds Longest time
 * @throws {assert.AssertionError} With the last look's difference, when it does not come
 */
export async function untilEqual<T>(
  what: string,
  expected: T,
  look: () => Promise<T>,
  seconds: number,
): Promise<void> {
  let last: T | undefined;
  try {
    await until(what, seconds, async () => {
      last = await look();
      return JSON.stringify(last) === JSON.stringify(expected) ? true : undefined;
    });
  } catch (error) {
    assert.deepEqual(last, expected, what);
    throw error;
  }
}
