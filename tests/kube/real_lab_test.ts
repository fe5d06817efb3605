/** The demo's lab around a real kube-apiserver: the same tenants, pods and matrix. */
import assert from "node:assert/strict";
import { applyTenants, awaitRoutes, measureMatrix, startPods } from "../lab/demo_lab.ts";
import type { Lab, RunningNode } from "../lab/lab.ts";
import { kubectl } from "../lab/machines.ts";
import { mismatches } from "../lab/matrix.ts";
import { repository } from "../lab/options.ts";
import { addressOf, announcePods, startPod, stopPod, untilKnown } from "../lab/pods.ts";
import { until } from "../lab/process.ts";
import type { LabPod, PlacedPod } from "../lab/topology.ts";
import { findKubeBinaries } from "./apiserver_binary.ts";
import { killApiServer, startRealLab } from "./real_lab.ts";
import type { RealServer } from "./real_server.ts";

const dist = `${repository}/dist`;
/** Seconds that convergence may take. */
const patience = 120;

const probe = await findKubeBinaries({
  assets: Deno.env.get("KUBEBUILDER_ASSETS"),
  report: (line) => console.error(line),
});
if (!probe.available) console.error(`Skipped, no real Kubernetes API: ${probe.reason}`);

let server: RealServer;
let lab: Lab;
let pods: PlacedPod[];

Deno.test.beforeAll(async () => {
  if (!probe.available) return;
  const { binaries } = probe;
  const { signal } = new AbortController();
  ({ lab, server } = await startRealLab({
    name: `real-api-${Deno.pid}`,
    backend: "netns",
    nodes: 2,
    dist,
    binaries,
    signal,
    progress: (line) => console.error(`   ${line}`),
  }));
  await applyTenants(lab, signal);
  pods = await startPods(lab, dist, signal);
  await awaitRoutes(lab, pods, signal);
});

Deno.test.afterAll(async () => {
  // The lab's machines take the servers along.
  await lab?.[Symbol.asyncDispose]();
});

/** A test on the lab. What it starts in the lab outlives it, so resources are not counted. */
function labTest(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: `kube-apiserver, lab: ${name}`,
    ignore: !probe.available,
    fn,
    sanitizeOps: false,
    sanitizeResources: false,
  });
}

labTest("every pod reaches its own tenant's pods, nobody else's, and the outside", async () => {
  assert.deepEqual(mismatches(await measureMatrix(lab, pods)), []);
});

labTest("kubectl shows the nodes' state, the blocks' use and why a domain is ready", async () => {
  await until("the nodes to be ready, with three domains and a peer", patience, async () => {
    const states = await kubectl(lab, ["get", "vrns"]);
    const isSo = ({ name }: RunningNode) => new RegExp(`${name}\\s+true\\s+3\\s+1`).test(states);
    return lab.nodes.every(isSo) || undefined;
  });
  await until("the blocks' status", patience, async () => {
    const block = ["get", "ipb", "vrf-200-10-150-0-0-26"];
    const use = await kubectl(lab, [...block, "-o", "jsonpath={.status.allocations}"]);
    return Object.keys(JSON.parse(use || "{}")).length === 3 ? true : undefined;
  });
  assert.match(await kubectl(lab, ["describe", "vrd", "tenant-a"]), /Type:\s+Ready/);
});

labTest(
  "pods start and end while kube-apiserver is away, and all holds when it is back",
  async () => {
    const [node] = lab.nodes;
    assert.ok(node);
    const pod: LabPod = {
      name: "extra",
      node: node.name,
      namespace: "team-a",
      tenant: "tenant-a",
    };
    const [known] = await announcePods(lab, [pod]);
    assert.ok(known);
    await untilKnown(node, dist, known);
    await killApiServer(lab);
    await assert.rejects(kubectl(lab, ["get", "vrd", "--request-timeout=2s"]));
    const address = addressOf(await startPod(node, dist, known));
    assert.match(address, /^10\.150\.0\./);
    await server.startApiServer();
    await until("the block to tell of the pod", patience, async () => {
      const block = await kubectl(lab, ["get", "ipb", "vrf-200-10-150-0-0-26", "-o", "json"]);
      return block.includes(`"${address}"`) ? true : undefined;
    });
    await stopPod(node, dist, known);
    assert.deepEqual(mismatches(await measureMatrix(lab, pods)), []);
  },
);

labTest("a domain with pods stays until they are gone, then leaves no block behind", async () => {
  await kubectl(lab, ["delete", "vrb", "team-b"]);
  await kubectl(lab, ["delete", "vrd", "tenant-b", "--wait=false"]);
  await until("the domain to say who holds it", patience, async () => {
    const states = await kubectl(lab, ["get", "vrns", "-o", "json"]);
    return states.includes("PodsAttached") ? true : undefined;
  });
  for (const pod of pods.filter(({ tenant }) => tenant === "tenant-b")) {
    const node = lab.nodes.find(({ name }) => name === pod.node);
    assert.ok(node);
    await stopPod(node, dist, pod);
  }
  await kubectl(lab, ["wait", "--for=delete", "vrd/tenant-b", `--timeout=${patience}s`]);
  assert.ok(!(await kubectl(lab, ["get", "ipb", "-o", "name"])).includes("vrf-300-"));
  pods = pods.filter((pod) => pod.tenant !== "tenant-b");
  assert.deepEqual(mismatches(await measureMatrix(lab, pods)), []);
});
