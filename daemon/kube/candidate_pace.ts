/** How often the candidates for an office look at its lease. Pure. */

/** What a candidate knows. */
export interface CandidateView {
  /** How many stand for the office, as far as is known. */
  readonly candidates: number;
  /** Time between two looks of a few candidates, and between two renewals, in milliseconds. */
  readonly retryPeriodMs: number;
  /** How long a lease holds without being renewed, in milliseconds. */
  readonly leaseDurationMs: number;
  /** How long ago this candidate saw the lease change, by its own clock, in milliseconds. */
  readonly changedAgoMs: number;
  /** How long ago the leader renewed, by both clocks, in milliseconds; undefined where nobody leads. */
  readonly renewedAgoMs: number | undefined;
  /** A number from 0 to 1, so that candidates do not look in step. */
  readonly random: number;
}

/** How often a second all candidates together look at the lease while somebody leads, at most but for a few of them. */
const looksPerSecond = 50;

/** How long all candidates need for a look each, in milliseconds. */
export function roundMs(candidates: number): number {
  return candidates / looksPerSecond * 1000;
}

/**
 * Milliseconds until a candidate looks again: as long as the many need to take turns, so that the load does not grow with the cluster. Who
 * finds the leader silent waits until its lease is over by this candidate's own clock. So many look that the first of them is there in
 * time; and a clock that is wrong makes a candidate only look at another time.
 */
export function nextLookMs(view: CandidateView): number {
  const { candidates, retryPeriodMs, renewedAgoMs, random } = view;
  const jitter = 0.8 + random * 0.4;
  const round = roundMs(candidates);
  if (round <= retryPeriodMs) return retryPeriodMs * jitter;
  const silent = renewedAgoMs !== undefined && renewedAgoMs > 2 * retryPeriodMs;
  if (!silent) return round * jitter;
  return Math.max(0, view.leaseDurationMs - view.changedAgoMs) + retryPeriodMs * jitter;
}
