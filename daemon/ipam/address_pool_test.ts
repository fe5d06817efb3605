import assert from "node:assert/strict";
import { ipBlockName } from "../resources/ip_block.ts";
import type { AttachmentStore } from "./journal.ts";
import type { PoolDomain, PoolRange } from "./port.ts";
import { drive, FakeBlockApi, pass, settle } from "./testing/fake_blocks.ts";
import { Bench, blue, dual, never, ownerOf, tiny } from "./testing/pool_bench.ts";

/** The domain with another range. */
function with4(change: Partial<PoolRange>): PoolDomain {
  return { ...blue, ranges: blue.ranges.map((range) => ({ ...range, ...change })) };
}

Deno.test("a domain that makes no sense is refused before anything is claimed", async () => {
  using bench = new Bench();
  await assert.rejects(bench.reserve(1, with4({ prefix: "fd00::1" })), {
    code: "InvalidDomain",
  });
  await assert.rejects(bench.reserve(1, with4({ blockLength: 31 })), { code: "InvalidDomain" });
  for (const ranges of [[], [...blue.ranges, ...tiny.ranges]]) {
    await assert.rejects(bench.reserve(1, { ...blue, ranges }), { code: "InvalidDomain" });
  }
  assert.equal(bench.api.total(), 0);
});

Deno.test("a request that was given up before it began gets nothing", async () => {
  using bench = new Bench();
  await assert.rejects(
    bench.pool.reserve(blue, ownerOf(1), AbortSignal.abort(new Error("gone"))),
    /gone/,
  );
  assert.deepEqual(bench.pool.list(), []);
});

Deno.test("committing what was never reserved is an error, releasing it is not", () => {
  using bench = new Bench();
  assert.throws(() => bench.pool.commit(ownerOf(1), { mac: "" }), { code: "NoSuchAttachment" });
  bench.pool.markReleasing(ownerOf(1));
  bench.pool.release(ownerOf(1));
});

Deno.test("nothing is claimed before the list of blocks has arrived", async () => {
  using bench = new Bench({ synced: false });
  await assert.rejects(bench.reserve(1), { code: "ClaimFailed" });
  assert.equal(bench.api.total(), 0);
});

Deno.test("an address is journaled when it is given, with all that an attachment needs", async () => {
  using bench = new Bench();
  const row = await drive(bench.clock, bench.pool.reserve(blue, ownerOf(1), never));
  const [block] = bench.pool.blocks();
  assert.ok(block);
  const [given] = row.allocations;
  assert.deepEqual([given?.block, given?.gateway, given?.prefixLength], [
    block.cidr,
    block.gateway,
    26,
  ]);
  assert.deepEqual([block.vrf, block.allocated, block.capacity], [200, 2, 62]);
  assert.match(row.hostIfname, /^veth[0-9a-f]{11}$/);
  assert.deepEqual([row.state, row.mac, row.domain], ["reserved", "", "blue"]);
  assert.deepEqual(bench.journal.find(row), row);
  bench.pool.commit(row, { mac: "02:00:00:00:00:01" });
  assert.deepEqual(bench.pool.find(row), { ...row, state: "attached", mac: "02:00:00:00:00:01" });
  bench.pool.markReleasing(row);
  assert.equal(bench.pool.list()[0]?.state, "releasing");
  bench.pool.release(row);
  bench.pool.release(row);
  assert.deepEqual(bench.pool.list(), []);
});

Deno.test("an l2vni pod gets the domain's prefix length", async () => {
  using bench = new Bench();
  assert.equal((await bench.reserve(1, with4({ addressLength: 24 }))).prefixLength, 24);
});

Deno.test("the same key gets the same address, and is refused in another domain", async () => {
  using bench = new Bench();
  const [first, again] = await Promise.all([bench.reserve(1), bench.reserve(1)]);
  assert.deepEqual(again, first);
  await assert.rejects(bench.reserve(1, { ...blue, name: "red", vrf: 300 }), {
    code: "KeyInOtherDomain",
  });
});

