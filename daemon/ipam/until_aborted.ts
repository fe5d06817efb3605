/**
 * The task's outcome, or the signal's reason if that comes first; the task goes on then.
 *
 * @throws The signal's reason, or what the task throws
 */
export async function untilAborted<T>(task: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([promise, task]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
