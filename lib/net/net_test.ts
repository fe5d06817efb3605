import assert from "node:assert/strict";
import fc from "fast-check";
import {
  AddressError,
  addressFamily,
  addressToBytes,
  bigintToIpv6,
  bytesToAddress,
  expandIpv6,
  ipv4ToNumber,
  ipv6ToBigint,
  numberToIpv4,
} from "./address.ts";
import { decodeGratuitousArp, encodeGratuitousArp } from "./arp.ts";
import { formatMac, linkLocalOf, macFromSeed, parseMac } from "./mac.ts";
import {
  broadcastOf,
  contains,
  formatPrefix,
  hostPrefix,
  networkOf,
  overlaps,
  parsePrefix,
} from "./prefix.ts";

Deno.test("Text that is no address is refused with a typed error", () => {
  const bad = [
    "",
    "1",
    "1.2.3",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4 ",
    "1.2.3.4.5",
    "a.b.c.d",
    "0x1.2.3.4",
  ];
  for (const text of bad) {
    assert.throws(() => ipv4ToNumber(text), AddressError, text);
    assert.throws(() => addressToBytes(text), AddressError, text);
  }
  const bad6 = [
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "12345::",
    "::1%eth0",
    "1.2.3.4::",
    "::1.2.3",
    "1::2:3:4:5:6:7:8",
    ":1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
  ];
  for (const text of bad6) {
    assert.throws(() => ipv6ToBigint(text), AddressError, text);
    assert.equal(addressFamily(text), undefined, text);
  }
});

Deno.test("Text that is no prefix is refused with a typed error", () => {
  for (
    const text of [
      "",
      "10.0.0.0",
      "10.0.0.0/",
      "10.0.0.0/33",
      "10.0.0.0/08",
      "/8",
      "::/129",
      "10.0.0.0/8/8",
      "10.0.0.0/-1",
      "x/8",
    ]
  ) {
    assert.throws(() => parsePrefix(text), AddressError, text);
  }
});

Deno.test("Text that is no MAC address is refused with a typed error", () => {
  for (
    const text of [
      "",
      "02:00:00:00:00",
      "02:00:00:00:00:0g",
      "02-00-00-00-00-01",
      "02:00:00:00:00:01:02",
    ]
  ) {
    assert.throws(() => parseMac(text), AddressError, text);
  }
});

Deno.test("Numbers outside an address's range are refused", () => {
  for (const value of [-1, 2 ** 32, 0.5, NaN]) {
    assert.throws(() => numberToIpv4(value), AddressError);
  }
  for (const value of [-1n, 1n << 128n]) assert.throws(() => bigintToIpv6(value), AddressError);
  assert.throws(() => bytesToAddress(new Uint8Array(5)), AddressError);
});

Deno.test("IPv6 addresses are formatted as RFC 5952 says", () => {
  const cases: [string, string][] = [
    ["::", "::"],
    ["::1", "::1"],
    ["2001:DB8::0:1", "2001:db8::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::ffff:1.2.3.4", "::ffff:1.2.3.4"],
    ["fe80::", "fe80::"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
  ];
  for (const [text, canonical] of cases) {
    assert.equal(bytesToAddress(addressToBytes(text)), canonical);
  }
});

Deno.test("An IPv6 address with all its digits is one text, and text that is none is refused", () => {
  for (const text of ["10.0.0.1", "fd00::/64", ""]) {
    assert.throws(() => expandIpv6(text), AddressError);
  }
  assert.equal(expandIpv6("::"), "0000:0000:0000:0000:0000:0000:0000:0000");
  for (const text of ["FD00:150::1", "fd00:0150:0:0:0:0:0:1", "fd00:150::0.0.0.1"]) {
    assert.equal(expandIpv6(text), "fd00:0150:0000:0000:0000:0000:0000:0001");
  }
});

Deno.test("Every address survives formatting and parsing", () => {
  fc.assert(fc.property(fc.nat(0xffffffff), (n) => ipv4ToNumber(numberToIpv4(n)) === n));
  fc.assert(
    fc.property(fc.bigInt(0n, (1n << 128n) - 1n), (n) => ipv6ToBigint(bigintToIpv6(n)) === n),
  );
  fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
    assert.deepEqual([...addressToBytes(bytesToAddress(bytes))], [...bytes]);
  }));
  fc.assert(fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
    assert.deepEqual([...parseMac(formatMac(bytes))], [...bytes]);
  }));
});

