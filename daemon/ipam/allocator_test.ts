import assert from "node:assert/strict";
import fc from "fast-check";
import { BlockAddresses, chooseAddress, claimThreshold, statusOf } from "./allocator.ts";
import { capacityOf, gatewayOf, parseRange, rangeAt } from "./block_range.ts";

const base = parseRange("10.0.0.0/29");
const at = (offset: number) => base.first + BigInt(offset);

Deno.test("a text that is no prefix is refused as a block", () => {
  for (
    const text of [
      "",
      "10.0.0.0",
      "10.0.0.0/33",
      "fd00::/129",
      "fd00:::/64",
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
    family: 4,
    cidr: "255.255.255.64/26",
    first: 0xffffff40n,
    last: 0xffffff7fn,
    length: 26,
  });
  assert.equal(gatewayOf(range), "255.255.255.65");
  assert.equal(capacityOf(range), 62);
  for (const length of [31, 32]) {
    assert.equal(capacityOf(rangeAt({ family: 4, value: 0n }, length)), 0);
  }
});

Deno.test("an IPv6 block has a gateway and no broadcast address, and counts no further than a number can", () => {
  const range = parseRange("FD00:150::7:9/125");
  assert.deepEqual(range, {
    family: 6,
    cidr: "fd00:150::7:8/125",
    first: 0xfd00_0150_0000_0000_0000_0000_0007_0008n,
    last: 0xfd00_0150_0000_0000_0000_0000_0007_000fn,
    length: 125,
  });
  assert.equal(gatewayOf(range), "fd00:150::7:9");
  assert.deepEqual(
    [125, 126, 127, 128].map((length) => capacityOf(rangeAt({ family: 6, value: 0n }, length))),
    [7, 3, 1, 0],
  );
  assert.equal(capacityOf(parseRange("fd00::/64")), Number.MAX_SAFE_INTEGER);
});

Deno.test("an IPv6 block of 2^64 addresses gives one after the other, its last one too, and spares the first two", () => {
  const block = { addresses: new BlockAddresses(parseRange("fd00:150::/64")) };
  const { addresses } = block;
  const { first, last } = addresses.range;
  for (const address of [first - 1n, first, first + 1n, last + 1n]) {
    assert.equal(addresses.take(address, "x"), false);
  }
  assert.ok(addresses.take(first + 2n, "a") && addresses.take(last, "b"));
  assert.equal(chooseAddress([block])?.address, first + 3n);
  assert.deepEqual(statusOf(addresses), {
    allocated: 3,
    capacity: Number.MAX_SAFE_INTEGER,
    allocations: {
      "fd00:150::1": "gateway",
      "fd00:150::2": "a",
      "fd00:150::ffff:ffff:ffff:ffff": "b",
    },
  });
});

Deno.test("network, gateway and broadcast address cannot be taken, nor anything outside the block", () => {
  const block = new BlockAddresses(base);
  for (const offset of [-1, 0, 1, 7, 8]) assert.equal(block.take(at(offset), "x"), false);
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
    given.push(Number(choice.address - base.first));
    return choice.address;
  };
  give();
  give();
  block.addresses.release(at(3), ++sequence);
  block.addresses.release(at(2), ++sequence);
  while (give() !== undefined);
  assert.deepEqual(given, [2, 3, 4, 5, 6, 3, 2]);
});

Deno.test("who had an address before gets it again while it is free, whichever block it is in", () => {
  const blocks = ["10.0.0.0/29", "10.0.0.8/29"]
    .map((cidr) => ({ addresses: new BlockAddresses(parseRange(cidr)) }));
  const [, second] = blocks;
  assert.ok(second);
  assert.ok(second.addresses.take(at(11), "pod"));
  assert.equal(chooseAddress(blocks, "pod")?.address, at(2), "it may have several at a time");
  second.addresses.release(at(11), 1);
  assert.equal(chooseAddress(blocks, "pod")?.address, at(11));
  assert.equal(chooseAddress(blocks, "another")?.address, at(2));
  assert.ok(second.addresses.take(at(11), "another"));
  assert.equal(chooseAddress(blocks, "pod")?.address, at(2), "unless another got it");
  second.addresses.release(at(11), 2);
  assert.equal(chooseAddress(blocks, "pod")?.address, at(2), "then it is the other's");
  second.addresses.retire(at(12), 3, "pod");
  assert.equal(chooseAddress(blocks, "pod")?.address, at(12), "as the status knows it");
});

Deno.test("of several blocks the longest free address is given, whichever block it is in", () => {
  const blocks = ["10.0.0.0/30", "10.0.0.4/30", "10.0.0.8/30"]
    .map((cidr) => ({ addresses: new BlockAddresses(parseRange(cidr)) }));
  for (const { addresses } of blocks) assert.ok(addresses.take(addresses.range.first + 2n, "x"));
  assert.equal(chooseAddress(blocks), undefined);
  for (const [index, sequence] of [[2, 1], [0, 2], [1, 3]] as const) {
    const addresses = blocks[index]?.addresses;
    addresses?.release(addresses.range.first + 2n, sequence);
  }
  assert.equal(chooseAddress(blocks)?.address, at(10));
});

Deno.test("a block longer than /30 gives nothing and counts nothing as free", () => {
  for (const length of [31, 32]) {
    const addresses = new BlockAddresses(rangeAt({ family: 4, value: base.first }, length));
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
  assert.deepEqual([24, 26, 28, 29, 30].map((length) => claimThreshold(length)), [63, 15, 3, 2, 1]);
  assert.deepEqual([112, 125, 126].map((length) => claimThreshold(length, 6)), [16383, 2, 2]);
});

Deno.test("whatever is taken, released and retired, each address is given once and all come back", () => {
  const step = fc.record({ what: fc.constantFrom("give", "release", "retire"), pick: fc.nat(40) });
  fc.assert(
    fc.property(
      fc.integer({ min: 27, max: 30 }),
      fc.constantFrom(4, 6),
      fc.array(step, { maxLength: 120 }),
      (length, family, steps) => {
        const bits = family === 4 ? length : length + 96;
        const addresses = new BlockAddresses(rangeAt({ family, value: base.first }, bits));
        const held: bigint[] = [];
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
          } else addresses.retire(base.first + BigInt(pick), ++sequence, "x");
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
