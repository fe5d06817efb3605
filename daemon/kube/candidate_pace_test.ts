import assert from "node:assert/strict";
import { type CandidateView, nextLookMs } from "./candidate_pace.ts";

const view: CandidateView = {
  candidates: 3,
  retryPeriodMs: 2_000,
  leaseDurationMs: 15_000,
  changedAgoMs: 0,
  renewedAgoMs: 1_000,
  random: 0.5,
};

Deno.test("a few candidates look as often as the leader renews", () => {
  assert.equal(nextLookMs(view), 2_000);
  assert.equal(nextLookMs({ ...view, candidates: 100, renewedAgoMs: 60_000 }), 2_000);
});

Deno.test("five thousand candidates look fifty times a second together, as a thousand do", () => {
  for (const candidates of [1_000, 5_000]) {
    assert.equal(candidates / (nextLookMs({ ...view, candidates }) / 1000), 50);
  }
});

Deno.test("who finds the leader silent looks again as soon as the lease is over by its own clock", () => {
  const many = { ...view, candidates: 5_000, renewedAgoMs: 4_001 };
  assert.equal(nextLookMs(many), 15_000 + 2_000);
  assert.equal(nextLookMs({ ...many, changedAgoMs: 14_000 }), 1_000 + 2_000);
  assert.equal(nextLookMs({ ...many, changedAgoMs: 100_000 }), 2_000);
});

Deno.test("an office that nobody holds is looked at in turns, too", () => {
  assert.equal(nextLookMs({ ...view, candidates: 1_000, renewedAgoMs: undefined }), 20_000);
});
