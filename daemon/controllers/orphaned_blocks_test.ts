import assert from "node:assert/strict";
import { FakeBlockApi, FakeBlockCache } from "../ipam/testing/fake_blocks.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import { createLogger } from "../log.ts";
import type { Node } from "../resources/core.ts";
import { createOrphanedBlocks } from "./orphaned_blocks.ts";

const graceMs = 300_000;
const { signal } = new AbortController();
const block = "vrf-200-10-150-0-0-26";

/** One block of "node-a", the manager's look at it, and time. */
class Bench {
  readonly api = new FakeBlockApi();
  readonly cache = new FakeBlockCache(this.api);
  now = 0;
  /** Whether the manager's copy and the API have the node. */
  known = false;
  there = false;
  readonly #node: Node = { metadata: { name: "node-a" } };
  readonly #orphaned = createOrphanedBlocks({
    nodes: {
      cache: only<ResourceCache<Node>>({ get: () => this.known ? this.#node : undefined }),
      client: only<ResourceClient<Node>>({
        get: () => Promise.resolve(this.there ? this.#node : undefined),
      }),
    },
    blocks: { cache: this.cache, client: this.api.client("manager").client },
    graceMs,
    log: createLogger("error", () => {}),
    now: () => this.now,
  });

  constructor() {
    const spec = { cidr: "10.150.0.0/26", nodeName: "node-a", vrfTable: 200 };
    this.api.put({ metadata: { name: block }, spec });
    this.cache.deliver();
  }

  /** Looks after some time; gives whether the block is still there. */
  async look(afterMs: number): Promise<boolean> {
    this.now += afterMs;
    await this.#orphaned.release(signal);
    this.cache.deliver();
    return this.api.object(block) !== undefined;
  }
}

/** A thing of which only some methods are used. */
function only<T extends object>(methods: Partial<T>): T {
  return new Proxy(methods, {
    get: (target, name) => {
      const found: unknown = Reflect.get(target, name);
      if (found === undefined) throw new Error(`"${String(name)}" is not expected to be used`);
      return found;
    },
  }) as T;
}

Deno.test("the block of a node that is gone is released after the grace period and not a moment earlier", async () => {
  const bench = new Bench();
  assert.ok(await bench.look(0));
  assert.ok(await bench.look(graceMs - 1));
  assert.ok(!await bench.look(1));
});

Deno.test("a node that comes back in time keeps its blocks, and has the whole period again", async () => {
  const bench = new Bench();
  await bench.look(0);
  bench.known = bench.there = true;
  assert.ok(await bench.look(graceMs));
  bench.known = bench.there = false;
  assert.ok(await bench.look(1));
  assert.ok(await bench.look(graceMs - 1));
  assert.ok(!await bench.look(1));
});

Deno.test("a node that only the manager's copy lacks keeps its blocks", async () => {
  const bench = new Bench();
  bench.there = true;
  await bench.look(0);
  assert.ok(await bench.look(10 * graceMs));
});

Deno.test("a block that somebody has written to meanwhile is not taken away", async () => {
  const bench = new Bench();
  await bench.look(0);
  const { client } = bench.api.client("node-a");
  await client.patchStatus(block, { status: { epoch: 1 } });
  assert.ok(await bench.look(graceMs), "the manager's copy is behind");
  assert.ok(!await bench.look(1), "a write alone does not make a node");
});
