import assert from "node:assert/strict";
import { KernelError } from "../kernel/errors.ts";
import type { Underlay } from "../kernel/port.ts";
import { createEventRecorder } from "../kube/events.ts";
import type { ResourceClient } from "../kube/port.ts";
import { type RunningCache, startCache } from "../kube/resource_cache.ts";
import { createResourceClient } from "../kube/resource_client.ts";
import { EmbeddedApi, quiet } from "../kube/testing/embedded_api.ts";
import { eventually } from "../kube/testing/eventually.ts";
import { findCondition } from "../resources/conditions.ts";
import { type Event, eventKind } from "../resources/core.ts";
import {
  type VRFNodeConfig,
  vrfNodeConfigKind,
  type VRFNodeConfigSpec,
} from "../resources/vrf_node_config.ts";
import { createNodeConfigController, type NodeConfigController } from "./node_config_controller.ts";
import type { NodeConfigProgress } from "./node_config_status.ts";

const frr = { ready: true };

/** A controller on the embedded API, for a node whose interfaces the test sets. */
class Bench implements AsyncDisposable {
  readonly configs: ResourceClient<VRFNodeConfig>;
  readonly events: ResourceClient<Event>;
  readonly controller: NodeConfigController;
  /** Interface names and their address. */
  readonly interfaces = new Map([["eth0", "192.0.2.1"], ["eth1", "198.51.100.1"]]);
  progress: Partial<NodeConfigProgress> = { frr };
  readonly #api: EmbeddedApi;
  readonly #cache: RunningCache<VRFNodeConfig>;
  readonly #stop = new AbortController();

  private constructor(api: EmbeddedApi) {
    this.#api = api;
    this.configs = createResourceClient(api.connection, vrfNodeConfigKind);
    this.events = createResourceClient(api.connection, eventKind);
    const { signal } = this.#stop;
    this.#cache = startCache({
      connection: api.connection,
      resource: vrfNodeConfigKind,
      log: quiet,
    });
    this.controller = createNodeConfigController({
      configs: { cache: this.#cache, client: this.configs },
      nodeName: "n1",
      kernel: { underlay: (hint) => this.#underlay(hint) },
      events: createEventRecorder({
        client: this.events,
        component: "test",
        host: "n1",
        log: quiet,
        signal,
      }),
      log: quiet,
      signal,
      debounceMs: 1,
    });
    this.#cache.subscribe(() => this.run());
  }

  static async start(): Promise<Bench> {
    return new Bench(await EmbeddedApi.start());
  }

  /** A run of the reconciler, as far as the controller sees it. */
  run(): string | undefined {
    const used = this.controller.accepted();
    const [wanted] = used?.spec.interfaces ?? [];
    const hint = wanted && { ifname: wanted.name, address: wanted.local };
    this.controller.reported({
      underlay: this.#underlay(hint),
      frr: undefined,
      problems: [],
      ...this.progress,
    });
    return used?.metadata.name;
  }

  create(name: string, spec: Partial<VRFNodeConfigSpec>): Promise<VRFNodeConfig> {
    return this.configs.create({
      metadata: { name },
      spec: { nodeRef: { name: "n1" }, interfaces: [], ...spec },
    });
  }

  async expect(name: string, type: string, wanted: RegExp): Promise<void> {
    let seen = "";
    await eventually(`${type} of ${name} is ${wanted}`, async () => {
      const status = (await this.configs.get(name))?.status;
      const found = findCondition(status?.conditions, type);
      seen = `${found?.status} ${found?.reason} ${found?.message}`;
      return wanted.test(seen);
    }).catch((error) => {
      throw new Error(`${error.message}, but ${seen}`);
    });
  }

  #underlay(hint: { ifname: string; address: string } | undefined): Underlay {
    const ifname = hint?.ifname ?? "eth0";
    const address = this.interfaces.get(ifname);
    if (address === undefined) {
      throw new KernelError("UnderlayNotFound", `Expected the interface "${ifname}", found none`);
    }
    if (hint !== undefined && ![...this.interfaces.values()].includes(hint.address)) {
      throw new KernelError("UnderlayAddressNotFound", `Expected "${hint.address}", found none`);
    }
    return { ifname, ifindex: 1, address: hint?.address ?? address, mtu: 1500 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("stopped"));
    await this.controller.stopped;
    await this.#cache[Symbol.asyncDispose]();
    await this.#api[Symbol.asyncDispose]();
  }
}

