/** Order of things that run side by side. */

/** What says whether others may run beside it. */
export interface Companion {
  /** Whether nothing may. */
  readonly alone?: boolean;
}

/**
 * Runs all in their order, as many at a time as there are seats; one that wants to be alone begins when the others have ended, and those
 * behind it begin when it has.
 *
 * @param items What to run
 * @param seats How many at a time, at least one
 * @param run Runs one
 * @throws What `run` throws first; nothing more begins then, and what has begun has ended
 */
export async function sideBySide<T extends Companion>(
  items: readonly T[],
  seats: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  for (const item of items) {
    const others = item.alone === true ? 0 : Math.max(1, seats) - 1;
    while (running.size > others) await Promise.race(running);
    if (failures.length > 0) break;
    const task = run(item).catch((error) => void failures.push(error)).finally(() =>
      running.delete(task)
    );
    running.add(task);
    if (item.alone === true) await task;
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
}
