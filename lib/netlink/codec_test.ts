import assert from "node:assert/strict";
import fc from "fast-check";
import { AddressError } from "../net/address.ts";
import { attributeTable, listOf, NLA_F_NESTED } from "./attributes.ts";
import { ByteWriter } from "./byte_writer.ts";
import {
  be16,
  be32,
  bool8,
  bytes,
  type Codec,
  decode,
  flag,
  hardwareAddress,
  i32,
  ipAddress,
  struct,
  text,
  u16,
  u32,
  u64,
  u8,
} from "./codec.ts";
import { NetlinkDecodeError, NetlinkEncodeError } from "./errors.ts";

const table = attributeTable({
  byte: [1, u8],
  half: [2, u16],
  word: [3, u32],
  long: [4, u64],
  port: [5, be16],
  label: [6, be32],
  name: [7, text],
  raw: [8, bytes],
  mac: [9, hardwareAddress],
  address: [10, ipAddress],
  here: [11, flag],
  yes: [12, bool8],
  signed: [13, i32],
  nested: [14, attributeTable({ word: [1, u32] })],
  names: [15 | NLA_F_NESTED, listOf([53, text])],
});

function encode<T>(codec: Codec<T>, value: T): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(2);
  codec.write(writer, value);
  return writer.copy();
}

Deno.test("Values that do not fit their attribute are refused", () => {
  for (const value of [-1, 256, 1.5, NaN, Infinity]) {
    assert.throws(() => encode(table, { byte: value }), NetlinkEncodeError);
  }
  assert.throws(() => encode(table, { half: 65536 }), NetlinkEncodeError);
  assert.throws(() => encode(table, { word: 2 ** 32 }), NetlinkEncodeError);
  assert.throws(() => encode(table, { signed: 2 ** 31 }), NetlinkEncodeError);
  assert.throws(() => encode(table, { long: -1n }), NetlinkEncodeError);
  assert.throws(() => encode(table, { name: "a\0b" }), NetlinkEncodeError);
  assert.throws(() => encode(table, { mac: "02:zz" }), NetlinkEncodeError);
  assert.throws(() => encode(table, { address: "10.0.0" }), AddressError);
});

Deno.test("Attributes of the wrong size are refused with a typed error", () => {
  const cases = [
    "06000100" + "01020000",
    "05000200" + "01000000",
    "07000300" + "01020300",
    "08000400" + "01000000",
    "09000a00" + "0102030405000000",
  ];
  for (const hex of cases) {
    assert.throws(() => decode(table, Uint8Array.fromHex(hex)), NetlinkDecodeError, hex);
  }
  for (const hex of ["0300", "03000100", "ffff0100", "0000000000000000", "08000100010000"]) {
    assert.throws(() => decode(table, Uint8Array.fromHex(hex)), NetlinkDecodeError, hex);
  }
});

Deno.test("Attributes stand on the wire in the order, sizes and byte orders of their types", () => {
  assert.equal(encode(table, { byte: 1 }).toHex(), "0500010001000000");
  assert.equal(encode(table, { half: 0x102 }).toHex(), "0600020002010000");
  assert.equal(encode(table, { port: 0x102 }).toHex(), "0600050001020000");
  assert.equal(encode(table, { label: 0x1020304 }).toHex(), "0800060001020304");
  assert.equal(encode(table, { name: "lo" }).toHex(), "070007006c6f0000");
  assert.equal(encode(table, { here: true, yes: false }).toHex(), "04000b00" + "05000c0000000000");
  assert.equal(encode(table, { here: false, byte: undefined }).toHex(), "");
  assert.equal(encode(table, { nested: { word: 7 } }).toHex(), "0c000e000800010007000000");
  assert.equal(encode(table, { names: ["a"] }).toHex(), "0c000f80" + "0600350061000000");
  assert.equal(encode(table, { mac: "" }).toHex(), "04000900");
});

Deno.test("Any values survive encoding and decoding", () => {
  const option = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
  const values = fc.record({
    byte: option(fc.nat(255)),
    long: option(fc.bigInt(0n, (1n << 64n) - 1n)),
    signed: option(fc.integer()),
    port: option(fc.nat(65535)),
    name: option(fc.string({ unit: "grapheme" }).filter((s) => !s.includes("\0"))),
    raw: option(fc.uint8Array().map((b) => new Uint8Array(b))),
    yes: option(fc.boolean()),
    names: option(fc.array(fc.string({ unit: fc.constantFrom("a", "ä", "€") }))),
  });
  fc.assert(fc.property(values, (value) => {
    const decoded = decode(table, encode(table, value));
    for (const key of Object.keys(value) as (keyof typeof value)[]) {
      assert.deepEqual(decoded[key], value[key]);
    }
  }));
});

Deno.test("Attributes that are not known, repeated or marked otherwise come out as they came in", () => {
  for (
    const hex of [
      "0800370001020304", // unknown
      "0800378001020304" + "0800370005060708" + "04003700", // unknown three times, once marked
      "0500010001000000" + "0500010002000000" + "0500010003000000", // known three times
      "0c000e800800010007000000", // marked as nested
      "0c000f000600350061000000", // not marked as nested
      "060007006c6f0000" + "04000700", // a text without its closing zero, and an empty one
    ]
  ) {
    assert.equal(encode(table, decode(table, Uint8Array.fromHex(hex))).toHex(), hex);
  }
});

Deno.test("A decoded value keeps its form on the wire when it is copied and changed", () => {
  const decoded = decode(table, Uint8Array.fromHex("060007006c6f0000"));
  assert.equal(
    encode(table, { ...decoded, byte: 1 }).toHex(),
    "060007006c6f0000" + "0500010001000000",
  );
});

Deno.test("A struct has its fields in order, zeros for those not given, and a fixed size", () => {
  const header = struct({ family: u8, reserved: u8, type: u16, index: i32 });
  assert.equal(header.size, 8);
  const writer = new ByteWriter();
  header.write(writer, { family: 7, index: -1 });
  assert.equal(writer.copy().toHex(), "07000000ffffffff");
  assert.deepEqual(decode(header, writer.copy()), { family: 7, reserved: 0, type: 0, index: -1 });
  assert.throws(() => decode(header, new Uint8Array(7)), NetlinkDecodeError);
});