Deno.test("settings that the node cannot use are refused with the reason, and the default route holds", async () => {
  await using bench = await Bench.start();
  const bad: [string, string, string][] = [
    ["eth7", "192.0.2.1", "InterfaceNotFound"],
    ["eth1", "203.0.113.9", "AddressNotFound"],
    ["eth1", "2001:db8::9", "AddressNotFound"],
  ];
  await bench.create("mine", {});
  await bench.expect("mine", "Accepted", /^True/);
  for (const [name, local, reason] of bad) {
    await bench.configs.patch("mine", { spec: { interfaces: [{ name, local }] } });
    await bench.expect("mine", "Accepted", new RegExp(`^False ${reason} `));
    await bench.expect("mine", "Ready", /^False Refused /);
    assert.equal(bench.run(), undefined);
  }
  const { status } = await bench.configs.get("mine") ?? {};
  assert.deepEqual([status?.accepted, status?.ready, status?.interfacesCount], [false, false, 1]);
  await bench.configs.patch("mine", {
    spec: { interfaces: [{ name: "eth1", local: "198.51.100.1" }] },
  });
  await bench.expect("mine", "Ready", /^True Applied/);
  assert.equal(bench.run(), "mine");
});

Deno.test("an interface that goes takes the acceptance with it, and it comes back with it", async () => {
  await using bench = await Bench.start();
  await bench.create("mine", { interfaces: [{ name: "eth1", local: "198.51.100.1" }] });
  await bench.expect("mine", "Ready", /^True/);
  bench.interfaces.delete("eth1");
  assert.equal(bench.run(), undefined);
  await bench.expect("mine", "Accepted", /^False InterfaceNotFound/);
  bench.interfaces.set("eth1", "198.51.100.1");
  assert.equal(bench.run(), "mine");
  await bench.expect("mine", "Ready", /^True/);
});

Deno.test("of two that name the node the older counts, and the other once it is gone", async () => {
  await using bench = await Bench.start();
  await bench.create("a", {});
  await bench.expect("a", "Accepted", /^True/);
  await bench.create("0-later-in-time", {});
  await bench.create("b", { nodeRef: { name: "n2" } });
  const later = await bench.configs.get("0-later-in-time");
  const first = await bench.configs.get("a");
  const sameSecond = later?.metadata.creationTimestamp === first?.metadata.creationTimestamp;
  const [used, refused] = sameSecond ? ["0-later-in-time", "a"] : ["a", "0-later-in-time"];
  await bench.expect(refused, "Accepted", new RegExp(`^False NodeConfigured .*"${used}"`));
  await eventually("the older is used", () => bench.run() === used);
  await bench.configs.delete(used);
  await bench.expect(refused, "Accepted", /^True/);
  assert.equal((await bench.configs.get("b"))?.status, undefined, "another node's is left alone");
});

