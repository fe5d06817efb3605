/** What the client must bear of the way to any Kubernetes API: cuts, and changes that the server has forgotten meanwhile. */
import assert from "node:assert/strict";
import { createLogger } from "../../log.ts";
import { type VRFDomain, vrfDomainKind } from "../../resources/vrf_domain.ts";
import { loadKube } from "../connect.ts";
import { isKubeError } from "../kube_error.ts";
import type { ResourceClient } from "../port.ts";
import { startCache } from "../resource_cache.ts";
import { collectionPath, createResourceClient, listRaw } from "../resource_client.ts";
import type { KubeConnection } from "../transport.ts";
import { type ClientCase, type ClientCaseApi, domain } from "./case_api.ts";
import { EnduranceClient, grown } from "./endurance.ts";
import { eventually } from "./eventually.ts";
import { KubeConfigFile, kubeconfigText } from "./kubeconfig.ts";
import { startTcpRelay, type TcpRelay } from "./tcp_relay.ts";

/** How often watches are cut, and how often lists, while it is counted what they leave behind. */
const rounds = 250;
/** Objects in the list: with them it is many times longer than what comes before it on a connection. */
const objects = 60;
const patience = 60_000;

/** A client behind a relay, and what happens to its connections. */
class Bench implements AsyncDisposable {
  readonly endurance: EnduranceClient;
  readonly relay: TcpRelay;
  readonly #file: KubeConfigFile;
  readonly #client: ResourceClient<VRFDomain>;
  #patches = 0;

  constructor(api: ClientCaseApi) {
    const { connection, authority, token } = api;
    this.#client = createResourceClient(connection, vrfDomainKind);
    this.relay = startTcpRelay({ server: connection.server });
    this.#file = new KubeConfigFile(kubeconfigText({ server: this.relay.url, authority, token }));
    this.endurance = new EnduranceClient(this.#file.path);
  }

  async fill(): Promise<void> {
    for (let i = 0; i < objects; i++) await this.#client.create(domain(`d${i}`, 100 + i));
  }

  /** Cuts a watch again and again, each time once it is open; changes objects meanwhile. */
  async cutWatches(times: number): Promise<void> {
    await this.#untilWatching(-1);
    for (let i = 0; i < times; i++) {
      if (i % 10 === 0) await this.#change();
      const { restarts } = await this.endurance.state();
      this.relay.cut();
      await this.#untilWatching(restarts);
    }
    await this.untilRight();
  }

  /** Cuts a list again and again in its midst. */
  async cutLists(times: number): Promise<void> {
    const { restarts } = await this.endurance.state();
    // A watch that fails three times in a row begins with a list again.
    this.relay.cutAfter(0);
    this.relay.cut();
    await eventually(
      "three watches to fail",
      async () => (await this.endurance.state()).restarts > restarts + 3,
      patience,
    );
    await this.#change();
    for (let i = 0; i < 10; i++) {
      this.relay.cutAfter(6_000 + 1_000 * i);
      await this.#untilCut(this.relay.cuts + Math.ceil(times / 10));
    }
    this.relay.cutAfter(undefined);
    await this.untilRight();
  }

  /** Waits until the client's copy is what the server has. */
  async untilRight(): Promise<void> {
    const wanted = (await this.#client.list()).map(({ metadata }) =>
      `${metadata.name} ${metadata.resourceVersion}`
    ).sort();
    await eventually("the copy is right", async () => {
      const { content } = await this.endurance.state();
      return JSON.stringify(content) === JSON.stringify(wanted);
    }, patience);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endurance[Symbol.asyncDispose]();
    await this.relay[Symbol.asyncDispose]();
    this.#file[Symbol.dispose]();
  }

  async #change(): Promise<void> {
    this.#patches += 1;
    const name = `d${this.#patches % objects}`;
    await this.#client.patch(name, { metadata: { labels: { patch: String(this.#patches) } } });
  }

  #untilWatching(beyond: number): Promise<void> {
    return eventually("a watch to be open again", async () => {
      const { connected, restarts } = await this.endurance.state();
      // A cut between a list and its watch met nothing: the watch that is open by now is still to be cut.
      if (connected && restarts === beyond) this.relay.cut();
      return connected && restarts > beyond;
    }, patience);
  }

  #untilCut(count: number): Promise<void> {
    return eventually(`cut ${count}`, () => this.relay.cuts >= count, patience);
  }
}

/** Whether the server refuses to watch from a version: at once, or as the first event. */
async function isGone(connection: KubeConnection, resourceVersion: string): Promise<boolean> {
  const stop = new AbortController();
  try {
    const chunks = await connection.stream({
      path: collectionPath(vrfDomainKind),
      query: { watch: "true", resourceVersion },
      about: "watch from an old version",
      signal: stop.signal,
    });
    for await (const chunk of chunks) return new TextDecoder().decode(chunk).includes('"code":410');
    return false;
  } catch (thrown) {
    return isKubeError(thrown, "Gone");
  } finally {
    stop.abort();
  }
}

async function versionOf(connection: KubeConnection): Promise<string> {
  return (await listRaw(connection, vrfDomainKind)).resourceVersion;
}

/** All of them. */
export const connectionCases: readonly ClientCase[] = [
  {
    name: "a cache is right after five hundred cuts in watches and in lists, and nothing piles up",
    run: async (api) => {
      await using bench = new Bench(api);
      await bench.fill();
      await bench.untilRight();
      // What is compiled and cached once is there after this.
      await bench.cutWatches(30);
      await bench.cutLists(30);
      const { descriptors } = await bench.endurance.state();
      const before = await bench.endurance.census();
      await bench.cutWatches(rounds);
      await bench.cutLists(rounds);
      // What a cut leaves behind, however small, is as many objects of a kind as there were cuts. What only waits for a
      // finalizer is gone at one of the next looks.
      let left: readonly string[] = [];
      await eventually("nothing to be left behind", async () => {
        left = grown(before, await bench.endurance.census(), rounds / 2);
        return left.length === 0;
      }, patience).catch(() => assert.deepEqual(left, []));
      await eventually(
        `no more than 5 descriptors above ${descriptors}`,
        async () => (await bench.endurance.state()).descriptors <= descriptors + 5,
      );
      assert(bench.relay.open <= 2, `${bench.relay.open} connections are open`);
    },
  },
  {
    name: "changes that the server has forgotten before a client came back are made up for",
    run: async (api) => {
      const client = createResourceClient(api.connection, vrfDomainKind);
      await client.create(domain("stays", 1));
      await client.create(domain("goes", 2));
      await using relay = startTcpRelay({ server: api.connection.server });
      const { authority, token } = api;
      using file = new KubeConfigFile(kubeconfigText({ server: relay.url, authority, token }));
      using connection = loadKube({ kubeconfigPath: file.path });
      await using cache = startCache({
        connection,
        resource: vrfDomainKind,
        log: createLogger("error", () => {}),
        timing: { retryBaseMs: 1, retryMaxMs: 10 },
      });
      await cache.whenSynced(AbortSignal.timeout(patience));
      const version = await versionOf(api.connection);
      relay.admit(false);
      relay.cut();
      await client.delete("goes");
      await client.create(domain("comes", 3));
      await api.forgetHistory();
      await eventually("the version is gone", () => isGone(api.connection, version), patience);
      assert.equal(cache.get("goes")?.metadata.name, "goes");
      relay.admit(true);
      await eventually("the new list", () => cache.get("comes") !== undefined, patience);
      assert.deepEqual(cache.list().map(({ metadata }) => metadata.name).sort(), [
        "comes",
        "stays",
      ]);
    },
  },
];