Deno.test("a block that is to be held is claimed once, and kept without pods", async () => {
  using bench = new Bench();
  assert.throws(() => bench.pool.hold({ ...blue, ranges: [] }), { code: "InvalidDomain" });
  bench.pool.hold(blue);
  bench.pool.hold(blue);
  await settle();
  bench.pool.hold(blue);
  await settle();
  assert.equal(bench.api.requests.get("create"), 1);
  assert.equal(bench.pool.blocks().length, 1);
  await bench.pool.collectGarbage([blue], never);
  assert.equal(bench.pool.blocks().length, 1);
});

Deno.test("many who need the first block share one claim", async () => {
  using bench = new Bench();
  await Promise.all(Array.from({ length: 40 }, (_, i) => bench.reserve(i)));
  assert.equal(bench.api.requests.get("create"), 1);
  assert.equal(
    new Set(bench.pool.list().map(({ allocations }) => allocations[0]?.address)).size,
    40,
  );
});

Deno.test("a thousand reserve and release pairs cost no request on their way and a few behind it", async () => {
  using bench = new Bench();
  await bench.reserve("first");
  await bench.flush();
  const before = bench.api.total();
  const paths: number[] = [];
  for (let i = 0; i < 1000; i++) {
    const start = bench.api.total();
    // Awaits microtasks only: neither a timer nor the clock lets the writer run in between.
    await bench.pool.reserve(blue, ownerOf(i), never);
    // The one before goes, so that the truth is another each time the writer looks.
    bench.pool.release(ownerOf(i === 0 ? "first" : i - 1));
    paths.push(bench.api.total() - start);
    // A pair a 10 ms, so that the debounce of one second comes by ten times.
    bench.clock.advance(10);
    await pass(20);
  }
  await bench.flush();
  const behind = bench.api.total() - before;
  assert.equal(bench.api.requests.get("create"), 1);
  assert.equal(bench.api.requests.get("get") ?? 0, 0);
  assert.ok(behind >= 5 && behind <= 11, `${behind} requests behind 1000 pairs`);
  assert.ok(paths.reduce((a, b) => a + b) === 0, "a request was made before an answer was given");
});

Deno.test("an attachment is written to the journal twice, and twice again when it ends, however many there are", async () => {
  using bench = new Bench();
  for (let i = 0; i < 100; i++) await bench.reserve(i);
  const writes = countWrites(bench.journal);
  const row = await bench.pool.reserve(blue, ownerOf("counted"), never);
  bench.pool.commit(row, { mac: "02:00:00:00:00:01" });
  assert.deepEqual(writes.splice(0), ["insert", "update"]);
  bench.pool.markReleasing(row);
  bench.pool.release(row);
  assert.deepEqual(writes, ["update", "delete"]);
});

/** Names of the journal's methods that write, one for each call from now on. */
function countWrites(journal: AttachmentStore): string[] {
  const writes: string[] = [];
  const writing: readonly Extract<keyof AttachmentStore, string>[] = [
    ...["insert", "update", "delete", "saveBlock", "deleteBlock"] as const,
    ...["saveKept", "deleteKept"] as const,
  ];
  for (const name of writing) {
    const method: unknown = journal[name];
    if (typeof method !== "function") throw new Error(`Expected a method "${name}", found none`);
    Reflect.set(journal, name, (...args: unknown[]) => {
      writes.push(name);
      return method.apply(journal, args);
    });
  }
  return writes;
}

Deno.test("a status is written when it is the node's turn, since all nodes may want to write", async () => {
  using bench = new Bench();
  bench.turn = () => 9_000;
  await bench.reserve(1);
  const written = () => bench.api.requests.get("patchStatus") ?? 0;
  bench.clock.advance(9_999);
  await settle();
  assert.equal(written(), 0);
  bench.clock.advance(1);
  await settle();
  assert.equal(written(), 1);
});

Deno.test("a cache that is behind the node's own writes makes it ask nothing", async () => {
  using bench = new Bench();
  await bench.reserve(1);
  await bench.deliver();
  await bench.flush();
  await bench.reserve(2);
  await bench.flush();
  // Other nodes' blocks come, while what was written here is not back yet.
  bench.cache.stir();
  bench.clock.advance(100);
  await settle();
  await bench.flush();
  assert.equal(bench.api.requests.get("get") ?? 0, 0);
});

