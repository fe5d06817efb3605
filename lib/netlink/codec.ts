import { addressToBytes, bytesToAddress } from "../net/address.ts";
import { formatMac } from "../net/mac.ts";
import { ByteWriter } from "./byte_writer.ts";
import { NetlinkDecodeError, NetlinkEncodeError } from "./errors.ts";

/** How a value of type `T` stands in bytes. */
export interface Codec<T> {
  /**
   * Appends the value.
   *
   * @throws {NetlinkEncodeError} If the value does not fit
   */
  write(writer: ByteWriter, value: T): void;
  /**
   * Reads the value from the bytes `start` to `end` (exclusive) of the view, copying what it keeps.
   *
   * @throws {NetlinkDecodeError} If the bytes do not follow the format
   */
  read(view: DataView<ArrayBuffer>, start: number, end: number): T;
}

/** The type of the values of a codec. */
export type ValueOf<C> = C extends Codec<infer T> ? T : never;

/** A codec of numbers with a fixed size, which may be a field of a struct. */
export interface FixedCodec extends Codec<number> {
  /** Size in bytes. */
  readonly size: number;
}

/** Unsigned 8 bits. */
export const u8: FixedCodec = integer(1, 0, 0xff, (w, v) => w.u8(v), (v, at) => v.getUint8(at));

/** Unsigned 16 bits in host order. */
export const u16: FixedCodec = integer(
  2,
  0,
  0xffff,
  (w, v) => w.u16(v),
  (v, at) => v.getUint16(at, true),
);

/** Unsigned 32 bits in host order. */
export const u32: FixedCodec = integer(
  4,
  0,
  0xffffffff,
  (w, v) => w.u32(v),
  (v, at) => v.getUint32(at, true),
);

/** Signed 32 bits in host order. */
export const i32: FixedCodec = integer(
  4,
  -0x80000000,
  0x7fffffff,
  (w, v) => w.u32(v),
  (v, at) => v.getInt32(at, true),
);

/** Unsigned 16 bits in network order. */
export const be16: FixedCodec = integer(
  2,
  0,
  0xffff,
  (w, v) => w.be16(v),
  (v, at) => v.getUint16(at),
);

/** Unsigned 32 bits in network order. */
export const be32: FixedCodec = integer(
  4,
  0,
  0xffffffff,
  (w, v) => w.be32(v),
  (v, at) => v.getUint32(at),
);

/** A yes or no in 8 bits. */
export const bool8: Codec<boolean> = {
  write: (writer, value) => writer.u8(value ? 1 : 0),
  read: (view, start, end) => u8.read(view, start, end) !== 0,
};

/** Unsigned 64 bits in host order. */
export const u64: Codec<bigint> = {
  write(writer, value) {
    if (value < 0n || value >> 64n !== 0n) throw outOfRange("an unsigned 64-bit integer", value);
    writer.u64(value);
  },
  read(view, start, end) {
    expectLength(8, end - start);
    return view.getBigUint64(start, true);
  },
};

/** An attribute that says yes by being there. `false` is not written at all. */
export const flag: Codec<boolean> = {
  write: () => {},
  read: () => true,
};

/** Bytes as they are. */
export const bytes: Codec<Uint8Array<ArrayBuffer>> = {
  write: (writer, value) => writer.bytes(value),
  read: (view, start, end) =>
    new Uint8Array(view.buffer, view.byteOffset + start, end - start).slice(),
};

const utf8 = { encoder: new TextEncoder(), decoder: new TextDecoder() };

/** A zero-terminated text in UTF-8. Reading ends at the first zero or at the end. */
export const text: Codec<string> = {
  write(writer, value) {
    if (value.includes("\0")) throw outOfRange("a text without NUL characters", value);
    writer.bytes(utf8.encoder.encode(value));
    writer.u8(0);
  },
  read(view, start, end) {
    let result = "";
    for (let at = start; at < end; at++) {
      const byte = view.getUint8(at);
      if (byte === 0) return result;
      if (byte >= 0x80) return readUtf8(view, start, end);
      result += String.fromCharCode(byte);
    }
    return result;
  },
};

