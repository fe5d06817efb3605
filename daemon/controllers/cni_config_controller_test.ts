import assert from "node:assert/strict";
import { createEventRecorder } from "../kube/events.ts";
import type { KubeObject, ResourceClient } from "../kube/port.ts";
import { type RunningCache, startCache } from "../kube/resource_cache.ts";
import { createResourceClient } from "../kube/resource_client.ts";
import { EmbeddedApi, quiet } from "../kube/testing/embedded_api.ts";
import { eventually } from "../kube/testing/eventually.ts";
import { type CNIConfig, cniConfigKind, type CNIConfigSpec } from "../resources/cni_config.ts";
import { cniConfigSelectionKind } from "../resources/cni_config_selection.ts";
import { findCondition } from "../resources/conditions.ts";
import { eventKind, nodeKind } from "../resources/core.ts";
import type { ResourceKind } from "../resources/kind.ts";
import { vrfNodeStateKind, type VRFNodeStateStatus } from "../resources/vrf_node_state.ts";
import { createCniConfigController } from "./cni_config_controller.ts";
import { startConflistWriter } from "./conflist_writer.ts";
import { createNodeStateWriter } from "./node_state_writer.ts";

const allowed = ["pyroute2-cni-plugin", "portmap"];
const plugins = [{ type: "pyroute2-cni-plugin" }];
const emptyStatus: VRFNodeStateStatus = {
  ready: true,
  domains: [],
  policies: [],
  domainsReady: 0,
  peers: [],
  peersUp: 0,
  vnis: [],
  blocks: 0,
  conditions: [],
};

/** The manager's part, and a node's with a folder for each name, on the embedded API. */
class Bench implements AsyncDisposable {
  readonly configs: ResourceClient<CNIConfig>;
  readonly selections;
  readonly states;
  readonly events;
  readonly #nodes;
  readonly #api: EmbeddedApi;
  readonly #resources;
  readonly #root = Deno.makeTempDirSync({ prefix: "pr2t-" });
  readonly #caches: RunningCache<KubeObject>[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[] = [];