Deno.test("after a restart the cache says what the server has, and nothing is asked or written", async () => {
  using bench = new Bench();
  await bench.reserve(1);
  await bench.flush();
  await bench.deliver();
  const before = bench.api.total();
  bench.restart();
  await bench.flush();
  assert.equal(bench.api.total(), before);
});

Deno.test("after a restart with a cache that is behind, a write that is refused asks the server", async () => {
  using bench = new Bench();
  await bench.reserve(1);
  await bench.deliver();
  await bench.flush();
  bench.restart();
  await bench.reserve(2);
  await bench.flush();
  const [block] = bench.pool.blocks();
  assert.equal(bench.api.object(block?.name ?? "")?.status?.allocated, 3);
  assert.equal(bench.api.requests.get("get"), 1);
});

Deno.test("pods start from a local block while the API is away, and the status follows when it is back", async () => {
  using bench = new Bench();
  await bench.reserve(0);
  bench.api.fault = () => "down";
  for (let i = 1; i < 50; i++) await bench.pool.reserve(blue, ownerOf(i), never);
  await settle();
  assert.ok(bench.codes().includes("ClaimFailed"));
  bench.api.fault = () => "none";
  await bench.flush();
  const name = bench.pool.blocks()[0]?.name ?? "";
  assert.equal(bench.api.object(name)?.status?.allocated, 51);
  bench.clock.advance(60_000);
  await settle();
  assert.deepEqual(bench.codes(), []);
  assert.equal(bench.pool.blocks().length, 2);
});

Deno.test("without a block and without the API a request fails at once and the next one tries again", async () => {
  using bench = new Bench();
  bench.api.fault = () => "down";
  await assert.rejects(bench.reserve(1), { code: "ClaimFailed", message: /API server is down/ });
  assert.deepEqual(bench.codes(), ["ClaimFailed"]);
  bench.api.fault = () => "none";
  await bench.reserve(1);
  assert.deepEqual(bench.codes(), []);
});

Deno.test("the next block is claimed before the last one runs out", async () => {
  using bench = new Bench();
  for (let i = 0; i < 46; i++) await bench.reserve(i);
  assert.equal(bench.pool.blocks().length, 1);
  await bench.reserve(46);
  await settle();
  assert.equal(bench.pool.blocks().length, 2);
});

Deno.test("a prefix without a free block is exhausted, and says so until a block is free", async () => {
  using bench = new Bench();
  for (let i = 0; i < 10; i++) await bench.reserve(i, tiny);
  await assert.rejects(bench.reserve(10, tiny), { code: "BlocksExhausted" });
  assert.ok(bench.codes().includes("BlocksExhausted"));
  bench.pool.release(ownerOf(3));
  assert.ok(await bench.reserve(10, tiny));
  for (let i = 0; i < 10; i++) bench.pool.release(ownerOf(i));
  bench.clock.advance(60_000);
  await settle();
  assert.deepEqual(bench.codes(), []);
});

Deno.test("an answer that was lost is looked up, and the block used when it is ours", async () => {
  using bench = new Bench();
  bench.api.fault = (verb) => verb === "create" ? "lost" : "none";
  await bench.reserve(1);
  assert.deepEqual([bench.api.requests.get("create"), bench.api.objects().length], [1, 1]);
});

Deno.test("a range that another node took first is passed over", async () => {
  using other = new Bench();
  const [taken] = [await other.reserve(1)];
  using bench = new Bench({ synced: true });
  bench.api.put({
    metadata: { name: `vrf-200-${taken.block.replaceAll(/[./]/g, "-")}` },
    spec: { cidr: taken.block, nodeName: "node-b", vrfTable: 200 },
  });
  assert.notEqual((await bench.reserve(1)).block, taken.block);
  assert.equal(bench.api.requests.get("create"), 2);
});

Deno.test("blocks of two tenants with one prefix do not overlap on a node while that can be helped", async () => {
  using bench = new Bench();
  const red: PoolDomain = { ...tiny, name: "red", vrf: 300 };
  const [a, b] = await Promise.all([bench.reserve("a", tiny), bench.reserve("b", red)]);
  assert.notEqual(a.block, b.block);
  for (let i = 0; i < 4; i++) await bench.reserve(i, tiny);
  await settle();
  assert.deepEqual(bench.codes(), ["BlockOverlap", "BlockOverlap"]);
  assert.deepEqual(bench.pool.problems().map(({ vrf }) => vrf).sort(), [200, 300]);
  await bench.flush();
  const overlapping = bench.pool.problems().map(({ block }) => block);
  for (const { name } of bench.pool.blocks()) {
    assert.deepEqual(bench.told(name).conditions, [
      "Ready True Held",
      overlapping.includes(name) ? "Unique False BlockOverlap" : "Unique True Unique",
    ]);
  }
});

