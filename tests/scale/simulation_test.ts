import assert from "node:assert/strict";
import { EmbeddedApi } from "../../daemon/kube/testing/embedded_api.ts";
import { type PhaseReport, simulate } from "./simulation.ts";

const size = { nodes: 20, pods: 400, tenants: 8, tenantsPerNode: 3, reflectors: true };

function sumOf(counts: PhaseReport["requests"], pattern: RegExp): number {
  return Object.entries(counts).reduce(
    (sum, [what, count]) => pattern.test(what) ? sum + count : sum,
    0,
  );
}

Deno.test("twenty nodes start at once, take their pods and start anew: no address is given twice, and nothing is asked in vain", async () => {
  await using api = await EmbeddedApi.start();
  const report = await simulate({
    ...size,
    connection: api.connection,
    complete: 1,
    quietSeconds: 0,
    progress: () => {},
    signal: AbortSignal.timeout(300_000),
  });
  const { phases } = report;
  assert.equal(report.duplicates, 0);
  assert.equal(report.keptPods, size.pods);
  assert.equal(report.blocks, size.nodes * size.tenantsPerNode);
  assert.equal(report.peersPerNode, 2);
  // An answer that got lost makes a claim meet its own block; where none did, only other nodes' blocks are met.
  const lost = phases.map(({ refused }) => sumOf(refused, /^POST ipblocks (?!AlreadyExists)/));
  const unanswered = lost.reduce((a, b) => a + b);
  assert.ok(report.conflicts <= report.mostConflicts + unanswered);
  const [started, taken, , again] = phases;
  assert.ok(started && taken && again);
  // Where the load is such that requests time out, they are repeated: only what structure tells is counted.
  assert.equal(sumOf(started.requests, / ipblocks/), 0);
  const claims = sumOf(taken.requests, /^POST ipblocks$/);
  assert.ok(claims >= report.blocks);
  assert.ok(claims <= report.blocks + report.conflicts + unanswered);
  // What the journal and the cache know needs no question.
  assert.equal(sumOf(again.requests, / ipblocks/), 0);
  assert.equal(sumOf(again.requests, /^POST vrfnodestates$/), 0);
  assert.deepEqual([report.caches.lists, report.caches.watches], [10, 10]);
});