  private constructor(api: EmbeddedApi) {
    this.#api = api;
    const follow = <T extends KubeObject>(resource: ResourceKind<T>) => {
      const cache = startCache({ connection: api.connection, resource, log: quiet });
      this.#caches.push(cache);
      return { cache, client: createResourceClient(api.connection, resource) };
    };
    this.#resources = {
      cniConfigs: follow(cniConfigKind),
      cniConfigSelections: follow(cniConfigSelectionKind),
      nodes: follow(nodeKind),
      nodeStates: follow(vrfNodeStateKind),
    };
    this.configs = this.#resources.cniConfigs.client;
    this.selections = this.#resources.cniConfigSelections.client;
    this.states = this.#resources.nodeStates.client;
    this.#nodes = this.#resources.nodes.client;
    this.events = createResourceClient(api.connection, eventKind);
    const { signal } = this.#stop;
    const recorder = createEventRecorder({
      client: this.events,
      component: "test",
      host: "manager",
      log: quiet,
      signal,
    });
    const controller = createCniConfigController({
      resources: this.#resources,
      allowedPlugins: allowed,
      events: recorder,
      log: quiet,
      timing: { debounceMs: 1, maxDelayMs: 10 },
    });
    this.#running.push(controller.run(signal));
  }

  static async start(): Promise<Bench> {
    return new Bench(await EmbeddedApi.start());
  }

  /** Starts a node's daemon, as far as it writes lists. */
  async startNode(name: string, allowedPlugins = allowed) {
    if (await this.#nodes.get(name) === undefined) await this.#nodes.create({ metadata: { name } });
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#stop.signal]);
    const state = createNodeStateWriter({
      client: this.states,
      nodeName: name,
      log: quiet,
      signal,
      intervalMs: 1,
      retry: { baseMs: 1, maxMs: 5 },
    });
    state.publish(emptyStatus);
    const writer = startConflistWriter({
      configs: this.#resources.cniConfigs.cache,
      selections: this.#resources.cniConfigSelections.cache,
      directory: this.folder(name),
      allowedPlugins,
      state,
      log: quiet,
      signal,
      resyncMs: 50,
      debounceMs: 1,
    });
    const stopped = Promise.all([writer.stopped, state.stopped]).then(() => undefined);
    this.#running.push(stopped);
    return {
      ready: () => writer.nodeReady(),
      stop: async () => {
        stop.abort(new Error("stopped"));
        await stopped;
      },
    };
  }

  folder(node: string): string {
    return `${this.#root}/${node}`;
  }

  /** The plugins that the runtime would run on a node, by file. */
  async files(node: string): Promise<Record<string, string[]>> {
    const found: Record<string, string[]> = {};
    try {
      for await (const { name } of Deno.readDir(this.folder(node))) {
        if (name.startsWith(".")) continue;
        const list = JSON.parse(await Deno.readTextFile(`${this.folder(node)}/${name}`));
        found[name] = list.plugins.map(({ type }: { type: string }) => type);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return found;
  }

  async expectFiles(node: string, wanted: Record<string, string[]>): Promise<void> {
    const text = JSON.stringify(wanted);
    await eventually(
      `${node} has ${text}`,
      async () => JSON.stringify(await this.files(node)) === text,
    );
  }

  create(name: string, given: Partial<CNIConfigSpec> = {}): Promise<CNIConfig> {
    return this.configs.create({
      metadata: { name },
      spec: { fileName: `${name}.conflist`, enabled: true, priority: 0, plugins, ...given },
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

  async expectActive(name: string | undefined): Promise<void> {
    await eventually(
      `${name} is selected`,
      async () => (await this.selections.get("default"))?.spec.activeRef.name === name,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("stopped"));
    await Promise.all(this.#running);
    for (const cache of this.#caches) await cache[Symbol.asyncDispose]();
    await this.#api[Symbol.asyncDispose]();
    Deno.removeSync(this.#root, { recursive: true });
  }
}

const ours = ["pyroute2-cni-plugin"];

Deno.test("a list with a plugin that is not allowed is refused, told, and written by nobody", async () => {
  await using bench = await Bench.start();
  (await bench.startNode("n1")).ready();
  await bench.create("evil", { priority: 9, plugins: [...plugins, { type: "sh" }] });
  await bench.expect("evil", "Accepted", /^False PluginNotAllowed .*"sh"/);
  await bench.expect("evil", "Ready", /^False Refused/);
  assert.equal(await bench.selections.get("default"), undefined);
  await bench.create("good");
  await bench.expect("good", "Ready", /^True Applied/);
  assert.deepEqual(await bench.files("n1"), { "good.conflist": ours });
  await eventually("it is told", async () => (await bench.events.list()).length === 1);
  // Whoever may write a selection is stopped by the node itself.
  await bench.configs.patch("evil", { spec: { priority: 1 } });
  await bench.selections.patch("default", { spec: { activeRef: { name: "evil" } } });
  await bench.expectActive("good");
  assert.deepEqual(await bench.files("n1"), { "good.conflist": ours });
});

Deno.test("a node writes only what its own configuration allows, and says why not", async () => {
  await using bench = await Bench.start();
  (await bench.startNode("strict", ["pyroute2-cni-plugin"])).ready();
  (await bench.startNode("n1")).ready();
  await bench.create("a", { plugins: [...plugins, { type: "portmap" }] });
  await bench.expect("a", "Ready", /^False Applying strict: PluginNotAllowed: .*"portmap"/);
  await bench.expectFiles("n1", { "a.conflist": [...ours, "portmap"] });
  assert.deepEqual(await bench.files("strict"), {});
  await eventually(
    "the other node to be counted",
    async () => (await bench.configs.get("a"))?.status?.nodes?.applied === 1,
  );
});

Deno.test("the list of highest priority is written, and follows priority, switch and deletion", async () => {
  await using bench = await Bench.start();
  for (const name of ["n1", "n2"]) (await bench.startNode(name)).ready();
  await bench.create("a");
  await bench.expect("a", "Ready", /^True Applied/);
  await bench.create("b", { priority: 5, fileName: "01-b.conflist" });
  await bench.expect("b", "Ready", /^True Applied/);
  await bench.expect("a", "Ready", /^False Superseded .*"b"/);
  for (const name of ["n1", "n2"]) await bench.expectFiles(name, { "01-b.conflist": ours });
  const statuses = (await bench.configs.list()).map(({ status }) => [
    status?.active,
    status?.nodes?.applied,
  ]);
  assert.deepEqual(statuses, [[false, 0], [true, 2]]);
  await bench.configs.patch("b", { spec: { enabled: false } });
  await bench.expect("b", "Ready", /^False Disabled/);
  await bench.expectFiles("n1", { "a.conflist": ours });
  await bench.configs.patch("b", { spec: { enabled: true } });
  await bench.expect("b", "Ready", /^True Applied/);
  await bench.configs.delete("b");
  await bench.expectActive("a");
  await bench.expectFiles("n2", { "a.conflist": ours });
  await bench.configs.delete("a");
  await bench.expectActive(undefined);
  for (const name of ["n1", "n2"]) await bench.expectFiles(name, {});
});

Deno.test("nothing is written before the node has been ready once, and nothing without a CNIConfig", async () => {
  await using bench = await Bench.start();
  const early = await bench.startNode("n1");
  (await bench.startNode("n2")).ready();
  assert.deepEqual(await bench.files("n2"), {});
  await bench.create("a");
  await bench.expectFiles("n2", { "a.conflist": ours });
  await bench.expect("a", "Ready", /^False Applying n1: has not written it yet$/);
  assert.deepEqual(await bench.files("n1"), {});
  early.ready();
  await bench.expect("a", "Ready", /^True/);
});

Deno.test("an edit that cannot be used leaves the last good list in place", async () => {
  await using bench = await Bench.start();
  (await bench.startNode("n1")).ready();
  await bench.create("a");
  await bench.expect("a", "Ready", /^True/);
  await bench.configs.patch("a", { spec: { plugins: [{ type: "sh" }] } });
  await bench.expect("a", "Accepted", /^False PluginNotAllowed/);
  assert.deepEqual(await bench.files("n1"), { "a.conflist": ours });
  await bench.configs.patch("a", { spec: { plugins: [{ type: "portmap" }] } });
  await bench.expect("a", "Ready", /^True/);
  assert.deepEqual(await bench.files("n1"), { "a.conflist": ["portmap"] });
});

Deno.test("a file that is removed comes back; another's of the same name stays and is named", async () => {
  await using bench = await Bench.start();
  (await bench.startNode("n1")).ready();
  await bench.create("a");
  await bench.expectFiles("n1", { "a.conflist": ours });
  await Deno.remove(`${bench.folder("n1")}/a.conflist`);
  await bench.expectFiles("n1", { "a.conflist": ours });
  await Deno.writeTextFile(`${bench.folder("n1")}/b.conflist`, '{"plugins":[]}');
  await bench.configs.patch("a", { spec: { fileName: "b.conflist" } });
  await bench.expect("a", "Ready", /^False Applying n1: FileTaken: .*b\.conflist/);
  assert.deepEqual(await bench.files("n1"), { "a.conflist": ours, "b.conflist": [] });
  await Deno.remove(`${bench.folder("n1")}/b.conflist`);
  await bench.expect("a", "Ready", /^True/);
  await bench.expectFiles("n1", { "b.conflist": ours });
});

Deno.test("a restarted daemon takes over the list of the one before, and removes it when it is not wanted", async () => {
  await using bench = await Bench.start();
  const first = await bench.startNode("n1");
  first.ready();
  await bench.create("a");
  await bench.expect("a", "Ready", /^True/);
  await first.stop();
  assert.deepEqual(await bench.files("n1"), { "a.conflist": ours });
  const second = await bench.startNode("n1");
  await bench.expect("a", "Ready", /^True/);
  await bench.configs.patch("a", { spec: { fileName: "z.conflist" } });
  await bench.expect("a", "Ready", /^False Applying/);
  assert.deepEqual(await bench.files("n1"), { "a.conflist": ours });
  second.ready();
  await bench.expectFiles("n1", { "z.conflist": ours });
  await bench.configs.delete("a");
  await bench.expectFiles("n1", {});
});
