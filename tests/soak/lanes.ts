/** Runs tasks at the same time where nothing speaks against it: in each lane one after the other, and only so many at once. */

/** Lanes. */
export interface Lanes {
  /** Runs a task when all that was begun before in any of its lanes has ended. Errors come out of {@linkcode settle}. */
  begin(lanes: readonly string[], task: () => Promise<void>): void;
  /** Runs what needs a slot; waits for a free one first. */
  use<T>(task: () => Promise<T>): Promise<T>;
  /** Resolves when fewer than so many tasks are under way or wait. @throws The first error of a task */
  fewerThan(most: number): Promise<void>;
  /** Resolves when all that was begun has ended. @throws The first error of a task */
  settle(): Promise<void>;
}

/** Makes lanes. @param slots How many tasks that need a slot run at once */
export function createLanes(slots: number): Lanes {
  const tails = new Map<string, Promise<void>>();
  const waiting: (() => void)[] = [];
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let taken = 0;
  const check = () => {
    if (failures.length > 0) throw failures[0];
  };
  const take = async () => {
    if (taken >= slots) await new Promise<void>((resolve) => waiting.push(resolve));
    else taken++;
  };
  const give = () => {
    const next = waiting.shift();
    // The slot goes on to whoever has waited longest.
    if (next === undefined) taken--;
    else next();
  };
  const use = async <T>(task: () => Promise<T>): Promise<T> => {
    await take();
    try {
      return await task();
    } finally {
      give();
    }
  };
  return {
    begin(lanes, task) {
      const before = lanes.map((lane) => tails.get(lane));
      const run: Promise<void> = Promise.all(before).then(() =>
        failures.length === 0 ? task() : undefined
      )
        .catch((error) => {
          failures.push(error);
        }).finally(() => {
          running.delete(run);
        });
      running.add(run);
      for (const lane of lanes) tails.set(lane, run);
    },
    use,
    async fewerThan(most) {
      check();
      while (running.size >= most) await Promise.race(running);
      check();
    },
    async settle() {
      await Promise.all(tails.values());
      tails.clear();
      check();
    },
  };
}
