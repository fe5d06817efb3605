import assert from "node:assert/strict";
import type { KubeObject, ResourceClient } from "../kube/port.ts";
import { type RunningCache, startCache } from "../kube/resource_cache.ts";
import { createResourceClient } from "../kube/resource_client.ts";
import { EmbeddedApi, quiet } from "../kube/testing/embedded_api.ts";
import { eventually } from "../kube/testing/eventually.ts";
import { findCondition } from "../resources/conditions.ts";
import { cniConfigKind } from "../resources/cni_config.ts";
import { cniConfigSelectionKind } from "../resources/cni_config_selection.ts";
import { eventKind, leaseKind, nodeKind } from "../resources/core.ts";
import { ipBlockKind } from "../resources/ip_block.ts";
import type { ResourceKind } from "../resources/kind.ts";
import { type VRFDomain, vrfDomainKind, type VRFDomainSpec } from "../resources/vrf_domain.ts";
import { vrfDomainBindingKind } from "../resources/vrf_domain_binding.ts";
import { type NodeDomainState, vrfNodeStateKind } from "../resources/vrf_node_state.ts";
import { vrfRoutingPolicyKind } from "../resources/vrf_routing_policy.ts";
import { startManager } from "./manager.ts";
import { vrfDomainFinalizer } from "./vrf_domain_controller.ts";

function spec(vrf: number): VRFDomainSpec {
  return {
    vrf,
    table: vrf + 2000,
    prefix: "10.150.0.0",
    prefixlen: 16,
    ipblocklen: 26,
    attachments: [{ type: "l3vni", vni: vrf + 50000, port: 4789 }],
  };
}

/** A manager on the embedded API, with clients to play the nodes and the operator. */
class Bench implements AsyncDisposable {
  readonly domains: ResourceClient<VRFDomain>;
  readonly #api: EmbeddedApi;
  readonly #stop = new AbortController();
  readonly #caches: RunningCache<KubeObject>[] = [];
  readonly #stopped: Promise<void>;
  readonly bindings;
  readonly blocks;
  readonly nodes;
  readonly nodeStates;
  readonly policies;
  readonly events;