Deno.test("after a restart the journal's blocks give addresses before the cache has synced", async () => {
  using bench = new Bench();
  const first = await bench.reserve(1);
  bench.cache.synced = false;
  bench.api.fault = () => "down";
  const pool = bench.restart();
  const [second] = (await pool.reserve(blue, ownerOf(2), never)).allocations;
  assert.equal(second?.block, first.block);
  assert.notEqual(second?.address, first.address);
});

Deno.test("a row whose block nobody remembers protects its address, and the block is claimed again", async () => {
  using bench = new Bench();
  const first = await bench.reserve(1, tiny);
  const [block] = bench.pool.blocks();
  assert.ok(block);
  bench.journal.deleteBlock(block.name);
  bench.api.remove(block.name);
  bench.cache.deliver();
  bench.restart();
  for (let i = 2; i <= 10; i++) await bench.reserve(i, tiny);
  await assert.rejects(bench.reserve(11, tiny), { code: "BlocksExhausted" });
  const holders = bench.pool.list().filter(({ allocations }) =>
    allocations.some(({ address }) => address === first.address)
  );
  assert.equal(holders.length, 1);
  assert.equal(bench.api.object(block.name)?.spec.nodeName, "node-a");
});

Deno.test("after a reboot the blocks still claimed are used again, their old addresses last", async () => {
  using before = new Bench();
  const old = await before.reserve(1);
  await before.flush();
  using bench = new Bench({ api: before.api });
  await settle();
  const row = await bench.reserve(2);
  assert.equal(row.block, old.block);
  assert.notEqual(row.address, old.address);
  await bench.flush();
  assert.equal(bench.api.objects().length, 1);
  assert.deepEqual(bench.api.objects()[0]?.status?.allocations, {
    [row.gateway]: "gateway",
    [row.address]: "uid-2",
  });
});

Deno.test("a block that was deleted while pods are in it is claimed again", async () => {
  using bench = new Bench();
  const row = await bench.reserve(1);
  const name = bench.pool.blocks()[0]?.name ?? "";
  await bench.deliver();
  bench.api.remove(name);
  await bench.deliver();
  assert.equal(bench.api.object(name)?.spec.nodeName, "node-a");
  assert.equal((await bench.reserve(2)).block, row.block);
  await bench.flush();
  assert.equal(bench.api.object(name)?.status?.allocated, 3);
});

Deno.test("a block that another node took gives nothing more, and is forgotten with its last pod", async () => {
  using bench = new Bench();
  const row = await bench.reserve(1);
  const name = bench.pool.blocks()[0]?.name ?? "";
  await bench.deliver();
  bench.api.put({
    metadata: { name },
    spec: { cidr: row.block, nodeName: "node-b", vrfTable: 200 },
  });
  await bench.deliver();
  assert.deepEqual(bench.codes(), ["BlockDisputed"]);
  assert.notEqual((await bench.reserve(2)).block, row.block);
  await bench.flush();
  assert.equal(bench.api.object(name)?.status, undefined);
  bench.pool.release(row);
  await settle();
  assert.deepEqual(bench.codes(), []);
  assert.ok(!bench.pool.blocks().some((block) => block.name === name));
  assert.equal(bench.api.object(name)?.spec.nodeName, "node-b");
});

