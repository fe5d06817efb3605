/** A lab of three nodes around the embedded API, as an operator knows it: what nodes do in trouble, and what kubectl tells. */
import { applyTenants, awaitRoutes, startPods } from "./demo_lab.ts";
import { type Lab, startLab } from "./lab.ts";
import type { LabWorld } from "./lab_case.ts";
import { killApi, startApi } from "./machines.ts";
import { operatorLabCases } from "./operator_lab_cases.ts";
import { repository } from "./options.ts";

const dist = `${repository}/dist`;
const { signal } = new AbortController();

let lab: Lab;
let world: LabWorld;

Deno.test.beforeAll(async () => {
  lab = await startLab({
    name: `operator-${Deno.pid}`,
    backend: "netns",
    nodes: 3,
    dist,
    keep: false,
    signal,
    progress: (line) => console.error(`   ${line}`),
  });
  await applyTenants(lab, signal);
  const pods = await startPods(lab, dist, signal);
  await awaitRoutes(lab, pods, signal);
  world = {
    lab,
    dist,
    pods,
    killApi: () => killApi(lab),
    startApi: () => startApi(lab, dist, signal),
  };
});

Deno.test.afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

for (const { name, run } of operatorLabCases) {
  Deno.test({
    name: `lab of three nodes: ${name}`,
    fn: () => run(world),
    // What is started in the lab outlives the test.
    sanitizeOps: false,
    sanitizeResources: false,
  });
}
