import assert from "node:assert/strict";
import { isKubeError } from "../kube/kube_error.ts";
import { FakeBlockApi } from "./testing/fake_blocks.ts";
import { Bench, blue, dual, ownerOf } from "./testing/pool_bench.ts";

/** The wish for one address. */
function at(...addresses: string[]) {
  return { addresses: addresses.map((address) => ({ address })) };
}

/** A block of the domain, as another created it. */
function block(node: string, cidr: string, vrfTable = 200) {
  const name = `vrf-${vrfTable}-${cidr.replaceAll(/[./]/g, "-")}`;
  return { metadata: { name }, spec: { cidr, nodeName: node, vrfTable } };
}

Deno.test("an address that the domain never gives is refused before anything is claimed", async (t) => {
  const cases: [string, string[], RegExp][] = [
    ["another family", ["fd00::5"], /has "10\.150\.0\.0\/24" only, found "fd00::5"/],
    ["outside the prefix", ["10.151.0.5"], /in the prefix "10\.150\.0\.0\/24".*"10\.151\.0\.5"/],
    ["two of a family", ["10.150.0.5", "10.150.0.6"], /one IPv4 address/],
    ["no address", ["web-0"], /found "web-0"/],
  ];
  for (const [name, addresses, message] of cases) {
    await t.step(name, async () => {
      using bench = new Bench();
      await assert.rejects(bench.reserve(1, blue, at(...addresses)), (error: Error) => {
        assert.match(error.message, message);
        return "code" in error && error.code === "AddressInvalid";
      });
      assert.equal(bench.api.total(), 0);
      assert.deepEqual(bench.pool.list(), []);
    });
  }
});

Deno.test("network, gateway and broadcast address of a block are refused", async () => {
  for (const [address, what] of [["64", "network"], ["65", "gateway"], ["127", "broadcast"]]) {
    using bench = new Bench();
    await assert.rejects(bench.reserve(1, blue, at(`10.150.0.${address}`)), (error: Error) => {
      assert.match(error.message, new RegExp(`the ${what}`));
      return "code" in error && error.code === "AddressInvalid";
    });
    assert.deepEqual(bench.pool.list(), []);
  }
});

Deno.test("an address with another length than the interface gets is refused", async () => {
  using bench = new Bench();
  const wish = (prefixLength: number) => ({
    addresses: [{ address: "10.150.0.70", prefixLength }],
  });
  await assert.rejects(bench.reserve(1, blue, wish(24)), {
    code: "AddressInvalid",
    message: /length 26.*found "\/24"/,
  });
  assert.deepEqual(bench.pool.list(), []);
  assert.equal((await bench.reserve(1, blue, wish(26))).prefixLength, 26);
});

Deno.test("a wished address is given, and its free block claimed for it", async () => {
  using bench = new Bench();
  const row = await bench.reserve(1, blue, at("10.150.0.200"));
  assert.deepEqual([row.address, row.block, row.gateway], [
    "10.150.0.200",
    "10.150.0.192/26",
    "10.150.0.193",
  ]);
  assert.equal(bench.api.object("vrf-200-10-150-0-192-26")?.spec.nodeName, "node-a");
  await bench.flush();
  const { allocations } = bench.api.object("vrf-200-10-150-0-192-26")?.status ?? {};
  assert.equal(allocations?.["10.150.0.200"], "uid-1");
});

Deno.test("a block at hand gives a wished address without the API", async () => {
  using bench = new Bench();
  const first = await bench.reserve(1, blue, at("10.150.0.70"));
  bench.api.fault = () => "down";
  assert.equal((await bench.reserve(2, blue, at("10.150.0.100"))).block, first.block);
});

Deno.test("without the API a block that is not at hand is for a later attempt", async () => {
  using bench = new Bench();
  bench.api.fault = () => "down";
  await assert.rejects(bench.reserve(1, blue, at("10.150.0.70")), { code: "ClaimFailed" });
  bench.api.fault = () => "none";
  assert.equal((await bench.reserve(1, blue, at("10.150.0.70"))).address, "10.150.0.70");
});

Deno.test("an address in use is refused with its holder's name, and given once that is gone", async () => {
  using bench = new Bench();
  await bench.reserve(1, blue, at("10.150.0.70"));
  await assert.rejects(bench.reserve(2, blue, at("10.150.0.70")), {
    code: "AddressInUse",
    message: /"10\.150\.0\.70".*given to the pod "default\/c1", the container "c1" with "eth0"/,
  });
  bench.pool.markReleasing(ownerOf(1));
  await assert.rejects(bench.reserve(2, blue, at("10.150.0.70")), { code: "AddressLeaving" });
  bench.pool.release(ownerOf(1));
  assert.equal((await bench.reserve(2, blue, at("10.150.0.70"))).address, "10.150.0.70");
  assert.deepEqual(bench.pool.list().map(({ containerId }) => containerId), ["c2"]);
});

Deno.test("another pod never gets a wished address that is held, nor a second one in its place", async () => {
  using bench = new Bench();
  await bench.reserve(1, blue, at("10.150.0.66"));
  const others = new Set<string>();
  for (let index = 2; index < 40; index++) others.add((await bench.reserve(index)).address);
  assert.equal(others.size, 38);
  assert.ok(!others.has("10.150.0.66"));
});

