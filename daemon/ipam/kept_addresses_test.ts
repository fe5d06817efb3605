import assert from "node:assert/strict";
import { drive, type FakeBlockApi, settle } from "./testing/fake_blocks.ts";
import { Bench, blue, dual, never, ownerOf } from "./testing/pool_bench.ts";
import type { Attachment, AttachmentWish, PoolDomain } from "./port.ts";

const strict: AttachmentWish = { addresses: [], keep: "strict" };
const onNode: AttachmentWish = { addresses: [], keep: "on-node" };
const day = 86_400;
const short: PoolDomain = { ...blue, keepSeconds: day };

/** The nth start of a pod of the given name: each has a container and a UID of its own. */
function start(
  bench: Bench,
  pod: string,
  run: number,
  wish: AttachmentWish = strict,
  domain: PoolDomain = short,
): Promise<Attachment> {
  const owner = { ...ownerOf(`${pod}-${run}`), pod };
  return drive(bench.clock, bench.pool.reserve(domain, owner, never, wish));
}

function end(bench: Bench, row: Attachment): void {
  bench.pool.markReleasing(row);
  bench.pool.release(row);
}

function addressOf(row: Attachment): string {
  const [allocation] = row.allocations;
  assert.ok(allocation);
  return allocation.address;
}

function keptIn(api: FakeBlockApi): Record<string, unknown> {
  return Object.assign({}, ...api.objects().map(({ status }) => status?.kept ?? {}));
}

/** Starts pods until every address that is fresh or was released has had its turn. */
async function useUp(bench: Bench, domain: PoolDomain): Promise<Set<string>> {
  const given = new Set<string>();
  for (let index = 0; index < 61; index++) {
    given.add(addressOf(await bench.reserve(`other-${index}`, domain)));
  }
  return given;
}

Deno.test("a pod that comes back has its address again, and nobody else gets it meanwhile", async () => {
  using bench = new Bench();
  const first = await start(bench, "web-0", 1);
  end(bench, first);
  const others = await useUp(bench, short);
  assert.ok(!others.has(addressOf(first)));
  assert.equal(addressOf(await start(bench, "web-0", 2)), addressOf(first));
});

Deno.test("a kept address that another pod wishes for is refused with whose it is", async () => {
  using bench = new Bench();
  const row = await start(bench, "web-0", 1);
  end(bench, row);
  const wish = { addresses: [{ address: addressOf(row) }] };
  await assert.rejects(bench.reserve("thief", short, wish), {
    code: "AddressInUse",
    message: /kept for "eth0" of the pod "default\/web-0" until 1970-01-02T/,
  });
});

Deno.test("each of several pods, and each interface, has its own address again", async () => {
  using bench = new Bench();
  const rows = [await start(bench, "web-0", 1), await start(bench, "web-1", 1)];
  const net1 = { ...ownerOf("web-0-1"), pod: "web-0", ifname: "net1" };
  rows.push(await drive(bench.clock, bench.pool.reserve(short, net1, never, strict)));
  for (const row of rows) end(bench, row);
  const again = [
    await start(bench, "web-0", 2),
    await start(bench, "web-1", 2),
    await drive(
      bench.clock,
      bench.pool.reserve(short, { ...net1, containerId: "cweb-0-2" }, never, strict),
    ),
  ];
  assert.deepEqual(again.map(addressOf), rows.map(addressOf));
});

Deno.test("in a domain with both IP versions both addresses stay, also where one is wished for", async () => {
  using bench = new Bench();
  const all = (row: Attachment) => row.allocations.map(({ address }) => address);
  const first = await start(bench, "web-0", 1, strict, dual);
  end(bench, first);
  await start(bench, "web-1", 1, strict, dual);
  const again = await start(bench, "web-0", 2, strict, dual);
  assert.deepEqual(all(again), all(first));
  end(bench, again);
  const [four = "", six = ""] = all(first);
  const named = { addresses: [{ address: "10.150.0.90" }], keep: "strict" } as const;
  const mixed = await start(bench, "web-0", 3, named, dual);
  assert.deepEqual(all(mixed), ["10.150.0.90", six]);
  await bench.flush();
  assert.ok(!(four in keptIn(bench.api)));
});

Deno.test("what is kept survives a restart of the daemon", async () => {
  using bench = new Bench();
  const attached = await start(bench, "web-0", 1);
  const gone = await start(bench, "web-1", 1);
  end(bench, gone);
  bench.restart();
  end(bench, attached);
  assert.equal(addressOf(await start(bench, "web-1", 2)), addressOf(gone));
  assert.equal(addressOf(await start(bench, "web-0", 2)), addressOf(attached));
});

