import assert from "node:assert/strict";
import { parseBurst } from "./calls.ts";
import { type BenchReport, ours, renderBench, row } from "./report.ts";
import { quantile, statisticsOf } from "./statistics.ts";

Deno.test("A series without samples has no statistics", () => {
  assert.throws(() => statisticsOf([]), RangeError);
});

Deno.test("Quantiles are samples of the series, by the nearest rank", () => {
  const samples = Array.from({ length: 200 }, (_, index) => 200 - index);
  assert.equal(quantile(samples, 0), 1);
  assert.equal(quantile(samples, 0.5), 100);
  assert.equal(quantile(samples, 0.99), 198);
  assert.equal(quantile(samples, 1), 200);
  assert.equal(statisticsOf([7]).p99, 7);
});

Deno.test("Noise is the distance of two identical series that were measured in turns", () => {
  assert.equal(statisticsOf([10, 12, 10, 12, 10, 12]).noise, 0.2);
  assert.equal(statisticsOf([10, 10, 10, 10]).noise, 0);
  assert.equal(statisticsOf([10, 12]).noise, undefined);
});

Deno.test("A burst in which one call failed is an error with what the plugin said", () => {
  const answer = "cpu 0.010 0.005\n1000.000000 1000.010000 0\n1000.001000 1000.002000 1\nno room\n";
  assert.throws(() => parseBurst(answer, "bridge ADD"), /"bridge ADD".*no room/s);
  assert.throws(() => parseBurst("", "bridge ADD"), /"bridge ADD"/);
  assert.throws(() => parseBurst("1000.000000 1000.010000 0\n", "bridge ADD"), /"bridge ADD"/);
});

Deno.test("A burst lasts from its first start to its last end", () => {
  const answer = "1000.000000 1000.010000 0\n1000.001000 1000.022000 0\ncpu 0.010 0.005\n";
  const { calls, wall, cpu } = parseBurst(answer, "bridge ADD");
  assert.deepEqual(calls.map(Math.round), [10, 21]);
  assert.equal(Math.round(wall), 22);
  assert.equal(cpu, 0.015);
});

Deno.test("A table tells each subject's figures, this project's share of them and the load", () => {
  const report: BenchReport = {
    name: "single",
    about: "one ADD",
    rows: [row("ADD", ours, "ms", [30, 20, 40, 20]), row("ADD", "bridge", "ms", [10])],
    notes: ["A note."],
    load: { average: [1.5, 2], busy: 0.934, stolen: 0.012 },
    seconds: 12.3,
  };
  assert.equal(
    renderBench(report),
    [
      "single: one ADD",
      "     subject   unit  runs  least  median  p99  noise  ours/this",
      "ADD  pyroute2  ms       4     20      20   40   50 %",
      "ADD  bridge    ms       1     10      10   10              2.00",
      "A note.",
      "Load average 1.5 before, 2 after; processors 93 % busy, 1 % stolen; 12 s",
    ].join("\n"),
  );
});
