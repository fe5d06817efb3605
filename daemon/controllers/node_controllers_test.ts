import assert from "node:assert/strict";
import type { PoolProblem } from "../ipam/port.ts";
import type { KubeObject } from "../kube/port.ts";
import { type RunningCache, startCache } from "../kube/resource_cache.ts";
import { createResourceClient } from "../kube/resource_client.ts";
import { domain } from "../kube/testing/case_api.ts";
import { EmbeddedApi, quiet } from "../kube/testing/embedded_api.ts";
import { eventually } from "../kube/testing/eventually.ts";
import { cniConfigKind } from "../resources/cni_config.ts";
import { cniConfigSelectionKind } from "../resources/cni_config_selection.ts";
import { eventKind } from "../resources/core.ts";
import type { ResourceKind } from "../resources/kind.ts";
import { vrfDomainKind } from "../resources/vrf_domain.ts";
import { vrfNodeConfigKind } from "../resources/vrf_node_config.ts";
import { vrfNodeStateKind } from "../resources/vrf_node_state.ts";
import { startNodeControllers } from "./node_controllers.ts";

Deno.test("an exhausted prefix and a refusal of FRR become one event each, however many runs there are", async () => {
  await using stack = new AsyncDisposableStack();
  const api = stack.use(await EmbeddedApi.start());
  const follow = <T extends KubeObject>(resource: ResourceKind<T>) => {
    const cache: RunningCache<T> = stack.use(
      startCache({ connection: api.connection, resource, log: quiet }),
    );
    return { cache, client: createResourceClient(api.connection, resource) };
  };
  const resources = {
    nodeConfigs: follow(vrfNodeConfigKind),
    nodeStates: follow(vrfNodeStateKind),
    cniConfigs: follow(cniConfigKind),
    cniConfigSelections: follow(cniConfigSelectionKind),
  };
  const blue = await createResourceClient(api.connection, vrfDomainKind)
    .create(domain("blue", 200));
  await resources.nodeStates.client.create({ metadata: { name: "n1" } });
  await eventually("it is seen", () => resources.nodeStates.cache.get("n1") !== undefined);
  const problems: PoolProblem[] = [{ vrf: 200, code: "BlocksExhausted", message: "none is left" }];
  const events = createResourceClient(api.connection, eventKind);
  const stop = new AbortController();
  const underlay = { ifname: "eth0", ifindex: 1, address: "192.0.2.1", mtu: 1500 };
  const controllers = startNodeControllers({
    resources,
    events,
    domains: () => [blue],
    poolProblems: () => problems,
    nodeName: "n1",
    kernel: { underlay: () => underlay },
    state: { amend() {} },
    cniConfigDir: "/nonexistent/pr2t",
    allowedPlugins: [],
    resyncMs: 1_000,
    log: quiet,
    signal: stop.signal,
  });
  stack.defer(async () => {
    stop.abort(new Error("stopped"));
    await controllers.stopped;
  });
  assert.equal(controllers.acceptedConfig(), undefined);
  const frrFailure = { reason: "FrrRefused", message: "line 3: % Unknown command" };
  const report = { domains: [], policies: [], frr: undefined, frrFailure, problems: [], underlay };
  for (let run = 0; run < 5; run++) controllers.reported(report, true);
  await eventually("both are told", async () => (await events.list()).length === 2);
  for (let run = 0; run < 5; run++) controllers.reported(report, true);
  const told = (await events.list()).map(({ involvedObject, reason, count, type }) =>
    [involvedObject.kind, involvedObject.name, type, reason, count].join(" ")
  );
  assert.deepEqual(told.sort(), [
    "VRFDomain blue Warning BlocksExhausted 1",
    "VRFNodeState n1 Warning FrrRefused 1",
  ]);
});
