import assert from "node:assert/strict";
import fc from "fast-check";
import { BlockAddresses, chooseAddress, claimThreshold, statusOf } from "./allocator.ts";
import { capacityOf, gatewayOf, parseRange, rangeAt } from "./block_range.ts";

const base = parseRange("10.0.0.0/29");
const at = (offset: number) => base.first + offset;

Deno.test("a text that is no IPv4 prefix is refused as a block", () => {
  for (
    const text of [
      "",
      "10.0.0.0",
      "10.0.0.0/33",
      "fd00::/64",
      "10.0.0/24",
      "10.0.0.256/24",
      "10.0.0.0/-1",
    ]
  ) {
    assert.throws(() => parseRange(text), { code: "InvalidBlock" }, text);
  }
});

Deno.test("a block's host bits are cleared, its gateway is the first usable address", () => {
  const range = parseRange("255.255.255.77/26");
  assert.deepEqual(range, {
    cidr: "255.255.255.64/26",
    first: 0xffffff40,
    last: 0xffffff7f,
    length: 26,
  });
  assert.equal(gatewayOf(range), "255.255.255.65");
  assert.equal(capacityOf(range), 62);
  assert.equal(capacityOf(rangeAt(0, 31)), 0);
  assert.equal(capacityOf(rangeAt(0, 32)), 0);
});

Deno.test("network, gateway and broadcast address cannot be taken, nor anything outside the block", () => {
  const block = new BlockAddresses(base);
  for (const offset of [-1, 0, 1, 7, 8, 2.5]) assert.equal(block.take(at(offset), "x"), false);
  assert.equal(block.take(at(2), "x"), true);
  assert.equal(block.take(at(2), "y"), false);
  assert.equal(block.holder(at(2)), "x");
});

Deno.test("addresses without an earlier holder are given first, then the one free for longest", () => {
  const block = { addresses: new BlockAddresses(base) };
  const given: number[] = [];
  let sequence = 0;
  const give = () => {
    const choice = chooseAddress([block]);
    if (choice === undefined) return undefined;
    assert.ok(block.addresses.take(choice.address, "x"));
    given.push(choice.address - base.first);
    return choice.address;
  };
  give();
  give();
  block.addresses.release(at(3), ++sequence);
  block.addresses.release(at(2), ++sequence);
  while (give() !== undefined);
  assert.deepEqual(given, [2, 3, 4, 5, 6, 3, 2]);
});

Deno.test("of several blocks the longest free address is given, whichever block it is in", () => {
  const blocks = ["10.0.0.0/30", "10.0.0.4/30", "10.0.0.8/30"]
    .map((cidr) => ({ addresses: new BlockAddresses(parseRange(cidr)) }));
  for (const { addresses } of blocks) assert.ok(addresses.take(addresses.range.first + 2, "x"));
  assert.equal(chooseAddress(blocks), undefined);
  for (const [index, sequence] of [[2, 1], [0, 2], [1, 3]] as const) {
    const addresses = blocks[index]?.addresses;
    addresses?.release(addresses.range.first + 2, sequence);
  }
  assert.equal(chooseAddress(blocks)?.address, at(10));
});

Deno.test("a block longer than /30 gives nothing and counts nothing as free", () => {
  for (const length of [31, 32]) {
    const addresses = new BlockAddresses(rangeAt(base.first, length));
    assert.equal(addresses.free, 0);
    assert.equal(chooseAddress([{ addresses }]), undefined);
  }
});

Deno.test("the status counts the gateway and names every holder", () => {
  const block = new BlockAddresses(base);
  block.take(at(2), "pod-a");
  assert.deepEqual(statusOf(block), {
    allocated: 2,
    capacity: 6,
    allocations: { "10.0.0.1": "gateway", "10.0.0.2": "pod-a" },
  });
});

Deno.test("the next block is wanted when a quarter is left, and never when a block could not satisfy that", () => {
  assert.deepEqual([24, 26, 28, 29, 30].map(claimThreshold), [63, 15, 3, 2, 1]);
});

Deno.test("whatever is taken, released and retired, each address is given once and all come back", () => {
  const step = fc.record({ what: fc.constantFrom("give", "release", "retire"), pick: fc.nat(40) });
  fc.assert(
    fc.property(
      fc.integer({ min: 27, max: 30 }),
      fc.array(step, { maxLength: 120 }),
      (length, steps) => {
        const addresses = new BlockAddresses(rangeAt(base.first, length));
        const held: number[] = [];
        let sequence = 0;
        for (const { what, pick } of steps) {
          if (what === "give") {
            const choice = chooseAddress([{ addresses }]);
            assert.equal(choice === undefined, addresses.free === 0);
            if (choice === undefined) continue;
            assert.ok(!held.includes(choice.address));
            assert.ok(addresses.take(choice.address, "x"));
            held.push(choice.address);
          } else if (what === "release") {
            const [address] = held.splice(pick % Math.max(held.length, 1), 1);
            if (address !== undefined) assert.ok(addresses.release(address, ++sequence));
          } else addresses.retire(base.first + pick, ++sequence);
          assert.equal(addresses.given, held.length);
          assert.equal(addresses.free, capacityOf(addresses.range) - 1 - held.length);
        }
        for (let choice; (choice = chooseAddress([{ addresses }]));) {
          addresses.take(choice.address, "x");
        }
        assert.equal(addresses.given, capacityOf(addresses.range) - 1);
      },
    ),
  );
});
