import assert from "node:assert/strict";
import fc from "fast-check";
import { ByteWriter } from "../../lib/netlink/byte_writer.ts";
import { type Codec, decode, viewOf } from "../../lib/netlink/codec.ts";
import { NetlinkDecodeError } from "../../lib/netlink/errors.ts";
import { kindTables } from "../../lib/netlink/link_kinds/link_kind.ts";
import {
  eachMessage,
  type MessageView,
  NLMSG,
  readAcknowledgement,
} from "../../lib/netlink/message.ts";
import { addressPayload, readAddress } from "../../lib/netlink/rtnl/address.ts";
import { bridgePortAttributes } from "../../lib/netlink/rtnl/bridge_port.ts";
import { readLink } from "../../lib/netlink/rtnl/link.ts";
import { linkPayload } from "../../lib/netlink/rtnl/link_message.ts";
import { neighborPayload, readFdb, readNeighbor } from "../../lib/netlink/rtnl/neighbor.ts";
import { readRoute } from "../../lib/netlink/rtnl/route.ts";
import { routePayload } from "../../lib/netlink/rtnl/route_message.ts";
import { readRule, rulePayload } from "../../lib/netlink/rtnl/rule.ts";
import { loadFixtures } from "../fixtures/netlink/fixture.ts";

const fixtures = loadFixtures();
const datagrams = [...fixtures].flatMap(([name, fixture]) =>
  fixture.exchanges.map(({ direction, hex }) => ({ name, bytes: datagramOf(direction, hex) }))
);

/** Some requests of iproute2 trail zeros behind their one message, which the kernel does not look at. */
function datagramOf(direction: string, hex: string): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.fromHex(hex);
  return direction === "reply" ? bytes : bytes.slice(0, viewOf(bytes).getUint32(0, true));
}

/** All different messages, each with its header, and with sequence number and port blanked. */
function distinctMessages(): { name: string; bytes: Uint8Array<ArrayBuffer> }[] {
  const found = new Map<string, { name: string; bytes: Uint8Array<ArrayBuffer> }>();
  for (const { name, bytes } of datagrams) {
    eachMessage(viewOf(bytes), bytes.length, (message) => {
      const copy = bytes.slice(message.start - 16, message.end).fill(0, 8, 16);
      found.set(copy.toHex(), { name, bytes: copy });
    });
  }
  return [...found.values()];
}

/** The codec of a message's payload, by its type. */
function codecOf(type: number): Codec<unknown> | undefined {
  const codecs: Codec<unknown>[] = [
    linkPayload,
    addressPayload,
    routePayload,
    neighborPayload,
    rulePayload,
  ];
  return type < 16 ? undefined : codecs[Math.floor((type - 16) / 4)];
}

function encode(codec: Codec<unknown>, value: unknown): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(16);
  codec.write(writer, value);
  return writer.copy();
}

/** Runs everything that reads messages over one datagram. */
function readAll(bytes: Uint8Array<ArrayBuffer>): void {
  eachMessage(viewOf(bytes), bytes.length, (message) => {
    if (message.type === NLMSG.ERROR || message.type === NLMSG.DONE) readAcknowledgement(message);
    for (const read of [readLink, readAddress, readRoute, readNeighbor, readFdb, readRule]) {
      read(message);
    }
  });
}

function onlyDecodeErrors(bytes: Uint8Array<ArrayBuffer>, what: string): void {
  try {
    readAll(bytes);
  } catch (thrown) {
    if (!(thrown instanceof NetlinkDecodeError)) {
      throw new Error(`Expected a decode error for ${what}, ${bytes.toHex()}`, { cause: thrown });
    }
  }
}

/** Messages that iproute2 sends to name a link, with nothing behind their header but padding to it. */
function isPadded(message: MessageView): boolean {
  return message.end - message.start < 4;
}

