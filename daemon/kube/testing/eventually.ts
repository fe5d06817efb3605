/** Waiting in tests: for a condition, never for a time. */

/**
 * Waits until something holds.
 *
 * @param what Said when it never does
 * @param holds Asked again and again
 * @param deadlineMs How long at most, in milliseconds
 * @throws {Error} At the deadline
 */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs = 15_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!await holds()) {
    if (performance.now() > deadline) throw new Error(`Never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
