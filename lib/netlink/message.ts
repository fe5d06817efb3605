import { type AttributesOf, type AttributeTable, attributeTable } from "./attributes.ts";
import type { AttributeSpecs } from "./attributes.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { bytes, type Codec, type StructCodec, text, u16, u32 } from "./codec.ts";
import { type ExtendedAck, NetlinkDecodeError } from "./errors.ts";

/** Size of struct nlmsghdr in bytes. */
export const HEADER_BYTES = 16;

/** Flags of struct nlmsghdr (include/uapi/linux/netlink.h). */
export const NLM_F = {
  REQUEST: 0x1,
  MULTI: 0x2,
  ACK: 0x4,
  ECHO: 0x8,
  DUMP_INTR: 0x10,
  DUMP: 0x300,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  CAPPED: 0x100,
  ACK_TLVS: 0x200,
} as const;

/** Message types below those of any protocol (include/uapi/linux/netlink.h). */
export const NLMSG = { NOOP: 1, ERROR: 2, DONE: 3, OVERRUN: 4 } as const;

/** One message in a buffer. It holds only until the buffer is used again. */
export interface MessageView {
  /** Message type, such as RTM_NEWLINK. */
  readonly type: number;
  /** Flags, see {@link NLM_F}. */
  readonly flags: number;
  /** Sequence number: that of the request it answers, 0 for notifications. */
  readonly sequence: number;
  /** Port of the socket that the request came from, 0 from the kernel itself. */
  readonly port: number;
  /** The buffer. */
  readonly view: DataView<ArrayBuffer>;
  /** Where the payload starts. */
  readonly start: number;
  /** Where the payload ends (exclusive). */
  readonly end: number;
}

/** A message's payload: the protocol's fixed header and attributes. */
export interface Payload<H, A> {
  /** The fixed header. */
  readonly header: H;
  /** The attributes. */
  readonly attributes: A;
}

/** The codec of one protocol's messages. Header fields not given when writing are 0. */
export interface PayloadCodec<K extends string, A>
  extends Codec<Payload<Readonly<Record<K, number>>, A>> {
  /** The fixed header's codec. */
  readonly header: StructCodec<K>;
  /** The attributes' codec. */
  readonly attributes: Codec<A>;
  /** Appends a payload; header fields that are missing are 0. */
  write(
    writer: ByteWriter,
    value: Payload<{ readonly [F in K]?: number | undefined }, A>,
  ): void;
}

/** The codec of messages with a fixed header and a table of attributes. */
export function payload<K extends string, S extends AttributeSpecs>(
  header: StructCodec<K>,
  attributes: AttributeTable<S>,
): PayloadCodec<K, AttributesOf<AttributeTable<S>>> {
  return {
    header,
    attributes: attributes as Codec<AttributesOf<AttributeTable<S>>>,
    write(writer, value) {
      header.write(writer, value.header);
      writer.align4();
      (attributes as Codec<unknown>).write(writer, value.attributes);
    },
    read(view, start, end) {
      const fixed = header.read(view, start, end);
      const at = start + ((header.size + 3) & ~3);
      const read = (attributes as Codec<AttributesOf<AttributeTable<S>>>).read(
        view,
        Math.min(at, end),
        end,
      );
      return { header: fixed, attributes: read };
    },
  };
}

/**
 * Appends a message: struct nlmsghdr and what `writePayload` writes.
 *
 * @param writer Must stand at a multiple of 4 bytes, as it does after another message
 */
export function writeMessage(
  writer: ByteWriter,
  type: number,
  flags: number,
  sequence: number,
  writePayload: (writer: ByteWriter) => void,
): void {
  const start = writer.length;
  writer.u32(0);
  writer.u16(type);
  writer.u16(flags);
  writer.u32(sequence);
  writer.u32(0);
  writePayload(writer);
  writer.patchU32(start, writer.length - start);
  writer.align4();
}

/**
 * Walks over the messages of one datagram.
 *
 * @throws {NetlinkDecodeError} `NetlinkMessageLength` if a length cannot be
 */
export function eachMessage(
  view: DataView<ArrayBuffer>,
  length: number,
  visit: (message: MessageView) => void,
): void {
  for (let at = 0; at < length;) {
    const room = length - at;
    const size = room < HEADER_BYTES ? 0 : view.getUint32(at, true);
    if (size < HEADER_BYTES || size > room) {
      throw new NetlinkDecodeError(
        "NetlinkMessageLength",
        `Expected a netlink message of ${HEADER_BYTES} to ${room} bytes, found the length "${size}"`,
      );
    }
    visit({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      port: view.getUint32(at + 12, true),
      view,
      start: at + HEADER_BYTES,
      end: at + size,
    });
    at += (size + 3) & ~3;
  }
}

/** Attributes of an extended acknowledgement (include/uapi/linux/netlink.h, `enum nlmsgerr_attrs`). */
export const extendedAckSpecs = {
  message: [1, text],
  offset: [2, u32],
  cookie: [3, bytes],
  policy: [4, bytes],
  missingType: [5, u32],
  missingNest: [6, u32],
  bulk: [7, u16],
} as const;

/** The table of {@link extendedAckSpecs}. */
export const extendedAckAttributes: AttributeTable<typeof extendedAckSpecs> = attributeTable(
  extendedAckSpecs,
);

/** The end of a request: whether it worked. */
export interface Acknowledgement {
  /** Error number, positive; 0 if the request worked. */
  readonly errno: number;
  /** The extended acknowledgement, if there is one. */
  readonly extAck?: ExtendedAck;
}

/**
 * Reads an NLMSG_ERROR or NLMSG_DONE message.
 *
 * @throws {NetlinkDecodeError} If the message is too short or its attributes are malformed
 */
export function readAcknowledgement(message: MessageView): Acknowledgement {
  const { view, start, end, flags, type } = message;
  if (end - start < 4) {
    // A bare NLMSG_DONE without a result is what old kernels send.
    if (type === NLMSG.DONE) return { errno: 0 };
    throw new NetlinkDecodeError(
      "NetlinkMessageLength",
      `Expected an error number in a netlink acknowledgement, found "${end - start}" bytes`,
    );
  }
  const result = view.getInt32(start, true);
  const errno = result < 0 ? -result : 0;
  if ((flags & NLM_F.ACK_TLVS) === 0) return { errno };
  const at = type === NLMSG.ERROR ? endOfRequest(message, errno) : start + 4;
  const { message: words, offset, missingType } = extendedAckAttributes.read(view, at, end);
  return { errno, extAck: { message: words, offset, missingType } };
}

/** Where the request ends that follows the error number: its header only, or (uncapped, on an error) all of it. */
function endOfRequest(message: MessageView, errno: number): number {
  const { view, end, flags } = message;
  const at = message.start + 4;
  const room = end - at;
  const whole = (flags & NLM_F.CAPPED) === 0 && errno !== 0 && room >= HEADER_BYTES;
  const size = whole ? view.getUint32(at, true) : HEADER_BYTES;
  if (size < HEADER_BYTES || size > room) {
    throw new NetlinkDecodeError(
      "NetlinkMessageLength",
      `Expected a request of ${HEADER_BYTES} to ${room} bytes in a netlink acknowledgement, found the length "${size}"`,
    );
  }
  return Math.min(at + ((size + 3) & ~3), end);
}
