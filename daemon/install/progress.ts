/** Tells a person what is waited for. */

/** Takes a line. */
export type Say = (line: string) => void;

/** Milliseconds after which a person wants to know. */
const patienceMs = 2_000;
const repeatMs = 10_000;

/** Waits for work, and says what for once it takes more than two seconds. */
export async function withProgress<T>(say: Say, what: string, work: Promise<T>): Promise<T> {
  const startedAt = performance.now();
  let timer = setTimeout(function tell() {
    const seconds = Math.round((performance.now() - startedAt) / 1_000);
    say(seconds < repeatMs / 1_000 ? `${what} …` : `${what} … ${seconds} s`);
    timer = setTimeout(tell, repeatMs);
  }, patienceMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
