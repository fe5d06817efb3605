/** A node for the tests of wishes: the real server, handlers, pool and lookup of pods, with two VRFs' bridges in a namespace. */
import assert from "node:assert/strict";
import { createAddressPool } from "../../daemon/ipam/address_pool.ts";
import { openJournal } from "../../daemon/ipam/journal.ts";
import type { NodeAddressPool, PoolDomain } from "../../daemon/ipam/port.ts";
import { FakeBlockApi, FakeBlockCache } from "../../daemon/ipam/testing/fake_blocks.ts";
import { createLogger } from "../../daemon/log.ts";
import type { Pod as PodObject } from "../../daemon/resources/core.ts";
import { createGatherWishes } from "../../daemon/wishes/attachment_wishes.ts";
import { createPodLookup } from "../../daemon/wishes/pod_lookup.ts";
import { CniError } from "../../lib/cni/errors.ts";
import { cniEnv, execPlugin, Node, type PluginRun, type Pod, sourcePlugin } from "./harness.ts";

/** The domain of every pod that asks for no other. */
export const blue: PoolDomain = {
  name: "blue",
  vrf: 200,
  ranges: [{ prefix: "10.150.0.0/24", blockLength: 26, addressLength: 26 }],
};

/** A domain with other addresses. */
export const red: PoolDomain = {
  name: "red",
  vrf: 300,
  ranges: [{ prefix: "10.160.0.0/24", blockLength: 26, addressLength: 26 }],
};

/** A domain with the addresses of the first. */
export const twin: PoolDomain = { ...blue, name: "twin", vrf: 400 };

const domains = [blue, red, twin];

/** What a test changes of a call. */
export interface CallChanges {
  /** CNI_IFNAME. */
  readonly ifname?: string;
  /** Keys of the network configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Pairs to add to CNI_ARGS. */
  readonly args?: string;
}

/** A node with the real pool, the pods that its cache knows, and an API. */
export class WishingNode implements AsyncDisposable {
  /** Pods in the node's cache, by key. */
  readonly cached: Map<string, PodObject> = new Map<string, PodObject>();
  /** What the API answers about a pod. */
  stored: PodObject | Error | undefined;
  /** The IPBlocks of the API. */
  readonly blocks: FakeBlockApi = new FakeBlockApi();
  /** The node's addresses. */
  readonly pool: NodeAddressPool;
  readonly #journal = openJournal(":memory:").journal;
  readonly #stop = new AbortController();
  #node: Node | undefined;

  private constructor() {
    for (const [vrf, cidr, nodeName] of placed) {
      const name = `vrf-${vrf}-${cidr.replaceAll(/[./]/g, "-")}`;
      this.blocks.put({ metadata: { name }, spec: { cidr, nodeName, vrfTable: vrf } });
    }
    const cache = new FakeBlockCache(this.blocks);
    cache.deliver();
    this.pool = createAddressPool({
      nodeName: "node-a",
      journal: this.#journal,
      blocks: { client: this.blocks.client("node-a").client, cache },
      log: createLogger("error", () => {}),
      signal: this.#stop.signal,
    });
  }

  /** Starts a node. */
  static async start(): Promise<WishingNode> {
    const self = new WishingNode();
    const domainNamed = (name: string) => domains.find((each) => each.name === name);
    self.#node = await Node.start({
      deps: {
        pool: self.pool,
        domainNamed,
        resolveDomain: (_namespace, wished = blue.name) => {
          const found = domainNamed(wished);
          if (found === undefined) throw new CniError("InvalidConfig", `No domain "${wished}"`);
          return found;
        },
        gatherWishes: createGatherWishes({
          findPod: createPodLookup({
            cache: { get: (key) => self.cached.get(key) },
            client: {
              get: () =>
                self.stored instanceof Error
                  ? Promise.reject(self.stored)
                  : Promise.resolve(self.stored),
            },
            found: () => {},
          }),
          hasInterface: (containerId, ifname) =>
            self.pool.ofContainer(containerId).some((row) => row.ifname === ifname),
        }),
      },
    });
    self.node.addBridge(red.vrf, "10.160.0.1");
    return self;
  }

  /** The server with its bridges. */
  get node(): Node {
    assert.ok(this.#node);
    return this.#node;
  }

  /** Makes the pod known to the node, with annotations under the project's prefix. */
  announce(annotations: Readonly<Record<string, string>>): void {
    this.cached.set("shop/web-0", podObject(annotations));
  }

  /** Executes the plugin for a container. */
  call(command: string, pod: Pod, id: string, changes: CallChanges = {}): Promise<PluginRun> {
    const { ifname = "eth0", config = {}, args = "" } = changes;
    const env = cniEnv(command, pod, id);
    return execPlugin(
      sourcePlugin,
      { ...env, CNI_IFNAME: ifname, CNI_ARGS: `${env["CNI_ARGS"]};${args}` },
      this.node.config(config),
    );
  }

  /** Attaches a container. */
  add(pod: Pod, id = "c1", changes: CallChanges = {}): Promise<PluginRun> {
    return this.call("ADD", pod, id, changes);
  }

  /** Detaches a container. */
  del(pod: Pod, id = "c1", changes: CallChanges = {}): Promise<PluginRun> {
    return this.call("DEL", pod, id, changes);
  }

  /** Stops and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node?.[Symbol.asyncDispose]();
    this.#stop.abort();
    this.#journal[Symbol.dispose]();
  }
}

/** Blocks that the API has from the start: those of the bridges' gateways, and another node's. */
const placed = [
  [blue.vrf, "10.150.0.0/26", "node-a"],
  [blue.vrf, "10.150.0.64/26", "node-b"],
  [red.vrf, "10.160.0.0/26", "node-a"],
] as const;

/** The object of the pod that {@linkcode cniEnv} names, with annotations under the project's prefix. */
export function podObject(annotations: Readonly<Record<string, string>>): PodObject {
  const ours = Object.entries(annotations).map(([name, value]) =>
    [`cni.pyroute2.org/${name}`, value] as const
  );
  return {
    metadata: {
      name: "web-0",
      namespace: "shop",
      uid: "u-1",
      annotations: Object.fromEntries(ours),
    },
  };
}

/** Asserts that the plugin printed an error. */
export function assertRefused(run: PluginRun, code: number, message: RegExp): void {
  assert.equal(run.answer?.["code"], code, JSON.stringify(run));
  assert.equal(run.code, 1);
  assert.match(String(run.answer?.["msg"]), message);
}

/** The first address of a result, with its length. */
export function addressOf(run: PluginRun): unknown {
  assert.equal(run.code, 0, JSON.stringify(run));
  const { ips } = run.answer ?? {};
  return Array.isArray(ips) ? ips[0]?.address : undefined;
}