Deno.test("Datagrams cut off at any byte end early or give a typed error", () => {
  for (const { name, bytes } of datagrams) {
    for (let length = 0; length < bytes.length; length++) {
      const cut = bytes.slice(0, length);
      let last = 0;
      try {
        eachMessage(viewOf(cut), length, (message) => last = message.end);
        assert.ok(length - last < 4, name);
      } catch (thrown) {
        assert.ok(thrown instanceof NetlinkDecodeError, name);
      }
    }
  }
});

Deno.test("Messages shortened to any length give typed errors or fewer attributes", () => {
  for (const { name, bytes } of distinctMessages()) {
    for (let length = 16; length < bytes.length; length++) {
      const cut = bytes.slice(0, length);
      viewOf(cut).setUint32(0, length, true);
      onlyDecodeErrors(cut, `${name} shortened to ${length}`);
    }
  }
});

Deno.test("Changed bytes give typed errors or other values, and nothing hangs", () => {
  const mutation = fc.record({
    which: fc.nat(datagrams.length - 1),
    changes: fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 8,
    }),
  });
  fc.assert(
    fc.property(mutation, ({ which, changes }) => {
      const datagram = datagrams[which];
      assert.ok(datagram !== undefined);
      const bytes = datagram.bytes.slice();
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      onlyDecodeErrors(bytes, datagram.name);
    }),
    { numRuns: 5000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      onlyDecodeErrors(new Uint8Array(bytes), "noise");
    }),
    { numRuns: 2000 },
  );
});

Deno.test("Every recorded message is encoded again to the same bytes", () => {
  let messages = 0;
  for (const { name, bytes } of datagrams) {
    eachMessage(viewOf(bytes), bytes.length, (message) => {
      const codec = codecOf(message.type);
      if (codec === undefined || isPadded(message)) return;
      const value = codec.read(message.view, message.start, message.end);
      const original = bytes.slice(message.start, message.end).toHex();
      assert.equal(encode(codec, value).toHex(), original, name);
      messages++;
    });
  }
  assert.ok(messages > 150, `only ${messages} messages`);
});

Deno.test("The data of every recorded kind of link is encoded again to the same bytes", () => {
  const seen = new Set<string>();
  for (const { name, bytes } of datagrams) {
    eachMessage(viewOf(bytes), bytes.length, (message) => {
      if (codecOf(message.type) !== linkPayload) return;
      const { attributes } = linkPayload.read(message.view, message.start, message.end);
      const { kind = "", data, slaveKind, slaveData } = attributes.linkInfo ?? {};
      const table = kindTables[kind];
      if (table !== undefined && data !== undefined) {
        assert.equal(encode(table, decode(table, data)).toHex(), data.toHex(), name);
        seen.add(kind);
      }
      const ports = [slaveKind === "bridge" ? slaveData : undefined, attributes.protInfo];
      for (const port of ports) {
        if (port === undefined) continue;
        const again = encode(bridgePortAttributes, decode(bridgePortAttributes, port));
        assert.equal(again.toHex(), port.toHex(), name);
        seen.add("port");
      }
    });
  }
  assert.deepEqual([...seen].sort(), ["bridge", "port", "veth", "vrf", "vxlan"]);
});

Deno.test("The kernel's words are read from recorded refusals", () => {
  const words = (name: string): (string | undefined)[] => {
    const found: (string | undefined)[] = [];
    for (const { hex, direction } of fixtures.get(name)?.exchanges ?? []) {
      const bytes = Uint8Array.fromHex(hex);
      if (direction === "request") continue;
      eachMessage(viewOf(bytes), bytes.length, (message) => {
        if (message.type !== NLMSG.ERROR) return;
        const { errno, extAck } = readAcknowledgement(message);
        if (errno !== 0) found.push(extAck?.message);
      });
    }
    return found;
  };
  assert.deepEqual(words("addr_add_exists").at(-1), "ipv4: Address already assigned");
});