Deno.test("what is kept survives a reboot, by the blocks' status", async () => {
  using before = new Bench();
  const attached = await start(before, "web-0", 1);
  const gone = await start(before, "web-1", 1);
  end(before, gone);
  await before.flush();
  assert.deepEqual(keptIn(before.api), {
    [addressOf(attached)]: { pod: "default/web-0", interface: "eth0", seconds: day },
    [addressOf(gone)]: {
      pod: "default/web-1",
      interface: "eth0",
      seconds: day,
      until: new Date(day * 1000).toISOString(),
    },
  });
  using after = new Bench({ api: before.api });
  assert.equal(addressOf(await start(after, "web-0", 2)), addressOf(attached));
  assert.ok(!(await useUp(after, short)).has(addressOf(gone)));
  assert.equal(addressOf(await start(after, "web-1", 2)), addressOf(gone));
});

Deno.test("a new kept address is written at once, not gathered with others", async () => {
  using bench = new Bench();
  const row = await start(bench, "web-0", 1);
  const { now } = bench.clock;
  await settle();
  assert.ok(addressOf(row) in keptIn(bench.api));
  assert.equal(bench.clock.now, now);
});

Deno.test("on another node a pod is refused with where its address is, or gets one there", async () => {
  using here = new Bench();
  const row = await start(here, "web-0", 1);
  end(here, row);
  await here.flush();
  using there = new Bench({ api: here.api, node: "node-b" });
  await assert.rejects(start(there, "web-0", 2), (error: Error) => {
    assert.match(error.message, /default\/web-0/);
    assert.ok(error.message.includes(`"${addressOf(row)}" in`));
    assert.match(error.message, /of the node "node-a", kept until .*"on-node"/);
    return "code" in error && error.code === "AddressElsewhere";
  });
  assert.deepEqual(there.pool.list(), []);
  const moved = await start(there, "web-0", 3, onNode);
  assert.notEqual(addressOf(moved), addressOf(row));
  end(there, moved);
  // Its own node's has precedence from now on.
  assert.equal(addressOf(await start(there, "web-0", 4)), addressOf(moved));
});

Deno.test("before the list of blocks has arrived nobody can tell what other nodes keep", async () => {
  using bench = new Bench({ synced: false });
  await assert.rejects(start(bench, "web-0", 1), { code: "ClaimFailed" });
  assert.deepEqual(bench.pool.list(), []);
});

Deno.test("after the time that the domain says the address is free again, on every node", async () => {
  using bench = new Bench();
  const row = await start(bench, "web-0", 1);
  const used = await start(bench, "web-1", 1);
  end(bench, row);
  await bench.flush();
  bench.clock.advance((day + 1) * 1000);
  using there = new Bench({ api: bench.api, node: "node-b" });
  there.clock.advance(bench.clock.now());
  assert.notEqual(addressOf(await start(there, "web-0", 2)), addressOf(row));
  await drive(bench.clock, bench.pool.collectGarbage([short], never));
  await bench.flush();
  assert.deepEqual(Object.keys(keptIn(bench.api)).includes(addressOf(row)), false);
  assert.ok(addressOf(used) in keptIn(bench.api), "a pod that runs keeps its address");
  await bench.reserve("other", short, { addresses: [{ address: addressOf(row) }] });
});

Deno.test("a clock that goes back frees no kept address and gives none twice", async () => {
  using bench = new Bench();
  bench.clock.advance(10 * day * 1000);
  const row = await start(bench, "web-0", 1);
  end(bench, row);
  bench.clock.advance(-9 * day * 1000);
  await drive(bench.clock, bench.pool.collectGarbage([short], never));
  bench.restart();
  const other = await start(bench, "web-1", 1);
  assert.notEqual(addressOf(other), addressOf(row));
  assert.equal(addressOf(await start(bench, "web-0", 2)), addressOf(row));
});

Deno.test("a pod that no longer wishes it keeps nothing, from its next start on", async () => {
  using bench = new Bench();
  const row = await start(bench, "web-0", 1);
  end(bench, row);
  const next = await start(bench, "web-0", 2, { addresses: [] });
  end(bench, next);
  await bench.flush();
  assert.deepEqual(keptIn(bench.api), {});
  await bench.reserve("other", short, { addresses: [{ address: addressOf(row) }] });
});

