import assert from "node:assert/strict";
import { KubeError } from "../kube/kube_error.ts";
import type { ResourceClient } from "../kube/port.ts";
import { createResourceClient } from "../kube/resource_client.ts";
import { EmbeddedApi, quiet } from "../kube/testing/embedded_api.ts";
import { eventually } from "../kube/testing/eventually.ts";
import { nodeKind } from "../resources/core.ts";
import {
  type NodeDomainState,
  type VRFNodeState,
  vrfNodeStateKind,
  type VRFNodeStateStatus,
} from "../resources/vrf_node_state.ts";
import { ensureNode } from "./node_registration.ts";
import { createNodeStateWriter, type NodeStateWriter } from "./node_state_writer.ts";

const soon = () => AbortSignal.timeout(15_000);

function share(name: string, phase: NodeDomainState["phase"] = "Applying"): NodeDomainState {
  return { name, uid: `uid-${name}`, generation: 1, phase, reason: "Test", message: "" };
}

function status(...domains: NodeDomainState[]): VRFNodeStateStatus {
  return {
    ready: true,
    domains,
    policies: [],
    domainsReady: domains.length,
    peers: [],
    peersUp: 0,
    vnis: [],
    blocks: 0,
    conditions: [],
  };
}

/** A writer over a client that counts writes and can be cut off. */
class Bench implements AsyncDisposable {
  readonly client: ResourceClient<VRFNodeState>;
  readonly writer: NodeStateWriter;
  writes = 0;
  away = false;
  /** How often it has asked for its turn, and how often it had when it wrote. */
  turns = 0;
  turnsBefore: readonly number[] = [];
  readonly #stop = new AbortController();
  readonly #api: EmbeddedApi;

  private constructor(api: EmbeddedApi) {
    this.#api = api;
    this.client = createResourceClient(api.connection, vrfNodeStateKind);
    const guard = <R>(run: () => Promise<R>): Promise<R> =>
      this.away ? Promise.reject(new KubeError("Unavailable", "Cut off")) : run();
    this.writer = createNodeStateWriter({
      client: {
        ...this.client,
        get: (...given) => guard(() => this.client.get(...given)),
        create: (...given) => guard(() => this.client.create(...given)),
        patchStatus: (...given) =>
          guard(() => {
            this.writes += 1;
            this.turnsBefore = [...this.turnsBefore, this.turns];
            return this.client.patchStatus(...given);
          }),
      },
      nodeName: "n1",
      log: quiet,
      signal: this.#stop.signal,
      intervalMs: 1,
      turn: () => {
        this.turns += 1;
        return 0;
      },
      retry: { baseMs: 1, maxMs: 5 },
    });
  }

  static async start(): Promise<Bench> {
    return new Bench(await EmbeddedApi.start());
  }

  async listed(): Promise<string> {
    const state = await this.client.get("n1");
    return (state?.status?.domains ?? []).map(({ name, phase }) => `${name} ${phase}`).join();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("stopped"));
    await this.writer.stopped;
    await this.#api[Symbol.asyncDispose]();
  }
}

Deno.test("the state is created on first use and written only when it differs", async () => {
  await using bench = await Bench.start();
  bench.writer.publish(status(share("a", "Ready")));
  await bench.writer.flush();
  assert.equal(await bench.listed(), "a Ready");
  const { writes } = bench;
  bench.writer.publish(status(share("a", "Ready")));
  await bench.writer.flush();
  assert.equal(bench.writes, writes);
  bench.writer.publish(status());
  await bench.writer.flush();
  assert.equal(await bench.listed(), "");
});

Deno.test("what is published waits for the node's turn, what is announced does not", async () => {
  await using bench = await Bench.start();
  await bench.writer.announce([share("a")], soon());
  assert.equal(bench.turns, 0);
  const { writes } = bench;
  bench.writer.publish(status(share("a", "Ready")));
  await eventually("it is written", () => bench.writes > writes);
  assert.equal(bench.turnsBefore.at(-1), 1);
});

Deno.test("an announced domain is on the server before the announcement resolves", async () => {
  await using bench = await Bench.start();
  assert.deepEqual([...await bench.writer.announce([share("a"), share("b")], soon())], ["a", "b"]);
  assert.equal(await bench.listed(), "a Applying,b Applying");
  const { writes } = bench;
  await bench.writer.announce([share("b")], soon());
  assert.equal(bench.writes, writes, "what is listed is not written again");
  const renewed = { ...share("a"), uid: "another" };
  await bench.writer.announce([renewed], soon());
  assert.equal((await bench.client.get("n1"))?.status?.domains[0]?.uid, "another");
});