  private constructor(api: EmbeddedApi, blockGraceMs: number) {
    this.#api = api;
    const follow = <T extends KubeObject>(resource: ResourceKind<T>) => {
      const cache = startCache({ connection: api.connection, resource, log: quiet });
      this.#caches.push(cache);
      return { cache, client: createResourceClient(api.connection, resource) };
    };
    const resources = {
      domains: follow(vrfDomainKind),
      bindings: follow(vrfDomainBindingKind),
      blocks: follow(ipBlockKind),
      nodes: follow(nodeKind),
      nodeStates: { client: createResourceClient(api.connection, vrfNodeStateKind) },
      policies: follow(vrfRoutingPolicyKind),
      cniConfigs: follow(cniConfigKind),
      cniConfigSelections: follow(cniConfigSelectionKind),
    };
    this.domains = resources.domains.client;
    this.bindings = resources.bindings.client;
    this.blocks = resources.blocks.client;
    this.nodes = resources.nodes.client;
    this.nodeStates = resources.nodeStates.client;
    this.policies = resources.policies.client;
    this.events = createResourceClient(api.connection, eventKind);
    this.#stopped = startManager({
      resources,
      followNodeStates: () =>
        startCache({ connection: api.connection, resource: vrfNodeStateKind, log: quiet }),
      leases: createResourceClient(api.connection, leaseKind),
      events: this.events,
      nodeName: "manager",
      serviceVrfMax: 512,
      asn: 65000,
      allowedPlugins: ["pyroute2-cni-plugin"],
      defaultDomain: { name: "vrf-42", spec: { ...spec(42), table: 42 } },
      log: quiet,
      signal: this.#stop.signal,
      timing: { retryPeriodMs: 20, debounceMs: 1, maxDelayMs: 10, blockGraceMs },
    }).stopped;
  }

  static async start(blockGraceMs = 1_000_000): Promise<Bench> {
    return new Bench(await EmbeddedApi.start(), blockGraceMs);
  }

  /** A node with the daemon, or without it. */
  async addNode(name: string, daemon = true): Promise<void> {
    await this.nodes.create({ metadata: { name } });
    if (daemon) await this.nodeStates.create({ metadata: { name } });
  }

  async report(
    node: string,
    ...shares: [VRFDomain, NodeDomainState["phase"], string?][]
  ): Promise<void> {
    const domains = shares.map(([{ metadata }, phase, message = ""]): NodeDomainState => ({
      name: metadata.name,
      uid: metadata.uid ?? "",
      generation: metadata.generation ?? 0,
      phase,
      reason: phase === "Failed" ? "KernelFailed" : phase,
      message,
    }));
    await this.nodeStates.patchStatus(node, { status: { domains } });
  }

  async condition(name: string, type: string): Promise<string> {
    const found = findCondition((await this.domains.get(name))?.status?.conditions, type);
    return found === undefined ? "" : `${found.status} ${found.reason} ${found.message}`;
  }

  async expect(name: string, type: string, wanted: RegExp): Promise<void> {
    await eventually(
      `${type} of ${name} is ${wanted}`,
      async () => wanted.test(await this.condition(name, type)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("stopped"));
    await this.#stopped;
    for (const cache of this.#caches) await cache[Symbol.asyncDispose]();
    await this.#api[Symbol.asyncDispose]();
  }
}

Deno.test("without any domain the default one comes into being, and not beside another", async () => {
  await using bench = await Bench.start();
  await eventually("it is there", async () => (await bench.domains.list()).length === 1);
  const made = await bench.domains.get("vrf-42");
  assert.equal(made?.spec.table, 42);
  await bench.domains.create({ metadata: { name: "blue" }, spec: spec(200) });
  await bench.expect("blue", "Accepted", /^True/);
  await bench.domains.delete("vrf-42");
  await eventually("it goes", async () => (await bench.domains.list()).length === 1);
  await bench.domains.patch("blue", { spec: { attachments: [] } });
  await eventually("the change is seen", async () => {
    const blue = await bench.domains.get("blue");
    return findCondition(blue?.status?.conditions, "Accepted")?.observedGeneration === 2;
  });
  assert.deepEqual((await bench.domains.list()).map(({ metadata }) => metadata.name), ["blue"]);
});

Deno.test("a domain goes only when each live node and each block has let go of it", async () => {
  await using bench = await Bench.start();
  for (const node of ["n1", "n2", "gone"]) await bench.addNode(node);
  await bench.addNode("without-daemon", false);
  const blue = await bench.domains.create({ metadata: { name: "blue" }, spec: spec(200) });
  await eventually(
    "the finalizer is there",
    async () =>
      (await bench.domains.get("blue"))?.metadata.finalizers?.includes(vrfDomainFinalizer) === true,
  );
  for (const node of ["n1", "n2", "gone"]) await bench.report(node, [blue, "Ready"]);
  await bench.blocks.create({
    metadata: { name: "vrf-200-10-150-0-0-26" },
    spec: { cidr: "10.150.0.0/26", nodeName: "n1", vrfTable: 200 },
  });
  await bench.expect("blue", "Ready", /^True Applied/);
  assert.deepEqual((await bench.domains.get("blue"))?.status?.nodes, { ready: 3, total: 3 });

  await bench.domains.delete("blue");
  await bench.expect(
    "blue",
    "Ready",
    /Deleting nodes still carry it: .*n1.*n2.*IPBlocks remain: vrf-200/,
  );
  await bench.nodes.delete("gone");
  await bench.report("n1");
  await bench.expect("blue", "Ready", /nodes still carry it: n2; IPBlocks/);
  await bench.report("n2", [blue, "Removing"]);
  await bench.blocks.delete("vrf-200-10-150-0-0-26");
  await bench.expect("blue", "Ready", /nodes still carry it: n2$/);
  await bench.report("n2");
  await eventually("it is gone", async () => await bench.domains.get("blue") === undefined);
});

Deno.test("readiness names the nodes that are behind and why", async () => {
  await using bench = await Bench.start();
  for (const node of ["n1", "n2"]) await bench.addNode(node);
  const blue = await bench.domains.create({ metadata: { name: "blue" }, spec: spec(200) });
  await bench.expect("blue", "Ready", /^False Applying n1: does not carry it yet; n2/);
  await bench.report("n1", [blue, "Ready"]);
  await bench.report("n2", [blue, "Failed", "no vrf link"]);
  await bench.expect("blue", "Ready", /^False KernelFailed n2: Failed, KernelFailed: no vrf link$/);
  await bench.report("n2", [blue, "Ready"]);
  await bench.expect("blue", "Ready", /^True/);
  const changed = await bench.domains.patch("blue", { spec: { attachments: [] } });
  await bench.expect("blue", "Ready", /^False Applying n1: carries generation 1; n2/);
  for (const node of ["n1", "n2"]) await bench.report(node, [changed, "Ready"]);
  await bench.expect("blue", "Ready", /^True/);
});

Deno.test("a domain that contradicts another is refused and can be deleted while the other works", async () => {
  await using bench = await Bench.start();
  await bench.addNode("n1");
  const blue = await bench.domains.create({ metadata: { name: "blue" }, spec: spec(200) });
  await bench.report("n1", [blue, "Ready"]);
  await bench.expect("blue", "Ready", /^True/);
  await bench.domains.create({ metadata: { name: "late" }, spec: { ...spec(201), vrf: 200 } });
  await bench.expect("late", "Accepted", /^False VRFInUse .*"blue"/);
  await bench.expect("blue", "Accepted", /^True/);
  await bench.blocks.create({
    metadata: { name: "vrf-200-10-150-0-0-26" },
    spec: { cidr: "10.150.0.0/26", nodeName: "n1", vrfTable: 200 },
  });
  await bench.domains.delete("late");
  await eventually("it is gone", async () => await bench.domains.get("late") === undefined);
  assert.notEqual(await bench.blocks.get("vrf-200-10-150-0-0-26"), undefined);
});

Deno.test("a binding says whether it counts", async () => {
  await using bench = await Bench.start();
  await bench.domains.create({ metadata: { name: "blue" }, spec: spec(200) });
  const bind = (name: string, namespace: string, domain: string) =>
    bench.bindings.create({
      metadata: { name },
      spec: { namespaceRef: { name: namespace }, vrfDomainRef: { name: domain } },
    });
  await bind("a", "shop", "blue");
  await bind("b", "shop", "blue");
  await bind("c", "other", "none");
  const reason = async (name: string) =>
    findCondition((await bench.bindings.get(name))?.status?.conditions, "Accepted")?.reason;
  await eventually("a counts", async () => await reason("a") === "Accepted");
  await eventually("b does not", async () => await reason("b") === "NamespaceBound");
  await eventually("c does not", async () => await reason("c") === "DomainNotFound");
  await bench.bindings.delete("a");
  await eventually("b counts now", async () => await reason("b") === "Accepted");
});

Deno.test("blocks of a node that is gone are released, those of other nodes stay", async () => {
  await using bench = await Bench.start(1);
  await bench.addNode("n1");
  for (const [third, nodeName] of [[0, "n1"], [64, "never"]] as const) {
    await bench.blocks.create({
      metadata: { name: `vrf-200-10-150-0-${third}-26` },
      spec: { cidr: `10.150.0.${third}/26`, nodeName, vrfTable: 200 },
    });
  }
  await eventually("one is left", async () => (await bench.blocks.list()).length === 1);
  assert.equal((await bench.blocks.list())[0]?.spec.nodeName, "n1");
});

Deno.test("a block whose name is not that of its spec is refused, and no other is touched", async () => {
  await using bench = await Bench.start();
  await bench.addNode("n1");
  const spec = { cidr: "10.150.0.0/26", nodeName: "n1", vrfTable: 200 };
  const [right, wrong] = ["vrf-200-10-150-0-0-26", "blue-on-n1"];
  for (const name of [right, wrong]) await bench.blocks.create({ metadata: { name }, spec });
  const conditions = async (name: string) =>
    ((await bench.blocks.get(name))?.status?.conditions ?? []).map(
      ({ type, status, reason, observedGeneration }) =>
        `${type} ${status} ${reason} ${observedGeneration}`,
    );
  await eventually("it is refused", async () => (await conditions(wrong)).length > 0);
  assert.deepEqual(await conditions(wrong), [
    "Accepted False NameMismatch 1",
    "Ready False Refused 1",
  ]);
  await eventually("an event tells", async () => {
    const [event] = await bench.events.list();
    return event?.reason === "NameMismatch" && event.involvedObject.name === wrong &&
      event.message?.includes(`"${right}"`) === true;
  });
  assert.deepEqual(await conditions(right), []);
});

Deno.test("a routing policy says whether its domain exists, and follows it", async () => {
  await using bench = await Bench.start();
  const policy = await bench.policies.create({
    metadata: { name: "east" },
    spec: { vrfDomainRef: { name: "blue" }, match: [{ dst: "192.0.2.0/24" }] },
  });
  const accepted = async () =>
    findCondition((await bench.policies.get("east"))?.status?.conditions, "Accepted");
  await eventually("it waits", async () => (await accepted())?.reason === "DomainNotFound");
  assert.equal((await accepted())?.observedGeneration, policy.metadata.generation);
  await bench.domains.create({ metadata: { name: "blue" }, spec: spec(200) });
  await eventually("it counts", async () => (await accepted())?.status === "True");
  await bench.domains.create({ metadata: { name: "late" }, spec: spec(200) });
  await bench.expect("late", "Accepted", /^False/);
  await bench.policies.patch("east", { spec: { vrfDomainRef: { name: "late" } } });
  await eventually("it is refused", async () => (await accepted())?.reason === "DomainRefused");
});

Deno.test("a refusal is told once, by an event about the refused object", async () => {
  await using bench = await Bench.start();
  await bench.domains.create({ metadata: { name: "blue" }, spec: spec(200) });
  await bench.domains.create({ metadata: { name: "late" }, spec: { ...spec(201), vrf: 200 } });
  await bench.expect("late", "Accepted", /^False/);
  const about = async (name: string) =>
    (await bench.events.list()).filter(({ involvedObject }) => involvedObject.name === name);
  await eventually("it is told", async () => (await about("late")).length === 1);
  for (const vni of [27, 28, 29]) {
    await bench.domains.patch("blue", { spec: { attachments: [{ type: "l3vni", vni }] } });
    await eventually("the change is seen", async () => {
      const { metadata, status } = await bench.domains.get("blue") ?? {};
      return findCondition(status?.conditions, "Accepted")?.observedGeneration ===
        metadata?.generation;
    });
  }
  const [event] = await about("late");
  assert.equal(event?.reason, "VRFInUse");
  assert.equal(event?.involvedObject.kind, "VRFDomain");
  assert.equal(event?.count, 1);
  assert.deepEqual(await about("blue"), []);
});
