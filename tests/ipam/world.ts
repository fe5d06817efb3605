/** Several nodes with their pools on one API, for the model test: they crash, reboot and lag behind. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { formatAddress, parseAddress } from "../../lib/net/address.ts";
import { createAddressPool } from "../../daemon/ipam/address_pool.ts";
import { blockConditions } from "../../daemon/ipam/block_conditions.ts";
import { capacityOf, lastUsable, parseRange } from "../../daemon/ipam/block_range.ts";
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
  settle,
} from "../../daemon/ipam/testing/fake_blocks.ts";
import { ManualClock } from "../../daemon/testing/manual_clock.ts";
import { createLogger } from "../../daemon/log.ts";
import { ipBlockName } from "../../daemon/resources/ip_block.ts";

/** Eight blocks of five pods each, and eight of six. */
const four = { prefix: "10.150.0.0/26", blockLength: 29, addressLength: 29 };
const six = { prefix: "fd00:150::/122", blockLength: 125, addressLength: 125 };

/** Three tenants with the same prefixes: one has IPv4, one both, one IPv6 alone. */
export const domains: readonly PoolDomain[] = [[four], [four, six], [six]].map((ranges, index) => ({
  name: `tenant-${200 + index * 100}`,
  vrf: 200 + index * 100,
  ranges,
}));

/** How many pods a domain has room for: the IP version with fewer addresses runs out first. */
function roomOf(domain: PoolDomain): number {
  return 8 * Math.min(...domain.ranges.map(({ prefix }) => prefix.includes(":") ? 6 : 5));
}

/** All addresses of a row as one text. */
function addressesOf(row: Attachment): string {
  return row.allocations.map(({ address }) => address).join(" ");
}

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

/** Whether the model's nth container wishes to have the same addresses again. */
function keeps(index: number): boolean {
  return index % 5 === 0;
}

