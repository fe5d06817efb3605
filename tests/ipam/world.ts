/** Several nodes with their pools on one API, for the model test: they crash, reboot and lag behind. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { ipv4ToNumber } from "../../lib/net/address.ts";
import { createAddressPool } from "../../daemon/ipam/address_pool.ts";
import { capacityOf, parseRange } from "../../daemon/ipam/block_range.ts";
import { codeOf } from "../../daemon/ipam/errors.ts";
import { type AttachmentStore, openJournal } from "../../daemon/ipam/journal.ts";
import type {
  Attachment,
  AttachmentKey,
  AttachmentOwner,
  NodeAddressPool,
  PoolDomain,
} from "../../daemon/ipam/port.ts";
import {
  drive,
  FakeBlockApi,
  FakeBlockCache,
  type Fault,
  ManualClock,
  settle,
} from "../../daemon/ipam/testing/fake_blocks.ts";
import { createLogger } from "../../daemon/log.ts";

/** Two tenants with the same prefix: eight blocks of five pods each. */
export const domains: readonly PoolDomain[] = [200, 300].map((vrf) => ({
  name: `tenant-${vrf}`,
  vrf,
  prefix: "10.150.0.0/26",
  blockLength: 29,
  addressLength: 29,
}));

/** Codes with which a reservation may fail. */
const excuses = ["ClaimFailed", "BlocksExhausted"];

/** The owner of the model's nth container. */
export function ownerOf(index: number): AttachmentOwner & { readonly netnsPath: string } {
  return {
    network: "pyroute2",
    containerId: `container-${index}`,
    ifname: "eth0",
    namespace: "default",
    pod: `pod-${index}`,
    podUid: index % 2 === 0 ? `uid-${index}` : "",
    netnsPath: `/run/netns/${index}`,
  };
}

/** A node. */
export class SimulatedNode {
  /** Addresses that were answered, by the container's id. */
  readonly answered = new Map<string, string>();
  readonly name: string;
  readonly cache: FakeBlockCache;
  readonly #world: World;
  readonly #path: string;
  #journal: AttachmentStore;
  #process: { pool: NodeAddressPool; kill: () => void };

  constructor(world: World, name: string, directory: string | undefined) {
    this.#world = world;
    this.name = name;
    this.#path = directory === undefined ? ":memory:" : join(directory, name, "journal.db");
    this.#journal = openJournal(this.#path).journal;
    this.cache = new FakeBlockCache(world.api);
    this.cache.deliver();
    this.#process = this.#start();
  }

  get pool(): NodeAddressPool {
    return this.#process.pool;
  }

  /** Rows on disk. */
  rows(): readonly Attachment[] {
    return this.#journal.list();
  }

  /** The process dies and another starts on the same journal. */
  restart(cacheSynced: boolean): void {
    this.#process.kill();
    if (this.#path !== ":memory:") {
      this.#journal[Symbol.dispose]();
      this.#journal = openJournal(this.#path).journal;
    }
    this.cache.synced = cacheSynced;
    this.#process = this.#start();
  }

