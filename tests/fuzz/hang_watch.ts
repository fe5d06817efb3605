/**
 * Ends the process when an input is tried for ever. What loops holds up its own thread, so that another one must look: it sees a
 * counter that both share.
 */
const counter = new Int32Array(new SharedArrayBuffer(4));

/** Tells that an input has been tried. */
export function progress(): void {
  Atomics.add(counter, 0, 1);
  Atomics.notify(counter, 0);
}

/** What the other thread needs to know. */
export interface Watched {
  /** Counts inputs. */
  readonly counter: Int32Array<SharedArrayBuffer>;
  /** Milliseconds without a change after which the process ends. */
  readonly patienceMs: number;
  /** What to say then. */
  readonly message: string;
}

/**
 * Watches until it is disposed of. What the other thread opens for itself is open when it resolves: inputs may be counted by descriptors.
 *
 * @param message What to say when the process is ended, such as how to try the same again
 * @param patienceMs Milliseconds that no single input takes, on any machine
 */
export async function watchForHang(message: string, patienceMs = 120_000): Promise<Disposable> {
  const worker = new Worker(new URL("hang_watch_worker.ts", import.meta.url), { type: "module" });
  await new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
  worker.postMessage({ counter, patienceMs, message } satisfies Watched);
  return { [Symbol.dispose]: () => worker.terminate() };
}
