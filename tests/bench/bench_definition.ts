import type { BenchReport } from "./report.ts";
import type { Surroundings } from "./subjects.ts";

/** One bench: what it measures, and the way to do so. */
export interface Bench extends Pick<BenchReport, "name" | "about"> {
  /** How often it repeats what it measures, unless told otherwise. */
  readonly rounds: number;
  /** Measures, and leaves nothing behind. */
  run(
    surroundings: Surroundings & { readonly rounds: number },
  ): Promise<Pick<BenchReport, "rows" | "notes">>;
}
