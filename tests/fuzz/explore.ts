import fc from "fast-check";
import type { AnyFuzzRun, FuzzRun } from "./target.ts";
import { progress } from "./hang_watch.ts";

/** Makes a run that tries inputs by fast-check. */
export function exploring<T>(run: FuzzRun<T>): AnyFuzzRun {
  return {
    async explore({ seed, runs }) {
      const property = fc.asyncProperty(run.inputs, async (input) => {
        await run.attempt(input);
        progress();
      });
      const details = await fc.check(property, { seed, numRuns: runs, maxSkipsPerRun: 0 });
      if (!details.failed) return;
      const input = format(details.counterexample?.[0]);
      throw new Error(`Expected a refusal or an answer for ${input}, found a fault`, {
        cause: details.errorInstance,
      });
    },
    [Symbol.asyncDispose]: () => run[Symbol.asyncDispose](),
  };
}

/** The same for a run without anything asynchronous in it: ten times faster. */
export function exploringSync<T>(
  inputs: fc.Arbitrary<T>,
  attempt: (input: T) => void,
): AnyFuzzRun {
  return {
    explore({ seed, runs }) {
      const property = fc.property(inputs, (input) => {
        attempt(input);
        progress();
      });
      const details = fc.check(property, { seed, numRuns: runs });
      if (!details.failed) return Promise.resolve();
      const input = format(details.counterexample?.[0]);
      return Promise.reject(
        new Error(`Expected a refusal or an answer for ${input}, found a fault`, {
          cause: details.errorInstance,
        }),
      );
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function format(input: unknown): string {
  if (input instanceof Uint8Array) return input.toHex();
  return fc.stringify(input).slice(0, 4_000);
}
