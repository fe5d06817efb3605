import assert from "node:assert/strict";
import { ByteWriter } from "../../lib/netlink/byte_writer.ts";
import { bytes } from "../../lib/netlink/codec.ts";
import { bind, NetlinkConnection, type NetlinkRequest } from "../../lib/netlink/connection.ts";
import { NetlinkDecodeError, NetlinkError } from "../../lib/netlink/errors.ts";
import {
  extendedAckAttributes,
  type MessageView,
  NLM_F,
  NLMSG,
} from "../../lib/netlink/message.ts";
import {
  acknowledge,
  errorMessage,
  message,
  ScriptedTransport,
  sequencesOf,
} from "./scripted_transport.ts";

const REQUEST: NetlinkRequest<Uint8Array<ArrayBuffer>> = {
  operation: "to test the connection",
  type: 18,
  codec: bytes,
  value: new Uint8Array([1, 2, 3, 4]),
};

function sequenceOf(request: Uint8Array<ArrayBuffer>): number {
  const [sequence] = sequencesOf(request);
  assert.ok(sequence !== undefined);
  return sequence;
}

function firstByte(view: MessageView): number {
  return view.view.getUint8(view.start);
}

function join(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function done(sequence: number, flags: number = NLM_F.MULTI): Uint8Array {
  return message(NLMSG.DONE, flags, sequence, new Uint8Array(4));
}

function item(sequence: number, value: number, flags: number = NLM_F.MULTI): Uint8Array {
  return message(16, flags, sequence, new Uint8Array([value]));
}

Deno.test("A refusal carries the operation, the error and the kernel's own words", () => {
  const words = new ByteWriter();
  extendedAckAttributes.write(words, { message: "Unknown device type", offset: 44 });
  const transport = new ScriptedTransport((request) => [
    errorMessage(sequenceOf(request), 95, words.copy()),
  ]);
  using c = new NetlinkConnection(transport);
  assert.throws(() => c.request(REQUEST), (thrown) => {
    assert.ok(thrown instanceof NetlinkError);
    assert.equal(thrown.errnoName, "EOPNOTSUPP");
    assert.equal(thrown.extAck?.message, "Unknown device type");
    assert.equal(thrown.extAck?.offset, 44);
    assert.match(thrown.message, /^Failed to test the connection: .*Unknown device type/);
    return true;
  });
});

Deno.test("An acknowledgement that repeats the whole request has its words found behind it", () => {
  const words = new ByteWriter();
  extendedAckAttributes.write(words, { message: "No" });
  const transport = new ScriptedTransport((request) => {
    const payload = join(new Uint8Array([0xff, 0xff, 0xff, 0xff]), request, words.copy());
    return [message(NLMSG.ERROR, NLM_F.ACK_TLVS, sequenceOf(request), payload)];
  });
  using c = new NetlinkConnection(transport);
  assert.throws(() => c.request(REQUEST), { message: /EPERM \(No\)$/ });
});

Deno.test("Malformed acknowledgements give typed errors", () => {
  const payloads = [
    new Uint8Array(2),
    new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    join(new Uint8Array([0xff, 0xff, 0xff, 0xff]), new Uint8Array(16).fill(0xff)),
    join(new Uint8Array([0xff, 0xff, 0xff, 0xff, 0x44, 0, 0, 0x80]), new Uint8Array(80)),
    join(new Uint8Array([0xff, 0xff, 0xff, 0xff, 8]), new Uint8Array(80)),
    join(new Uint8Array(20), new Uint8Array([3, 0, 1, 0])),
  ];
  for (const payload of payloads) {
    const transport = new ScriptedTransport((request) => [
      message(NLMSG.ERROR, NLM_F.ACK_TLVS, sequenceOf(request), payload),
    ]);
    using c = new NetlinkConnection(transport);
    assert.throws(() => c.request(REQUEST), NetlinkDecodeError);
  }
});

Deno.test("A datagram larger than the buffer and one of impossible lengths give typed errors", () => {
  for (
    const datagram of [new Uint8Array(200_000), new Uint8Array(20).fill(255), new Uint8Array(3)]
  ) {
    using c = new NetlinkConnection(new ScriptedTransport(() => [datagram]));
    assert.throws(() => c.request(REQUEST), NetlinkDecodeError);
  }
});

Deno.test("A connection that has room for small answers refuses a larger one", () => {
  const connect = (receiveBytes: number) => {
    const answer = (request: Uint8Array<ArrayBuffer>) => [
      message(16, 0, sequenceOf(request), new Uint8Array(100).fill(7)),
      ...acknowledge(request),
    ];
    return new NetlinkConnection(new ScriptedTransport(answer), receiveBytes);
  };
  using small = connect(64);
  assert.throws(() => small.query(REQUEST, firstByte), NetlinkDecodeError);
  using enough = connect(256);
  assert.equal(enough.query(REQUEST, firstByte), 7);
});

Deno.test("Answers to nobody's request are dropped", () => {
  const transport = new ScriptedTransport((request) => [
    errorMessage(4711, 1),
    item(0, 9),
    join(item(sequenceOf(request) + 1, 8), ...acknowledge(request)),
  ]);
  using c = new NetlinkConnection(transport);
  assert.equal(c.query(REQUEST, firstByte), undefined);
  c.request(REQUEST);
});

Deno.test("A list may come in several datagrams and ends where the kernel says so", () => {
  const transport = new ScriptedTransport((request) => {
    const sequence = sequenceOf(request);
    return [join(item(sequence, 1), item(sequence, 2)), item(sequence, 3), done(sequence)];
  });
  using c = new NetlinkConnection(transport);
  assert.deepEqual(c.dump(REQUEST, firstByte), [1, 2, 3]);
  assert.deepEqual(c.dump(REQUEST, (m) => firstByte(m) === 2 ? "two" : undefined), ["two"]);
});

Deno.test("A list that changed while it was read is read again, but not for ever", () => {
  let attempts = 0;
  const flags = NLM_F.MULTI | NLM_F.DUMP_INTR;
  using healing = new NetlinkConnection(
    new ScriptedTransport((request) => {
      const sequence = sequenceOf(request);
      const interrupted = ++attempts < 3;
      return [item(sequence, attempts, interrupted ? flags : NLM_F.MULTI), done(sequence)];
    }),
  );
  assert.deepEqual(healing.dump(REQUEST, firstByte), [3]);
  const transport = new ScriptedTransport((request) => [
    item(sequenceOf(request), 1),
    done(sequenceOf(request), flags),
  ]);
  using restless = new NetlinkConnection(transport);
  assert.throws(() => restless.dump(REQUEST, firstByte), { code: "NetlinkDumpInterrupted" });
  assert.ok(transport.sent.length < 20);
});

Deno.test("A list that ends with an error is an error", () => {
  const transport = new ScriptedTransport((request) => {
    const payload = new Uint8Array(new Int32Array([-12]).buffer);
    return [message(NLMSG.DONE, NLM_F.MULTI, sequenceOf(request), payload)];
  });
  using c = new NetlinkConnection(transport);
  assert.throws(() => c.dump(REQUEST, firstByte), { errnoName: "ENOMEM" });
});

Deno.test("A message that cannot be read leaves nothing behind for the next request", () => {
  const transport = new ScriptedTransport((request) => {
    const sequence = sequenceOf(request);
    return [item(sequence, 1), item(sequence, 2), done(sequence)];
  });
  using c = new NetlinkConnection(transport);
  const failing = (): never => {
    throw new NetlinkDecodeError("NetlinkValueLength", "Expected 4 bytes");
  };
  assert.throws(() => c.dump(REQUEST, failing), NetlinkDecodeError);
  assert.deepEqual(c.dump(REQUEST, firstByte), [1, 2]);
});

Deno.test("Several requests go out in one datagram, and the first refusal is reported", () => {
  const transport = new ScriptedTransport((request) =>
    sequencesOf(request).map((sequence, i) => errorMessage(sequence, i === 0 ? 0 : 16 + i))
  );
  using c = new NetlinkConnection(transport);
  const requests = ["first", "second", "third"].map((operation) => bind({ ...REQUEST, operation }));
  assert.throws(() => c.batch(requests), { errnoName: "EEXIST", message: /second/ });
  assert.equal(transport.sent.length, 1);
});

Deno.test("A synchronous request may overtake an asynchronous one, and both get their answers", async () => {
  const transport = new ScriptedTransport((request) => acknowledge(request));
  using c = new NetlinkConnection(transport);
  const refused = new NetlinkConnection(
    new ScriptedTransport((request) => [errorMessage(sequenceOf(request), 19)]),
  );
  const slow = c.requestAsync(REQUEST);
  c.request(REQUEST);
  await slow;
  assert.deepEqual(transport.sent.map(sequenceOf), [2, 1]);
  await assert.rejects(refused.requestAsync(REQUEST), { errnoName: "ENODEV" });
});

Deno.test("Closing a connection fails its asynchronous requests", async () => {
  const c = new NetlinkConnection(new ScriptedTransport());
  const request = c.requestAsync(REQUEST);
  c[Symbol.dispose]();
  await assert.rejects(request, { code: "NetlinkClosed" });
});