Deno.test("Prefix arithmetic follows the bits", () => {
  const prefix = parsePrefix("10.1.2.3/20");
  assert.deepEqual(prefix, { family: 4, address: "10.1.2.3", length: 20 });
  assert.equal(formatPrefix(networkOf(prefix)), "10.1.0.0/20");
  assert.equal(broadcastOf(prefix), "10.1.15.255");
  assert.equal(contains(prefix, "10.1.15.255"), true);
  assert.equal(contains(prefix, "10.1.16.0"), false);
  assert.equal(contains(prefix, "::1"), false);
  assert.equal(contains(parsePrefix("0.0.0.0/0"), prefix), true);
  assert.equal(contains(prefix, parsePrefix("10.0.0.0/8")), false);
  assert.equal(overlaps(parsePrefix("10.0.0.0/8"), prefix), true);
  assert.equal(overlaps(parsePrefix("10.2.0.0/16"), prefix), false);
  assert.equal(overlaps(parsePrefix("::/0"), prefix), false);
  assert.equal(formatPrefix(networkOf(parsePrefix("fd00:1:2:3::9/48"))), "fd00:1:2::/48");
  assert.equal(broadcastOf(parsePrefix("fd00::/126")), "fd00::3");
  assert.equal(formatPrefix(hostPrefix("10.0.0.1")), "10.0.0.1/32");
});

Deno.test("A seeded MAC address is stable, unicast, local and spread", () => {
  assert.equal(macFromSeed("node-a/vrf-200"), macFromSeed("node-a/vrf-200"));
  const seen = new Set<string>();
  for (let i = 0; i < 5000; i++) {
    const mac = macFromSeed(`node-${i}/vrf-200`);
    assert.equal((parseMac(mac)[0] ?? 0) & 3, 2);
    seen.add(mac);
  }
  assert.equal(seen.size, 5000);
});

Deno.test("A link-local address follows from the MAC address as the kernel's does", () => {
  assert.throws(() => linkLocalOf("02:00"), AddressError);
  assert.equal(linkLocalOf("02:00:00:00:00:01"), "fe80::ff:fe00:1");
  assert.equal(linkLocalOf("5e:e5:bb:8b:ee:9c"), "fe80::5ce5:bbff:fe8b:ee9c");
});

Deno.test("A gratuitous ARP frame announces the sender to everybody", () => {
  const frame = encodeGratuitousArp("02:11:22:33:44:55", "10.0.0.9");
  assert.equal(
    frame.toHex(),
    "ffffffffffff021122334455080600010800060400010211223344550a000009" + "000000000000" +
      "0a000009",
  );
  assert.throws(() => encodeGratuitousArp("02:11:22:33:44:55", "::1"), AddressError);
});

Deno.test("Of ARP frames only announcements by the one who has the address are taken for such", () => {
  const announced = { mac: "02:11:22:33:44:55", address: "10.0.0.9" };
  const frame = encodeGratuitousArp(announced.mac, announced.address);
  const changed = (offset: number, ...bytes: number[]) => {
    const copy = frame.slice();
    copy.set(bytes, offset);
    return copy;
  };
  const others = [
    frame.subarray(0, 41),
    changed(0, 0x02), // to one alone
    changed(6, 0x06), // sent by another
    changed(12, 0x86, 0xdd), // IPv6
    changed(14, 0, 6), // of another kind of link
    changed(16, 0x86), // of another protocol
    changed(18, 8),
    changed(20, 0, 3), // RARP
    changed(38, 11), // asks for another address
    encodeGratuitousArp("03:11:22:33:44:55", "10.0.0.9"),
    encodeGratuitousArp(announced.mac, "0.0.0.0"),
  ];
  assert.deepEqual(others.map(decodeGratuitousArp), others.map(() => undefined));
  assert.deepEqual(decodeGratuitousArp(frame), announced);
  assert.deepEqual(decodeGratuitousArp(changed(20, 0, 2)), announced);
  const padded = new Uint8Array(60);
  padded.set(frame);
  assert.deepEqual(decodeGratuitousArp(padded), announced);
});