/** An IPv4 or IPv6 address as text; 4 or 16 bytes in network order. */
export const ipAddress: Codec<string> = {
  write: (writer, value) => writer.bytes(addressToBytes(value)),
  read(view, start, end) {
    if (end - start !== 4) expectLength(16, end - start);
    return bytesToAddress(new Uint8Array(view.buffer, view.byteOffset + start, end - start));
  },
};

/** A link-layer address of any length, as octets in lower-case hexadecimal with colons. */
export const hardwareAddress: Codec<string> = {
  write(writer, value) {
    if (value === "") return;
    if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2})*$/.test(value)) {
      throw outOfRange("a link-layer address", value);
    }
    for (const octet of value.split(":")) writer.u8(parseInt(octet, 16));
  },
  read: (view, start, end) =>
    formatMac(new Uint8Array(view.buffer, view.byteOffset + start, end - start)),
};

/** A struct of integers without gaps, as by {@link struct}. Fields that are not given are 0. */
export interface StructCodec<K extends string> extends Codec<Readonly<Record<K, number>>> {
  /** Size in bytes. */
  readonly size: number;
  /** Appends the struct; fields that are missing are 0. */
  write(writer: ByteWriter, value: { readonly [F in K]?: number | undefined }): void;
}

/** A struct whose fields follow each other in the order given. Padding must be named as fields of its own. */
export function struct<K extends string>(fields: Readonly<Record<K, FixedCodec>>): StructCodec<K> {
  const entries = Object.entries<FixedCodec>(fields) as [K, FixedCodec][];
  const size = entries.reduce((sum, [, codec]) => sum + codec.size, 0);
  return {
    size,
    write(writer, value) {
      for (const [name, codec] of entries) codec.write(writer, value[name] ?? 0);
    },
    read(view, start, end) {
      if (end - start < size) expectLength(size, end - start);
      const result = {} as Record<K, number>;
      let at = start;
      for (const [name, codec] of entries) {
        result[name] = codec.read(view, at, at + codec.size);
        at += codec.size;
      }
      return result;
    },
  };
}

/** A view of bytes for {@link Codec.read}. */
export function viewOf(data: Uint8Array<ArrayBuffer>): DataView<ArrayBuffer> {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * Encodes a value into bytes of its own.
 *
 * @throws {NetlinkEncodeError | AddressError} If it does not fit
 */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(128);
  codec.write(writer, value);
  return writer.copy();
}

/**
 * Reads one value from all of the bytes.
 *
 * @throws {NetlinkDecodeError} If the bytes do not follow the format
 */
export function decode<T>(codec: Codec<T>, data: Uint8Array<ArrayBuffer>): T {
  return codec.read(viewOf(data), 0, data.length);
}

function integer(
  size: number,
  min: number,
  max: number,
  write: (writer: ByteWriter, value: number) => void,
  read: (view: DataView<ArrayBuffer>, at: number) => number,
): FixedCodec {
  const expected = `an integer from ${min} to ${max}`;
  return {
    size,
    write(writer, value) {
      if (!Number.isInteger(value) || value < min || value > max) throw outOfRange(expected, value);
      write(writer, value);
    },
    read(view, start, end) {
      expectLength(size, end - start);
      return read(view, start);
    },
  };
}

function expectLength(expected: number, found: number): void {
  if (found === expected) return;
  throw new NetlinkDecodeError(
    "NetlinkValueLength",
    `Expected ${expected} bytes for a value from the kernel, found "${found}"`,
  );
}

function outOfRange(expected: string, found: unknown): NetlinkEncodeError {
  return new NetlinkEncodeError("NetlinkValue", `Expected ${expected}, found "${found}"`);
}

function readUtf8(view: DataView<ArrayBuffer>, start: number, end: number): string {
  const all = new Uint8Array(view.buffer, view.byteOffset + start, end - start);
  const zero = all.indexOf(0);
  return utf8.decoder.decode(zero < 0 ? all : all.subarray(0, zero));
}
