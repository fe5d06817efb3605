/** The operator's lab of three nodes again, around a real kube-apiserver. */
import { applyTenants, awaitRoutes, startPods } from "../lab/demo_lab.ts";
import type { LabWorld } from "../lab/lab_case.ts";
import { operatorLabCases } from "../lab/operator_lab_cases.ts";
import { repository } from "../lab/options.ts";
import { findKubeBinaries } from "./apiserver_binary.ts";
import { killApiServer, startRealLab } from "./real_lab.ts";

const dist = `${repository}/dist`;

const probe = await findKubeBinaries({
  assets: Deno.env.get("KUBEBUILDER_ASSETS"),
  report: (line) => console.error(line),
});
if (!probe.available) console.error(`Skipped, no real Kubernetes API: ${probe.reason}`);

let world: LabWorld | undefined;

Deno.test.beforeAll(async () => {
  if (!probe.available) return;
  const { signal } = new AbortController();
  const { lab, server } = await startRealLab({
    name: `real-operator-${Deno.pid}`,
    backend: "netns",
    nodes: 3,
    dist,
    binaries: probe.binaries,
    signal,
    progress: (line) => console.error(`   ${line}`),
  });
  world = {
    lab,
    dist,
    pods: [],
    killApi: () => killApiServer(lab),
    startApi: server.startApiServer,
  };
  await applyTenants(lab, signal);
  const pods = await startPods(lab, dist, signal);
  await awaitRoutes(lab, pods, signal);
  world = { ...world, pods };
});

Deno.test.afterAll(async () => {
  await world?.lab[Symbol.asyncDispose]();
});

for (const { name, run } of operatorLabCases) {
  Deno.test({
    name: `kube-apiserver, lab of three nodes: ${name}`,
    ignore: !probe.available,
    fn: async () => {
      if (world === undefined) throw new Error("The lab did not come up");
      await run(world);
    },
    // What is started in the lab outlives the test.
    sanitizeOps: false,
    sanitizeResources: false,
  });
}
