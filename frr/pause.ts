/** Waiting between two looks at something that FRR does by itself. */

import { FrrError } from "./errors.ts";

/**
 * Waits.
 *
 * @param ms How long, in milliseconds
 * @throws {FrrError} `FrrTimeout` when the signal is aborted first
 */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(new FrrError("FrrTimeout", "FRR did not settle in time", { cause: signal.reason }));
    };
    if (signal.aborted) return reject(new FrrError("FrrTimeout", "FRR did not settle in time"));
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal.addEventListener("abort", abort, { once: true });
  });
}
