import type { FuzzTarget } from "./target.ts";

/** What trying a target's inputs came to. */
export interface FuzzFigures {
  /** Inputs. */
  readonly runs: number;
  /** Time for all of them, in seconds. */
  readonly seconds: number;
  /** By how much the heap has grown between a tenth of the inputs and the end, in bytes. */
  readonly growth: number;
}

const collectGarbage: unknown = Reflect.get(globalThis, "gc");

/** Whether the heap can be measured: only with `--v8-flags=--expose-gc`. */
export const measuresHeap = typeof collectGarbage === "function";

function heapBytes(): number {
  if (typeof collectGarbage === "function") collectGarbage();
  return Deno.memoryUsage().heapUsed;
}

function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/**
 * Tries a target's inputs. The first tenth opens and compiles what is needed once; it is the rest that must leave nothing.
 *
 * @throws {Error} For a fault, and for descriptors that stay open
 */
export async function runTarget(
  target: FuzzTarget,
  seed: number,
  runs: number,
): Promise<FuzzFigures> {
  const startedAt = performance.now();
  const first = Math.ceil(runs / 10);
  await tryInputs(target, seed, first);
  const [descriptors, heap] = [openDescriptors(), heapBytes()];
  await tryInputs(target, seed + 1, runs - first);
  const left = openDescriptors() - descriptors;
  if (left > 0) throw new Error(`Expected no descriptor to stay open, found ${left}`);
  return { runs, growth: heapBytes() - heap, seconds: (performance.now() - startedAt) / 1000 };
}

async function tryInputs(target: FuzzTarget, seed: number, runs: number): Promise<void> {
  if (runs === 0) return;
  await using started = await target.begin();
  await started.explore({ seed, runs });
}