Deno.test("a status published before an announcement does not take the domain away", async () => {
  await using bench = await Bench.start();
  bench.writer.publish(status(share("a", "Ready")));
  await bench.writer.announce([share("b")], soon());
  await bench.writer.flush();
  assert.equal(await bench.listed(), "a Ready,b Applying");
  bench.writer.publish(status(share("b", "Ready")));
  const announced = bench.writer.announce([share("a")], soon());
  await bench.writer.flush();
  assert((await announced).has("a"));
  assert.match(await bench.listed(), /a (Ready|Applying),b Ready/);
});

Deno.test("while the API is away, what is listed counts as listed and the rest does not", async () => {
  await using bench = await Bench.start();
  await bench.writer.announce([share("a"), share("b")], soon());
  bench.away = true;
  bench.writer.publish(status(share("a", "Ready")));
  await bench.writer.flush();
  const listed = await bench.writer.announce([share("a"), share("c")], soon());
  assert.deepEqual([...listed], ["a"]);
  await assert.rejects(
    bench.writer.announce([share("c")], AbortSignal.abort(new Error("enough"))),
    /enough/,
  );
  bench.away = false;
  await eventually(
    "the state is written behind",
    async () => (await bench.listed()).includes("a Ready"),
  );
});

Deno.test("a restarted daemon keeps what the one before it listed", async () => {
  await using bench = await Bench.start();
  await bench.client.create({ metadata: { name: "n1" } });
  await bench.client.patchStatus("n1", { status: status(share("old", "Ready")) });
  await bench.writer.announce([share("new")], soon());
  assert.equal(await bench.listed(), "new Applying,old Ready");
});

Deno.test("a node is registered once, and its address follows", async () => {
  await using api = await EmbeddedApi.start();
  const nodes = createResourceClient(api.connection, nodeKind);
  await Promise.all([1, 2].map(() => ensureNode(nodes, { name: "n1", internalIP: "192.0.2.1" })));
  const first = await nodes.get("n1");
  assert.deepEqual(first?.status?.addresses, [{ type: "InternalIP", address: "192.0.2.1" }]);
  await ensureNode(nodes, { name: "n1", internalIP: "192.0.2.1" });
  assert.equal((await nodes.get("n1"))?.metadata.resourceVersion, first?.metadata.resourceVersion);
  await ensureNode(nodes, { name: "n1", internalIP: "192.0.2.2" });
  assert.deepEqual((await nodes.get("n1"))?.status?.addresses, [
    { type: "InternalIP", address: "192.0.2.2" },
  ]);
});

Deno.test("what is said beside the runs is kept apart from them, over a restart too", async () => {
  const condition = (status: "True" | "False") => ({
    type: "CNIConfigured",
    status,
    reason: "Test",
    message: "",
  });
  const cniConfig = { name: "a", uid: "uid-a", generation: 1 };
  await using bench = await Bench.start();
  const found = async () => (await bench.client.get("n1"))?.status;
  await bench.client.create({ metadata: { name: "n1" } });
  const lastTransitionTime = "2026-11-24T00:00:00Z";
  await bench.client.patchStatus("n1", {
    status: { ...status(), cniConfig, conditions: [{ ...condition("True"), lastTransitionTime }] },
  });
  bench.writer.publish(status(share("a", "Ready")));
  await bench.writer.flush();
  assert.equal(await bench.listed(), "a Ready");
  assert.deepEqual((await found())?.cniConfig, cniConfig, "an earlier daemon's word stays");
  bench.writer.amend({
    cniConfig: { ...cniConfig, generation: 2 },
    conditions: [condition("True")],
  });
  await bench.writer.flush();
  assert.equal((await found())?.cniConfig?.generation, 2);
  assert.equal((await found())?.conditions[0]?.lastTransitionTime, lastTransitionTime);
  bench.writer.publish(status());
  await bench.writer.flush();
  assert.equal((await found())?.cniConfig?.generation, 2, "another run does not take it away");
  bench.writer.amend({ conditions: [condition("False")] });
  await bench.writer.flush();
  assert.equal((await found())?.cniConfig, undefined);
  assert.notEqual((await found())?.conditions[0]?.lastTransitionTime, lastTransitionTime);
  bench.writer.amend({ conditions: [] });
  await bench.writer.flush();
  assert.deepEqual((await found())?.conditions, []);
});
