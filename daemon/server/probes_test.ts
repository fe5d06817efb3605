import assert from "node:assert/strict";
import { createMetrics } from "./metrics.ts";
import { type Readiness, serveProbes } from "./probes.ts";

const build = { version: "1.2.3", runtime: "2.9.6", backend: "netns" };

async function get(port: number, path: string, method = "GET"): Promise<[number, string]> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  return [response.status, await response.text()];
}

Deno.test("Probes tell liveness, readiness with its reasons, and metrics", async () => {
  let readiness: Readiness = { ready: false, reasons: ["caches not synced", "FRR away"] };
  const metrics = createMetrics(build);
  await using server = serveProbes(
    { hostname: "127.0.0.1", port: 0 },
    { readiness: () => readiness, metrics },
  );
  const { port } = server;
  assert.equal((await get(port, "/nothing"))[0], 404);
  assert.equal((await get(port, "/livez", "POST"))[0], 405);
  assert.deepEqual(await get(port, "/livez"), [200, "ok\n"]);
  assert.deepEqual(await get(port, "/readyz"), [
    503,
    "not ready\ncaches not synced\nFRR away\n",
  ]);
  readiness = { ready: true, reasons: [] };
  assert.deepEqual(await get(port, "/readyz"), [200, "ok\n"]);
  const [status, text] = await get(port, "/metrics");
  assert.equal(status, 200);
  assert.match(
    text,
    /pyroute2_cni_build_info\{version="1\.2\.3",runtime="2\.9\.6",backend="netns"\} 1/,
  );
});

Deno.test("Metrics count what was reported, and gauges forget what is gone", async () => {
  const metrics = createMetrics(build);
  metrics.operation("ADD", "ok", 0.003);
  metrics.operation("ADD", "error", 1);
  metrics.descriptorRefused("malformed");
  metrics.reconcile("ok", 0.2);
  metrics.setAttachments(new Map([[200, 3], [300, 1]]));
  metrics.setAttachments(new Map([[200, 2]]));
  metrics.setBlocks([{ cidr: "10.0.0.0/26", vrf: 200, allocated: 3, capacity: 61 }]);
  const lines = (await metrics.render()).split("\n");
  for (
    const line of [
      'pyroute2_cni_operations_total{verb="ADD",result="ok"} 1',
      'pyroute2_cni_operations_total{verb="ADD",result="error"} 1',
      'pyroute2_cni_operation_duration_seconds_bucket{le="0.005",verb="ADD"} 1',
      'pyroute2_cni_operation_duration_seconds_count{verb="ADD"} 2',
      'pyroute2_cni_descriptors_refused_total{reason="malformed"} 1',
      'pyroute2_cni_reconciles_total{result="ok"} 1',
      "pyroute2_cni_reconcile_duration_seconds_count 1",
      'pyroute2_cni_attachments{vrf="200"} 2',
      'pyroute2_cni_block_allocated{vrf="200",block="10.0.0.0/26"} 3',
      'pyroute2_cni_block_capacity{vrf="200",block="10.0.0.0/26"} 61',
    ]
  ) assert.ok(lines.includes(line), line);
  assert.ok(!lines.some((line) => line.includes('vrf="300"')));
});

Deno.test("Metrics tell at each look how each resource of the API is followed", async () => {
  const metrics = createMetrics(build);
  let contacts = [{ resource: "nodes", connected: true, restarts: 1 }];
  metrics.followApi(() => contacts);
  assert.match(await metrics.render(), /^pyroute2_cni_api_connected\{resource="nodes"\} 1$/m);
  contacts = [{ resource: "nodes", connected: false, restarts: 4 }];
  const text = await metrics.render();
  assert.match(text, /^pyroute2_cni_api_connected\{resource="nodes"\} 0$/m);
  assert.match(text, /^pyroute2_cni_api_restarts_total\{resource="nodes"\} 4$/m);
});

Deno.test("Two instances in one process do not share their numbers", async () => {
  const [one, other] = [createMetrics(build), createMetrics(build)];
  one.operation("DEL", "ok", 0.01);
  assert.ok(!(await other.render()).includes("DEL"));
});
