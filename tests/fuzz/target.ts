/** What is fuzzed, and how a fault of it shows. */
import type fc from "fast-check";

/** One way in, ready to be given inputs. */
export interface FuzzRun<T> extends AsyncDisposable {
  /** What is tried. */
  readonly inputs: fc.Arbitrary<T>;
  /** Tries one input. It throws for a fault alone: a refusal in the form that callers expect is none. */
  readonly attempt: (input: T) => void | Promise<void>;
}

/** A way in for what others wrote. */
export interface FuzzTarget {
  /** For the command line and for reports. */
  readonly name: string;
  /** How many of all inputs are its own, beside the shares of the others. */
  readonly share: number;
  /** Has an engine try inputs, with all that they need set up. */
  readonly begin: () => Promise<AnyFuzzRun>;
}

/** A run whose inputs' type only itself knows. */
export interface AnyFuzzRun extends AsyncDisposable {
  /** Tries inputs; throws with the seed and the smallest input of a fault. */
  explore(options: { readonly seed: number; readonly runs: number }): Promise<void>;
}

/** Nothing to give back. */
export const nothing = (): Promise<void> => Promise.resolve();

/**
 * Passes over a refusal.
 *
 * @param thrown What was thrown
 * @param kinds Classes of errors that are refusals
 * @throws What was thrown, when it is anything else
 */
export function expectRefusal(
  thrown: unknown,
  // deno-lint-ignore no-explicit-any -- Constructors of errors differ in their parameters, which nobody calls here.
  ...kinds: readonly (abstract new (...args: any[]) => Error)[]
): void {
  if (!kinds.some((kind) => thrown instanceof kind)) throw thrown;
}