Deno.test("a block that overlaps another node's gives nothing more until that one is gone", async () => {
  using bench = new Bench();
  const row = await bench.reserve(1);
  const foreign = {
    metadata: { name: "vrf-200-10-150-0-0-25" },
    spec: { cidr: "10.150.0.0/24", nodeName: "node-b", vrfTable: 200 },
  };
  bench.api.put(foreign);
  await bench.deliver();
  assert.deepEqual(bench.codes(), ["BlockDisputed"]);
  await assert.rejects(bench.reserve(2), { code: "BlocksExhausted" });
  await bench.flush();
  const [block] = bench.pool.blocks();
  const conditions = () => bench.told(block?.name ?? "").conditions;
  assert.deepEqual(conditions(), ["Ready False BlockDisputed", "Unique True Unique"]);
  bench.api.remove(foreign.metadata.name);
  await bench.deliver();
  assert.equal((await bench.reserve(2)).block, row.block);
  await bench.flush();
  assert.deepEqual(conditions(), ["Ready True Held", "Unique True Unique"]);
});

Deno.test("a status that was changed by hand is put right", async () => {
  using bench = new Bench();
  const row = await bench.reserve(1);
  await bench.flush();
  await bench.deliver();
  const name = bench.pool.blocks()[0]?.name ?? "";
  const { client } = bench.api.client("someone");
  await client.patchStatus(name, {
    status: { allocated: 7, allocations: { "10.150.0.9": "x", [row.gateway]: null } },
  });
  await bench.deliver();
  await bench.flush();
  assert.deepEqual(bench.told(name), {
    status: {
      allocated: 2,
      capacity: 62,
      allocations: { [row.gateway]: "gateway", [row.address]: "uid-1" },
    },
    conditions: ["Ready True Held", "Unique True Unique"],
  });
});

Deno.test("a write that comes late does not undo a later one", async () => {
  using bench = new Bench();
  await bench.reserve(1);
  bench.api.fault = (verb) => verb === "patchStatus" ? "late" : "none";
  const flushing = bench.pool.flush(never);
  await settle();
  await bench.pool.reserve(blue, ownerOf(2), never);
  bench.api.fault = () => "none";
  await drive(bench.clock, flushing);
  bench.api.executeLate();
  assert.equal(bench.api.objects()[0]?.status?.allocated, 3);
});

Deno.test("a flush that is not done in time says so", async () => {
  using bench = new Bench();
  await bench.reserve(1);
  bench.api.fault = () => "down";
  const stop = new AbortController();
  const flushing = bench.pool.flush(stop.signal);
  await settle();
  stop.abort();
  await assert.rejects(flushing, { code: "FlushAborted" });
});

Deno.test("an empty block is released when there is room enough without it, and not before", async () => {
  using bench = new Bench();
  const events: number[] = [];
  bench.pool.subscribe(() => events.push(bench.pool.blocks().length));
  for (let i = 0; i < 47; i++) await bench.reserve(i);
  await settle();
  const collect = () => drive(bench.clock, bench.pool.collectGarbage([blue], never));
  assert.deepEqual((await collect()).released, []);
  for (let i = 0; i < 47; i++) bench.pool.release(ownerOf(i));
  assert.equal((await collect()).released.length, 1);
  assert.equal((await collect()).released.length, 0, "the last block stays");
  assert.equal(bench.api.objects().length, 1);
  assert.equal(events.at(-1), 1);
});

Deno.test("a block whose deletion got no answer gives nothing, across a restart, until it is gone", async () => {
  using bench = new Bench();
  const row = await bench.reserve(1);
  bench.pool.release(row);
  await bench.flush();
  await bench.deliver();
  bench.api.fault = (verb) => verb === "delete" ? "late" : "none";
  assert.equal((await drive(bench.clock, bench.pool.collectGarbage([], never))).failed, 1);
  bench.restart();
  assert.deepEqual(bench.pool.blocks(), []);
  assert.notEqual((await bench.reserve(2)).block, row.block);
  bench.api.executeLate();
  bench.api.fault = () => "none";
  assert.equal(
    (await drive(bench.clock, bench.pool.collectGarbage([blue], never))).released.length,
    1,
  );
  assert.equal(bench.api.objects().length, 1);
});

Deno.test("a domain is released with its last attachment, and says how many hold it", async () => {
  using bench = new Bench();
  await bench.reserve(1);
  await bench.reserve(2);
  await bench.reserve("red", { ...blue, name: "red", vrf: 300 });
  const release = () => drive(bench.clock, bench.pool.releaseDomain(200, never));
  assert.deepEqual(await release(), { attachments: 2, released: [], failed: 0, remaining: 1 });
  bench.pool.release(ownerOf(1));
  bench.pool.release(ownerOf(2));
  bench.api.fault = () => "down";
  const failed = await release();
  assert.deepEqual([failed.attachments, failed.failed, failed.remaining], [0, 1, 1]);
  bench.api.fault = () => "none";
  assert.deepEqual((await release()).remaining, 0);
  assert.deepEqual(bench.api.objects().map(({ spec }) => spec.vrfTable), [300]);
});

