/** Runs a task once all earlier tasks of the same key have ended; tasks of different keys do not wait. */
export type KeyedLock = <T>(key: string, task: () => Promise<T>) => Promise<T>;

/** Makes a {@linkcode KeyedLock}. */
export function createKeyedLock(): KeyedLock {
  const tails = new Map<string, Promise<unknown>>();
  return (key, task) => {
    const before = tails.get(key);
    const run = before === undefined ? task() : before.then(task, task);
    tails.set(key, run);
    const clean = () => {
      if (tails.get(key) === run) tails.delete(key);
    };
    run.then(clean, clean);
    return run;
  };
}