Deno.test("an address in another node's block is refused with the node's name", async (t) => {
  const api = new FakeBlockApi();
  api.put(block("node-b", "10.150.0.64/26"));
  const refused = {
    code: "AddressElsewhere",
    message: /"vrf-200-10-150-0-64-26" of the node "node-b"; start the pod there/,
  };
  await t.step("the cache knows the block", async () => {
    using bench = new Bench({ api });
    await assert.rejects(bench.reserve(1, blue, at("10.150.0.70")), refused);
    assert.deepEqual(bench.pool.list(), []);
  });
  await t.step("the cache is behind", async () => {
    using bench = new Bench({ api, synced: false });
    bench.cache.synced = true;
    await assert.rejects(bench.reserve(1, blue, at("10.150.0.70")), refused);
  });
  await t.step("the block is larger than the domain's", async () => {
    const wide = new FakeBlockApi();
    wide.put(block("node-b", "10.150.0.0/25"));
    using bench = new Bench({ api: wide });
    await assert.rejects(bench.reserve(1, blue, at("10.150.0.70")), {
      code: "AddressElsewhere",
      message: /"vrf-200-10-150-0-0-25" of the node "node-b"/,
    });
  });
});

Deno.test("a block that another node took while pods were in it gives no wished address", async () => {
  using bench = new Bench();
  const row = await bench.reserve(1, blue, at("10.150.0.70"));
  await bench.deliver();
  bench.api.put(block("node-b", row.block));
  await bench.deliver();
  await assert.rejects(bench.reserve(2, blue, at("10.150.0.71")), {
    code: "AddressElsewhere",
    message: /belongs to the node "node-b"/,
  });
});

Deno.test("after a reboot a wished address is given from the block that the API still knows", async () => {
  using before = new Bench();
  await before.reserve(1, blue, at("10.150.0.70"));
  await before.flush();
  using after = new Bench({ api: before.api });
  assert.equal((await after.reserve(1, blue, at("10.150.0.70"))).address, "10.150.0.70");
});

Deno.test("a block of another domain does not keep a node from a wished one of the same range", async () => {
  using bench = new Bench();
  await bench.reserve(1, { ...blue, name: "red", vrf: 300 }, at("10.150.0.70"));
  assert.equal((await bench.reserve(2, blue, at("10.150.0.70"))).address, "10.150.0.70");
  assert.ok(bench.codes().includes("BlockOverlap"));
});

Deno.test("two who wish the same address at once: one gets it", async () => {
  using bench = new Bench();
  const both = await Promise.allSettled(
    [1, 2].map((index) => bench.reserve(index, blue, at("10.150.0.70"))),
  );
  assert.deepEqual(both.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  assert.equal(bench.pool.list().length, 1);
  assert.ok(!both.some((one) => one.status === "rejected" && isKubeError(one.reason)));
});

Deno.test("the same container with another wish is refused, with the same one it keeps what it has", async () => {
  using bench = new Bench();
  await bench.reserve(1, blue, at("10.150.0.70"));
  assert.equal((await bench.reserve(1, blue, at("10.150.0.70"))).address, "10.150.0.70");
  await assert.rejects(bench.reserve(1, blue, at("10.150.0.71")), { code: "AddressInUse" });
});

Deno.test("a wished MAC is journaled with the address, and given once in a domain", async () => {
  using bench = new Bench();
  const mac = "02:00:00:00:00:07";
  const row = await bench.reserve(1, blue, { addresses: [], mac });
  assert.equal(row.mac, mac);
  await assert.rejects(bench.reserve(2, blue, { addresses: [], mac }), {
    code: "MacInUse",
    message: /"02:00:00:00:00:07".*the pod "default\/c1"/,
  });
  assert.equal(bench.pool.list().length, 1);
  assert.equal(
    (await bench.reserve(3, { ...blue, name: "red", vrf: 300 }, { addresses: [], mac })).mac,
    mac,
  );
});

Deno.test("of each IP version one address may be wished, and any free one comes where none is", async () => {
  using bench = new Bench();
  const given = async (index: number, ...addresses: string[]) =>
    (await bench.reserve(index, dual, at(...addresses))).allocations.map(({ address }) => address);
  assert.deepEqual(await given(1, "fd00:150:0:7::9", "10.150.0.70"), [
    "10.150.0.70",
    "fd00:150:0:7::9",
  ]);
  assert.deepEqual(await given(2, "fd00:150:0:7::a"), ["10.150.0.66", "fd00:150:0:7::a"]);
  for (const address of ["fd00:150:0:7::9", "10.150.0.70"]) {
    await assert.rejects(given(3, address), { code: "AddressInUse" });
  }
  for (const address of ["fd00:150:0:7::1", "fd00:150:0:7::", "fd00:151::5"]) {
    await assert.rejects(given(3, address), { code: "AddressInvalid" });
  }
  assert.equal(bench.pool.list().length, 2);
});