/** A node. */
export class SimulatedNode {
  /** Addresses that were answered, by the container's id. */
  readonly answered = new Map<string, string>();
  /** Addresses that stay a pod's, by VRF and pod. */
  readonly #kept = new Map<string, string>();
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
    // What had not been written to the API is lost.
    this.#kept.clear();
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
      const keep = keeps(index) ? { keep: "on-node" as const } : {};
      const wish = { addresses: [], ...keep };
      const kept = this.#kept.get(`${domain.vrf} ${owner.pod}`);
      const row = await process.pool.reserve(domain, owner, this.#world.signal, wish);
      if (process !== this.#process) return;
      if (kept !== undefined) assert.equal(addressesOf(row), kept, "what is kept is given again");
      if (keeps(index)) this.#kept.set(`${domain.vrf} ${owner.pod}`, addressesOf(row));
      if (before !== undefined) {
        assert.equal(addressesOf(row), before, "the same key has the same addresses");
      }
      this.answered.set(owner.containerId, addressesOf(row));
    } catch (error) {
      if (process !== this.#process) return;
      if (codeOf(error) === "KeyInOtherDomain") {
        assert.notEqual(this.#journal.find(owner)?.vrf, domain.vrf);
      } else assert.ok(excuses.includes(codeOf(error)), String(error));
    }
  }

  /** As the pool's method: what was kept in the domains that are not live is free. */
  collectGarbage(live: readonly PoolDomain[]): Promise<unknown> {
    this.#forget((vrf) => !live.some((domain) => domain.vrf === vrf));
    return this.pool.collectGarbage(live, this.#world.signal);
  }

  /** As the pool's method. */
  releaseDomain(vrf: number): Promise<unknown> {
    this.#forget((other) => other === vrf);
    return this.pool.releaseDomain(vrf, this.#world.signal);
  }

  /** All pods of a domain end and the domain goes, but no deletion is answered; those come true later. */
  async releaseDomainLate(vrf: number): Promise<void> {
    for (const row of this.rows()) if (row.vrf === vrf) this.release(row);
    this.#world.deletionsAreLate = true;
    try {
      await this.releaseDomain(vrf);
    } finally {
      this.#world.deletionsAreLate = false;
    }
  }

  #forget(gone: (vrf: number) => boolean): void {
    for (const key of this.#kept.keys()) if (gone(parseInt(key))) this.#kept.delete(key);
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
  /** Whether each deletion takes effect only after its sender has given up. */
  deletionsAreLate = false;
  readonly #stop = new AbortController();

  constructor(seed: number, nodeCount: number, directory?: string) {
    this.random = mulberry32(seed);
    this.api.turns = () => Math.floor(this.random() * 6);
    this.api.fault = (verb) => {
      if (verb === "delete" && this.deletionsAreLate) return "late";
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
        for (const { address } of row.allocations) {
          const key = `${row.vrf} ${address}`;
          assert.equal(seen.get(key), undefined, `${key} on ${node.name} and ${seen.get(key)}`);
          seen.set(key, node.name);
        }
        checkRow(row);
      }
      const onDisk = new Map(rows.map((row) => [row.containerId, addressesOf(row)]));
      for (const [id, address] of node.answered) assert.equal(onDisk.get(id), address, id);
      for (const row of rows) node.answered.set(row.containerId, addressesOf(row));
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
      const inside = owner?.rows().filter(({ vrf }) => vrf === object.spec.vrfTable)
        .flatMap((row) =>
          row.allocations.filter(({ block }) => block === range.cidr)
            .map(({ address }) => [address, row.podUid === "" ? row.containerId : row.podUid])
        ) ?? [];
      const { kept = {} } = object.status ?? {};
      const given = { ...mapValues(kept, () => "kept"), ...Object.fromEntries(inside) };
      const expected = {
        allocated: Object.keys(given).length + 1,
        capacity: capacityOf(range),
        allocations: { [formatAddress(range.family, range.first + 1n)]: "gateway", ...given },
        ...object.status?.kept === undefined ? {} : { kept },
      };
      // A block that is being given back is not written any more.
      if (
        owner?.pool.blocks().some(({ name }) => name === object.metadata.name)
      ) {
        const { conditions, epoch: _, ...status } = object.status ?? {};
        assert.deepEqual(status, expected, object.metadata.name);
        const told = conditions?.map(({ lastTransitionTime: _, ...verdict }) => verdict);
        const problems = owner.pool.problems();
        assert.deepEqual(told, blockConditions(object.metadata.name, problems));
        for (const [address, { until }] of Object.entries(kept)) {
          assert.equal(
            given[address] === "kept",
            until !== undefined,
            `${address} is kept or in use`,
          );
        }
      } else assert.equal(inside.length, 0);
    }
    for (const node of this.nodes) {
      for (const { name } of node.pool.blocks()) {
        const holder = this.api.object(name)?.spec.nodeName;
        assert.equal(holder, node.name, `${name} is held by ${node.name} and by the API's word`);
      }
    }
    for (const row of this.nodes.flatMap((node) => node.rows())) {
      for (const { block } of row.allocations) {
        const name = ipBlockName(row.vrf, block);
        assert.ok(this.api.object(name), `${name} is claimed while "${row.containerId}" is in it`);
      }
    }
  }

  /** Everything is released: all addresses can be given again, by one node alone. */
  async checkAllComeBack(): Promise<void> {
    for (const node of this.nodes) for (const row of node.rows()) node.release(row);
    await this.converge();
    for (const node of this.nodes) {
      for (const { vrf } of domains) {
        await drive(this.clock, node.releaseDomain(vrf));
      }
    }
    assert.deepEqual(this.api.objects(), []);
    for (const node of this.nodes) node.cache.deliver();
    const node = this.node(0);
    for (const domain of domains) {
      const room = roomOf(domain);
      const containers = Array.from({ length: room + 3 }, (_, i) => domain.vrf * 1000 + i);
      await drive(this.clock, Promise.all(containers.map((i) => node.reserve(domain, i))));
      assert.equal(node.rows().filter(({ vrf }) => vrf === domain.vrf).length, room);
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

function mapValues<T, U>(record: Readonly<Record<string, T>>, map: (value: T) => U) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

function checkRow(row: Attachment): void {
  const wanted = domains.find(({ vrf }) => vrf === row.vrf)?.ranges ?? [];
  assert.deepEqual(
    row.allocations.map(({ block }) => block.includes(":")),
    wanted.map(({ prefix }) => prefix.includes(":")),
    "an address of each IP version, or none",
  );
  for (const { address, block, gateway } of row.allocations) {
    const range = parseRange(block);
    const { value } = parseAddress(address);
    assert.equal(range.length, range.family === 4 ? 29 : 125);
    assert.ok(value > range.first + 1n && value <= lastUsable(range), `${address} of ${block}`);
    assert.equal(parseAddress(gateway).value, range.first + 1n);
  }
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
