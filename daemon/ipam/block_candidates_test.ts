import assert from "node:assert/strict";
import fc from "fast-check";
import { candidateBlocks, domainRanges, startOf } from "./block_candidates.ts";
import { parseRange, rangeAt, rangesOverlap } from "./block_range.ts";
import type { PoolRange } from "./port.ts";

const four: PoolRange = { prefix: "10.0.0.0/26", blockLength: 29, addressLength: 29 };
const six: PoolRange = { prefix: "fd00::/48", blockLength: 64, addressLength: 64 };
const domainOf = (...ranges: PoolRange[]) => ({ name: "blue", vrf: 7, ranges });
const prefix = parseRange(four.prefix);
const offset = (by: number) => ({ family: 4 as const, value: prefix.first + BigInt(by) });

const query = (change: Partial<Parameters<typeof candidateBlocks>[0]>) => ({
  prefix,
  blockLength: 29,
  occupied: [],
  avoided: [],
  start: 0,
  ...change,
});

Deno.test("a domain whose prefix or block length makes no sense is refused", () => {
  for (
    const bad of [
      { prefix: "fd00::/64", blockLength: 127 },
      { prefix: "fd00::/64", blockLength: 63 },
      { prefix: "10.0.0.0" },
      { blockLength: 25 },
      { blockLength: 31 },
      { blockLength: 28.5 },
      { blockLength: NaN },
    ]
  ) {
    assert.throws(
      () => domainRanges(domainOf({ ...four, ...bad })),
      { code: "InvalidDomain" },
      JSON.stringify(bad),
    );
  }
  for (const ranges of [[], [four, four], [four, six, six]]) {
    assert.throws(() => domainRanges(domainOf(...ranges)), { code: "InvalidDomain" });
  }
  const ranges = domainRanges(domainOf(six, { ...four, prefix: "10.0.0.63/26" }));
  assert.deepEqual(ranges.map((range) => range.prefix.cidr), ["10.0.0.0/26", "fd00::/48"]);
});

Deno.test("what is in use of one IP version leaves the other alone, though the numbers be the same", () => {
  const same = parseRange("::a00:0/122");
  assert.equal(same.first, prefix.first);
  assert.equal([...candidateBlocks(query({ occupied: [same], avoided: [same] }))].length, 8);
});

Deno.test("of 2^62 blocks the next free one is found at once, from whatever position", () => {
  const wide = parseRange("fd00::/2");
  const taken = (slot: bigint) => rangeAt({ family: 6, value: wide.first + (slot << 64n) }, 64);
  const start = 0xffff_fffe;
  const [found] = candidateBlocks({
    prefix: wide,
    blockLength: 64,
    occupied: [taken(BigInt(start)), taken(BigInt(start) + 1n), taken(7n)],
    avoided: [],
    start,
  });
  assert.equal(found?.range.cidr, taken(BigInt(start) + 2n).cidr);
});

Deno.test("candidates begin at the node's position and go around once", () => {
  const found = [...candidateBlocks(query({ start: 6 + 8 * 5 }))].map(({ range }) => range.cidr);
  assert.equal(found[0], "10.0.0.48/29");
  assert.equal(found.length, 8);
  assert.equal(new Set(found).size, 8);
});

Deno.test("a range of another VRF of this node comes last and says so, one of the same VRF never", () => {
  const found = [...candidateBlocks(query({
    occupied: [parseRange("10.0.0.0/28"), parseRange("10.0.0.24/30"), parseRange("9.0.0.0/8")],
    avoided: [parseRange("10.0.0.16/29"), parseRange("10.0.0.24/29"), parseRange("10.0.0.62/31")],
  }))].map(({ range, overlapsOther }) => `${range.cidr} ${overlapsOther}`);
  assert.deepEqual(found, [
    "10.0.0.32/29 false",
    "10.0.0.40/29 false",
    "10.0.0.48/29 false",
    "10.0.0.16/29 true",
    "10.0.0.56/29 true",
  ]);
});

Deno.test("a block that is wider than the prefix occupies all of it", () => {
  assert.deepEqual([...candidateBlocks(query({ occupied: [parseRange("10.0.0.0/8")] }))], []);
});

Deno.test("whatever is in use, the candidates are exactly the free ranges", () => {
  const span = fc.tuple(fc.nat(90), fc.integer({ min: 26, max: 32 })).map(([by, length]) =>
    rangeAt(offset(by), length)
  );
  fc.assert(
    fc.property(
      fc.array(span),
      fc.array(span),
      fc.nat(),
      fc.integer({ min: 26, max: 30 }),
      (occupied, avoided, start, blockLength) => {
        const found = [...candidateBlocks(query({ occupied, avoided, start, blockLength }))];
        const cidrs = found.map(({ range }) => range.cidr);
        assert.equal(new Set(cidrs).size, cidrs.length);
        const slots = Array.from(
          { length: 2 ** (blockLength - 26) },
          (_, i) => rangeAt(offset(i * 2 ** (32 - blockLength)), blockLength),
        );
        const free = slots.filter((slot) => !occupied.some((used) => rangesOverlap(used, slot)));
        assert.deepEqual([...cidrs].sort(), free.map(({ cidr }) => cidr).sort());
        for (const { range, overlapsOther } of found) {
          assert.equal(
            overlapsOther,
            avoided.some((used) => rangesOverlap(used, range)),
          );
        }
        const firstClash = found.findIndex(({ overlapsOther }) => overlapsOther);
        if (firstClash >= 0) {
          assert.ok(found.slice(firstClash).every(({ overlapsOther }) => overlapsOther));
        }
      },
    ),
  );
});

Deno.test("nodes begin at different places, also when their names differ by one letter", () => {
  const slots = new Set<number>();
  for (let node = 0; node < 1000; node++) slots.add(startOf(`node-${node}`, 200) % 16384);
  // Balls in bins: 1000 into 16384 leave about 970 bins used.
  assert.ok(slots.size > 940, `only ${slots.size} of 1000 nodes begin alone`);
});

Deno.test("the last free block among ten thousand is found by looking at each block a few times only", () => {
  let looks = 0;
  const counted = (first: bigint) => ({
    family: 4 as const,
    get first() {
      looks++;
      return first;
    },
    last: first + 63n,
  });
  const wide = parseRange("10.0.0.0/8");
  const occupied = Array.from({ length: 10_000 }, (_, i) => counted(wide.first + BigInt(i * 64)));
  const [found] = candidateBlocks({
    prefix: wide,
    blockLength: 26,
    occupied,
    avoided: [],
    start: 0,
  });
  assert.equal(found?.range.first, wide.first + 640_000n);
  assert.ok(looks < 10_000 * 60, `${looks} looks`);
});