Deno.test("an address that is wished for by name takes the place of the one that was kept", async () => {
  using bench = new Bench();
  const row = await start(bench, "web-0", 1);
  end(bench, row);
  const wish = { addresses: [{ address: "10.150.0.90" }], keep: "strict" } as const;
  const named = await start(bench, "web-0", 2, wish);
  end(bench, named);
  assert.equal(addressOf(await start(bench, "web-0", 3)), "10.150.0.90");
  await bench.flush();
  assert.deepEqual(Object.keys(keptIn(bench.api)), ["10.150.0.90"]);
});

Deno.test("while an earlier container of the pod has the address the next one is refused", async () => {
  using bench = new Bench();
  const row = await start(bench, "web-0", 1);
  await assert.rejects(start(bench, "web-0", 2), { code: "AddressInUse" });
  bench.pool.markReleasing(row);
  await assert.rejects(start(bench, "web-0", 2), { code: "AddressLeaving" });
  bench.pool.release(row);
  assert.equal(addressOf(await start(bench, "web-0", 2)), addressOf(row));
});

Deno.test("a kept address holds its block, and a domain that goes holds none", async () => {
  using bench = new Bench();
  const row = await start(bench, "web-0", 1);
  end(bench, row);
  // Room enough elsewhere, so that an empty block would be given back.
  await bench.reserve("other", short, { addresses: [{ address: "10.150.0.200" }] });
  await bench.reserve("another", short, { addresses: [{ address: "10.150.0.100" }] });
  await bench.deliver();
  await drive(bench.clock, bench.pool.collectGarbage([short], never));
  assert.equal(addressOf(await start(bench, "web-0", 2)), addressOf(row));
  for (const each of bench.pool.list()) end(bench, each);
  const { remaining } = await drive(bench.clock, bench.pool.releaseDomain(blue.vrf, never));
  assert.equal(remaining, 0);
  assert.deepEqual(bench.api.objects(), []);
});

Deno.test("a block that another node has taken keeps nothing here", async () => {
  using bench = new Bench();
  const row = await start(bench, "web-0", 1);
  end(bench, row);
  await bench.deliver();
  const [block] = bench.api.objects();
  assert.ok(block);
  bench.api.put({ ...block, spec: { ...block.spec, nodeName: "node-b" }, status: undefined });
  await bench.deliver();
  await bench.flush();
  assert.notEqual(addressOf(await start(bench, "web-0", 2)), addressOf(row));
});

Deno.test("a block that is deleted keeps what it keeps only while a pod is in it", async () => {
  using bench = new Bench();
  const row = await start(bench, "web-0", 1);
  const neighbour = await start(bench, "web-1", 1);
  const other = await bench.reserve("other", short, { addresses: [{ address: "10.150.0.20" }] });
  end(bench, row);
  await bench.deliver();
  const [allocation] = row.allocations;
  const name = `vrf-200-${allocation?.block.replaceAll(/[./]/g, "-")}`;
  bench.api.remove(name);
  await bench.deliver();
  await bench.flush();
  const again = await start(bench, "web-0", 2);
  assert.equal(addressOf(again), addressOf(row), "a pod is in it");
  await bench.deliver();
  for (const each of [neighbour, again]) end(bench, each);
  bench.api.remove(name);
  await bench.deliver();
  await bench.flush();
  assert.equal(bench.api.object(name), undefined);
  assert.deepEqual(keptIn(bench.api), {});
  assert.deepEqual(bench.pool.list().map(addressOf), [addressOf(other)]);
});

Deno.test("what a status says of kept addresses is taken with care", async () => {
  using bench = new Bench();
  const kept = { pod: "default/web-0", interface: "eth0", seconds: day };
  bench.api.put({
    metadata: { name: "vrf-200-10-150-0-0-26" },
    spec: { cidr: "10.150.0.0/26", nodeName: "node-a", vrfTable: 200 },
    status: {
      kept: {
        "10.150.0.1": kept,
        "10.150.0.63": kept,
        "10.151.0.9": kept,
        "fd00::1": kept,
        "no address": kept,
        "10.150.0.20": { ...kept, pod: "default/web-1", until: "no time" },
        "10.150.0.30": { ...kept, pod: "default/web-2", until: "1969-12-31T00:00:00Z" },
      },
    },
  });
  await bench.deliver();
  await bench.flush();
  assert.equal(addressOf(await start(bench, "web-1", 1)), "10.150.0.20");
  assert.deepEqual(Object.keys(keptIn(bench.api)), ["10.150.0.20"]);
  assert.notEqual(addressOf(await start(bench, "web-2", 1)), "10.150.0.30");
});
