import assert from "node:assert/strict";
import type { Attachment, StandingInterface } from "./port.ts";
import { Bench, blue, dual, ownerOf } from "./testing/pool_bench.ts";

/** A pod as the kernel has it. */
function standing(
  { network, containerId, ifname, hostIfname, allocations }: Attachment,
): StandingInterface {
  return {
    ...{ network, containerId, ifname, hostIfname, mac: "02:00:00:00:00:01" },
    addresses: [{ address: "192.0.2.9", prefixLength: 24 }, ...allocations],
  };
}

Deno.test("a block whose pods the kernel cannot tell gives nothing until it can", async () => {
  using bench = new Bench();
  const row = await bench.reserve(1);
  await bench.flush();
  bench.cache.deliver();
  bench.standing = () => {
    throw new Error("refused");
  };
  bench.loseJournal();
  await assert.rejects(bench.reserve(2), { code: "ClaimFailed", message: /refused/ });
  bench.standing = () => [standing(row)];
  assert.notEqual((await bench.reserve(2)).address, row.address);
});

Deno.test("a pod that runs keeps its addresses of both IP versions when the journal is lost", async () => {
  using bench = new Bench();
  const row = await bench.reserve(1, dual);
  bench.pool.commit(row, { mac: "02:00:00:00:00:01" });
  await bench.flush();
  bench.cache.deliver();
  bench.standing = () => [standing(row)];
  bench.loseJournal();
  const other = await bench.reserve(2, dual);
  const given = other.allocations.map(({ address }) => address);
  assert.ok(row.allocations.every(({ address }) => !given.includes(address)));
  const found = bench.pool.find(ownerOf(1));
  assert.deepEqual(found, {
    ...bench.pool.find(ownerOf(2)),
    ...{ containerId: "c1", podUid: "uid-1", hostIfname: row.hostIfname },
    ...{ allocations: row.allocations, state: "attached", mac: "02:00:00:00:00:01" },
    // Nobody says these.
    ...{ namespace: "", pod: "", netnsPath: "" },
  });
  await bench.flush();
  const allocations = bench.api.objects().flatMap(({ status }) =>
    Object.entries(status?.allocations ?? {})
  );
  for (const { address } of row.allocations) {
    assert.ok(allocations.some(([at, who]) => at === address && who === "uid-1"), address);
  }
  bench.pool.release(ownerOf(1));
  assert.equal(bench.pool.find(ownerOf(1)), undefined);
});

Deno.test("an address that two interfaces have is entered once, and one of no block not at all", async () => {
  using bench = new Bench();
  const row = await bench.reserve(1);
  await bench.flush();
  bench.cache.deliver();
  const twin = { ...standing(row), containerId: "c7", hostIfname: "veth7" };
  const stranger = { ...twin, containerId: "c8", hostIfname: "veth8", addresses: [] };
  bench.standing = () => [standing(row), twin, stranger];
  bench.loseJournal();
  await bench.reserve(2, blue);
  assert.deepEqual(bench.pool.list().map(({ containerId }) => containerId).sort(), ["c1", "c2"]);
});