Deno.test("readiness follows the run: the underlay, FRR, FRR's refusal", async () => {
  await using bench = await Bench.start();
  bench.progress = { underlay: undefined, problems: ["no default route"] };
  await bench.create("mine", {
    routeReflectors: ["192.0.2.250", "192.0.2.251"],
    interfaces: [{ name: "eth1", local: "198.51.100.1" }],
  });
  await bench.expect("mine", "Ready", /^False NotApplied no default route/);
  bench.progress = { underlay: { ifname: "eth0", ifindex: 1, address: "192.0.2.1", mtu: 1500 } };
  bench.run();
  await bench.expect("mine", "Ready", /^False Applying .*"192.0.2.1"/);
  bench.progress = {};
  bench.run();
  await bench.expect("mine", "Ready", /^False FrrUnavailable/);
  bench.progress = { frr, frrFailure: { reason: "FrrRefused", message: "line 3" } };
  bench.run();
  await bench.expect("mine", "Ready", /^False FrrRefused line 3/);
  bench.progress = { frr };
  bench.run();
  await bench.expect("mine", "Ready", /^True Applied/);
  const status = (await bench.configs.get("mine"))?.status;
  assert.deepEqual([status?.accepted, status?.ready], [true, true]);
  assert.deepEqual([status?.routeReflectorsCount, status?.interfacesCount], [2, 1]);
});

Deno.test("an unchanged status is not written, and a change moves only its own transition time", async () => {
  await using bench = await Bench.start();
  await bench.create("mine", {});
  await bench.expect("mine", "Ready", /^True/);
  const before = await bench.configs.get("mine");
  bench.run();
  await bench.configs.patch("mine", { spec: { routerId: "192.0.2.77" } });
  await eventually("the new generation is looked at", async () => {
    const found = (await bench.configs.get("mine"))?.status?.conditions;
    return findCondition(found, "Ready")?.observedGeneration === 2 &&
      findCondition(found, "Accepted")?.observedGeneration === 2;
  });
  const after = await bench.configs.get("mine");
  for (const type of ["Accepted", "Ready"]) {
    assert.equal(
      findCondition(after?.status?.conditions, type)?.lastTransitionTime,
      findCondition(before?.status?.conditions, type)?.lastTransitionTime,
    );
  }
  // One write for the patch of the spec, one for the status: what did not change was not written.
  const writes = Number(after?.metadata.resourceVersion) - Number(before?.metadata.resourceVersion);
  assert.equal(writes, 2);
});

Deno.test("a refusal is told by one event", async () => {
  await using bench = await Bench.start();
  await bench.create("mine", { interfaces: [{ name: "eth7", local: "192.0.2.1" }] });
  await bench.expect("mine", "Accepted", /^False/);
  bench.run();
  await eventually("it is told", async () => (await bench.events.list()).length === 1);
  const [event] = await bench.events.list();
  assert.deepEqual([event?.reason, event?.involvedObject.name, event?.count], [
    "InterfaceNotFound",
    "mine",
    1,
  ]);
});

Deno.test("settings in use tell what is wrong with them for longer by an event, and what they warn of", async () => {
  await using bench = await Bench.start();
  await bench.create("mine", {});
  await bench.expect("mine", "Ready", /^True Applied $/);
  const told = () => bench.events.list().then((all) => all.map(({ message }) => message));
  const over = (shut: boolean, message: string) => ({ address: "192.0.2.9", shut, message });
  bench.progress = { frr, overLimit: [over(false, "more than 5")] };
  bench.run();
  await bench.expect("mine", "Ready", /^True Applied more than 5$/);
  bench.progress = {
    frr,
    frrFailure: { reason: "MaxPrefixesExceeded", message: "7 of 5" },
    overLimit: [over(true, "7 of 5")],
  };
  bench.run();
  await bench.expect("mine", "Ready", /^False MaxPrefixesExceeded 7 of 5$/);
  // What passes by itself is no event.
  bench.progress = { frr: undefined };
  bench.run();
  await bench.expect("mine", "Ready", /^False FrrUnavailable/);
  await eventually("both are told", async () => (await told()).length === 2);
  assert.deepEqual((await told()).toSorted(), ["7 of 5", "more than 5"]);
  bench.progress = { frr };
  bench.run();
  await bench.expect("mine", "Ready", /^True Applied $/);
  assert.equal((await told()).length, 2);
});
