/** Order statistics of a series, and how far two identical series lie apart. Pure. */

/** What a series of measurements comes to, in the unit of its samples. */
export interface Statistics {
  /** How many samples. */
  readonly runs: number;
  readonly least: number;
  readonly median: number;
  /** The 99th percentile by the nearest rank: of fewer than a hundred samples the greatest. */
  readonly p99: number;
  readonly most: number;
  /**
   * Noise: how far the medians of the even and of the odd samples lie apart, as a share of the whole median. Samples are taken in
   * turns with the other subjects', so both halves are the same measurement under the same load. Undefined below four samples.
   */
  readonly noise: number | undefined;
}

/** Sums a series up. @throws {RangeError} For an empty one */
export function statisticsOf(samples: readonly number[]): Statistics {
  if (samples.length === 0) throw new RangeError("Expected at least one sample, found none");
  const median = quantile(samples, 0.5);
  return {
    runs: samples.length,
    least: quantile(samples, 0),
    median,
    p99: quantile(samples, 0.99),
    most: quantile(samples, 1),
    noise: noiseOf(samples, median),
  };
}

/**
 * A quantile by the nearest rank.
 *
 * @param share From 0, the least sample, to 1, the greatest
 */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)] ?? NaN;
}

/** The sum of a series. */
export function sum(samples: readonly number[]): number {
  return samples.reduce((total, sample) => total + sample, 0);
}

function noiseOf(samples: readonly number[], median: number): number | undefined {
  if (samples.length < 4 || median === 0) return undefined;
  const half = (parity: number) => samples.filter((_, index) => index % 2 === parity);
  return Math.abs(quantile(half(0), 0.5) - quantile(half(1), 0.5)) / median;
}