Deno.test("a journal that fails gives no address and takes none from later requests", async () => {
  using bench = new Bench();
  const first = await bench.reserve(1);
  const insert = bench.journal.insert;
  bench.journal.insert = () => {
    throw new Error("disk full");
  };
  await assert.rejects(bench.reserve(2), /disk full/);
  bench.journal.insert = insert;
  const second = await bench.reserve(2);
  assert.notEqual(second.address, first.address);
  assert.equal(bench.pool.list().length, 2);
});

Deno.test("with ten thousand blocks in the cluster a claim is still one request", async () => {
  const api = new FakeBlockApi();
  for (let i = 0; i < 10_000; i++) {
    const cidr = `10.${i >> 10}.${(i >> 2) & 255}.${(i & 3) * 64}/26`;
    api.put({
      metadata: { name: `vrf-200-${cidr.replaceAll(/[./]/g, "-")}` },
      spec: { cidr, nodeName: `node-${i % 2500}`, vrfTable: 200 },
    });
  }
  using bench = new Bench({ api });
  await bench.reserve(1, with4({ prefix: "10.0.0.0/8" }));
  assert.equal(api.total(), 1);
});

Deno.test("a deletion that is repeated spares the block that another node has made of it", async () => {
  using bench = new Bench();
  const row = await bench.reserve(1);
  const name = bench.pool.blocks()[0]?.name ?? "";
  bench.pool.release(row);
  bench.api.fault = (verb) => verb === "delete" ? "lost" : "none";
  const collect = () => drive(bench.clock, bench.pool.collectGarbage([], never));
  assert.deepEqual(await collect(), { released: [], failed: 1 });
  bench.api.fault = () => "none";
  bench.api.put({
    metadata: { name },
    spec: { cidr: row.block, nodeName: "node-b", vrfTable: 200 },
  });
  assert.deepEqual(await collect(), { released: [name], failed: 0 });
  assert.equal(bench.api.object(name)?.spec.nodeName, "node-b");
  assert.deepEqual(bench.journal.blocks(), []);
});

Deno.test("a deletion that takes effect late spares a block that was taken up again, whatever the node remembers", async (t) => {
  for (const lost of ["nothing", "its process", "its journal"]) {
    await t.step(`of a node that lost ${lost}`, async () => {
      using bench = new Bench();
      const { block } = await bench.reserve(1);
      await bench.flush();
      bench.cache.deliver();
      // The node loses its journal, and the domain goes before the node has taken its block up: nobody answers the deletion.
      bench.api.fault = () => "down";
      bench.loseJournal();
      await settle();
      bench.api.fault = (verb) => verb === "delete" ? "late" : "none";
      assert.equal((await bench.pool.releaseDomain(200, never)).remaining, 1);
      if (lost === "its process") bench.restart();
      if (lost === "its journal") bench.loseJournal();
      bench.api.fault = () => "none";
      const row = await bench.reserve(2);
      bench.api.executeLate();
      assert.equal(row.block, block);
      const [held] = bench.pool.blocks();
      assert.equal(bench.api.object(held?.name ?? "")?.spec.nodeName, "node-a");
    });
  }
});

Deno.test("a block that gives an address while its domain is being released stays", async () => {
  using bench = new Bench();
  for (let i = 0; i < 47; i++) await bench.reserve(i);
  await settle();
  for (let i = 0; i < 47; i++) bench.pool.release(ownerOf(i));
  bench.api.turns = () => 50;
  const releasing = bench.pool.releaseDomain(200, never);
  await pass(20);
  const [given] = (await bench.pool.reserve(blue, ownerOf("late"), never)).allocations;
  const report = await drive(bench.clock, releasing);
  assert.equal(report.released.length, 1);
  assert.ok(bench.api.objects().some(({ spec }) => spec.cidr === given?.block));
  assert.ok(bench.pool.blocks().some(({ cidr }) => cidr === given?.block));
});