  /** The machine dies: its pods and its journal are gone. */
  reboot(): void {
    this.#process.kill();
    this.#journal[Symbol.dispose]();
    if (this.#path !== ":memory:") Deno.removeSync(join(this.#path, ".."), { recursive: true });
    this.#journal = openJournal(this.#path).journal;
    this.answered.clear();
    this.#process = this.#start();
  }

  close(): void {
    this.#process.kill();
    this.#journal[Symbol.dispose]();
  }

  /** Reserves, and notes the answer if the process still lives then. */
  async reserve(domain: PoolDomain, index: number): Promise<void> {
    const process = this.#process;
    const owner = ownerOf(index);
    const before = this.answered.get(owner.containerId);
    try {
      const row = await process.pool.reserve(domain, owner, this.#world.signal);
      if (process !== this.#process) return;
      if (before !== undefined) {
        assert.equal(row.address, before, "the same key has the same address");
      }
      this.answered.set(owner.containerId, row.address);
    } catch (error) {
      if (process !== this.#process) return;
      if (codeOf(error) === "KeyInOtherDomain") {
        assert.notEqual(this.#journal.find(owner)?.vrf, domain.vrf);
      } else assert.ok(excuses.includes(codeOf(error)), String(error));
    }
  }

  release(key: AttachmentKey): void {
    this.pool.markReleasing(key);
    this.pool.release(key);
    this.answered.delete(key.containerId);
  }

  #start() {
    const stop = new AbortController();
    const { client, cut } = this.#world.api.client(this.name);
    const { journal, sever } = severable(this.#journal);
    const pool = createAddressPool({
      nodeName: this.name,
      journal,
      blocks: { client, cache: this.cache },
      log: createLogger("error", () => {}),
      clock: this.#world.clock,
      random: this.#world.random,
      debounceMs: 10,
      signal: stop.signal,
    });
    const kill = () => {
      sever();
      cut();
      stop.abort();
    };
    return { pool, kill };
  }
}

/** A journal that a dead process cannot write to any more. */
function severable(journal: AttachmentStore): { journal: AttachmentStore; sever: () => void } {
  let dead = false;
  const proxy = new Proxy(journal, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property);
      if (typeof value !== "function") return value;
      return (...values: unknown[]) => {
        if (dead) throw new Error("The process is dead");
        return Reflect.apply(value, target, values);
      };
    },
  });
  return { journal: proxy, sever: () => dead = true };
}

/** All nodes, the API and time. */
export class World implements Disposable {
  readonly api = new FakeBlockApi();
  readonly clock = new ManualClock();
  readonly nodes: readonly SimulatedNode[];
  readonly random: () => number;
  /** How often a request fails, and in which ways. */
  trouble: { readonly rate: number; readonly faults: readonly Fault[] } = { rate: 0, faults: [] };
  readonly #stop = new AbortController();

  constructor(seed: number, nodeCount: number, directory?: string) {
    this.random = mulberry32(seed);
    this.api.turns = () => Math.floor(this.random() * 6);
    this.api.fault = () => {
      if (this.random() >= this.trouble.rate) return "none";
      return this.trouble.faults[Math.floor(this.random() * this.trouble.faults.length)] ?? "none";
    };
    this.nodes = Array.from(
      { length: nodeCount },
      (_, i) => new SimulatedNode(this, `node-${i}`, directory),
    );
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  node(index: number): SimulatedNode {
    const node = this.nodes[index % this.nodes.length];
    assert.ok(node);
    return node;
  }

  /** No address twice in a VRF, none of the reserved ones, and every answer still stands. */
  check(): void {
    const seen = new Map<string, string>();
    for (const node of this.nodes) {
      const rows = node.rows();
      for (const row of rows) {
        const key = `${row.vrf} ${row.address}`;
        assert.equal(seen.get(key), undefined, `${key} on ${node.name} and ${seen.get(key)}`);
        seen.set(key, node.name);
        checkRow(row);
      }
      const onDisk = new Map(rows.map((row) => [row.containerId, row.address]));
      for (const [id, address] of node.answered) assert.equal(onDisk.get(id), address, id);
      for (const row of rows) node.answered.set(row.containerId, row.address);
    }
  }

  /** The API recovers, caches catch up, and the status of every block becomes the truth. */
  async converge(): Promise<void> {
    this.trouble = { rate: 0, faults: [] };
    this.api.executeLate();
    for (let round = 0; round < 4; round++) {
      for (const node of this.nodes) node.cache.deliver();
      // Longer than any wait between attempts, so that claims ahead come to their end too.
      this.clock.advance(70_000);
      await settle();
      await drive(this.clock, Promise.all(this.nodes.map((node) => node.pool.flush(this.signal))));
    }
    for (const object of this.api.objects()) {
      const owner = this.nodes.find(({ name }) => name === object.spec.nodeName);
      const range = parseRange(object.spec.cidr);
      const inside = owner?.rows().filter((row) =>
        row.vrf === object.spec.vrfTable && row.block === range.cidr
      ) ?? [];
      const allocations = Object.fromEntries([
        [`10.150.0.${(range.first & 255) + 1}`, "gateway"],
        ...inside.map((row) => [row.address, row.podUid === "" ? row.containerId : row.podUid]),
      ]);
      const expected = { allocated: inside.length + 1, capacity: capacityOf(range), allocations };
      // A block that is being given back is not written any more.
      if (
        owner?.pool.blocks().some(({ name }) =>
          name === object.metadata.name
        )
      ) {
        assert.deepEqual(object.status, expected, object.metadata.name);
      } else assert.equal(inside.length, 0);
    }
    for (const row of this.nodes.flatMap((node) => node.rows())) {
      const name = `vrf-${row.vrf}-${row.block.replaceAll(/[./]/g, "-")}`;
      assert.ok(this.api.object(name), `${name} is claimed while "${row.containerId}" is in it`);
    }
  }

  /** Everything is released: all addresses can be given again, by one node alone. */
  async checkAllComeBack(): Promise<void> {
    for (const node of this.nodes) for (const row of node.rows()) node.release(row);
    await this.converge();
    for (const node of this.nodes) {
      for (const { vrf } of domains) {
        await drive(this.clock, node.pool.releaseDomain(vrf, this.signal));
      }
    }
    assert.deepEqual(this.api.objects(), []);
    for (const node of this.nodes) node.cache.deliver();
    const node = this.node(0);
    for (const domain of domains) {
      const containers = Array.from({ length: 8 * 5 + 3 }, (_, i) => domain.vrf * 1000 + i);
      await drive(this.clock, Promise.all(containers.map((i) => node.reserve(domain, i))));
      assert.equal(node.rows().filter(({ vrf }) => vrf === domain.vrf).length, 8 * 5);
      assert.ok(
        node.pool.problems().some(({ vrf, code }) =>
          vrf === domain.vrf && code === "BlocksExhausted"
        ),
      );
    }
    this.check();
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
    for (const node of this.nodes) node.close();
  }
}

function checkRow(row: Attachment): void {
  const range = parseRange(row.block);
  const address = ipv4ToNumber(row.address);
  assert.equal(range.length, 29);
  assert.ok(address > range.first + 1 && address < range.last, `${row.address} of ${row.block}`);
  assert.equal(ipv4ToNumber(row.gateway), range.first + 1);
}

function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