Deno.test("a claim whose fate is unknown is not followed by others, and its block is used once it appears", async () => {
  using bench = new Bench();
  bench.api.fault = (verb) => verb === "create" ? "late" : "none";
  await assert.rejects(bench.reserve(1), { code: "ClaimFailed", message: /No answer came/ });
  assert.equal(bench.api.requests.get("create"), 1);
  bench.api.executeLate();
  await bench.deliver();
  bench.api.fault = () => "none";
  await bench.reserve(1);
  assert.equal(bench.api.requests.get("create"), 1);
  assert.equal(bench.api.objects().length, 1);
});

Deno.test("a pod of a domain with both IP versions gets an address of each, and blocks of both are told", async () => {
  using bench = new Bench();
  const { allocations } = await bench.reserve(1, dual);
  assert.deepEqual(allocations.map(({ address, prefixLength }) => [address, prefixLength]), [
    [allocations[0]?.gateway.replace(/\d+$/, (last) => String(Number(last) + 1)), 26],
    [allocations[1]?.gateway.replace(/1$/, "2"), 64],
  ]);
  assert.deepEqual(bench.pool.find(ownerOf(1))?.allocations, allocations);
  await bench.flush();
  const block = allocations[1]?.block ?? "";
  assert.match(block, /^fd00:150:0:[0-9a-f]+::\/64$/);
  assert.deepEqual(bench.told(ipBlockName(200, block)).status, {
    allocated: 2,
    capacity: Number.MAX_SAFE_INTEGER,
    allocations: {
      [allocations[1]?.gateway ?? ""]: "gateway",
      [allocations[1]?.address ?? ""]: "uid-1",
    },
  });
  bench.pool.release(ownerOf(1));
  await bench.flush();
  assert.deepEqual(bench.api.objects().map(({ status }) => status?.allocated), [1, 1]);
});

Deno.test("when one IP version has no address left, none of the other is given", async () => {
  using bench = new Bench();
  const narrow = { ...blue, ranges: [...tiny.ranges, ...dual.ranges.slice(1)] };
  for (let i = 0; i < 10; i++) await bench.reserve(i, narrow);
  await assert.rejects(bench.reserve(10, narrow), {
    code: "BlocksExhausted",
    message: /10\.150\.0\.0\/28/,
  });
  await bench.flush();
  assert.equal(bench.pool.list().length, 10);
  assert.deepEqual(
    bench.pool.blocks().filter(({ cidr }) => cidr.includes(":")).map(({ allocated }) => allocated),
    [11],
  );
  assert.deepEqual(bench.codes(), ["BlocksExhausted"]);
});

Deno.test("a domain that gets its second IP version later gives it to new pods, old ones keep what they have", async () => {
  using bench = new Bench();
  const before = await bench.reserve(1);
  const after = await bench.reserve(2, dual);
  assert.deepEqual([before.allocations.length, after.allocations.length], [1, 2]);
  assert.equal(after.block, before.block);
  bench.restart();
  assert.equal((await bench.reserve(1, dual)).allocations.length, 1);
  assert.equal((await bench.reserve(3, dual)).allocations.length, 2);
});

Deno.test("the blocks of both IP versions go with their domain, and only what is not needed goes before", async () => {
  using bench = new Bench();
  await bench.reserve(1, dual);
  bench.pool.release(ownerOf(1));
  const collect = () => drive(bench.clock, bench.pool.collectGarbage([dual], never));
  assert.deepEqual((await collect()).released, []);
  const report = await drive(bench.clock, bench.pool.releaseDomain(200, never));
  assert.deepEqual([report.released.length, report.remaining], [2, 0]);
  assert.deepEqual(bench.api.objects(), []);
});

Deno.test("a change that comes while the last write ends is written too, whenever that is", async () => {
  for (let turns = 0; turns < 60; turns++) {
    using bench = new Bench();
    const row = await bench.reserve(1);
    bench.clock.advance(1000);
    await pass(turns);
    bench.pool.release(row);
    await bench.deliver();
    await bench.flush();
    const [object] = bench.api.objects();
    assert.equal(object?.status?.allocated, 1, `after ${turns} turns`);
  }
});
