import type { ByteWriter } from "./byte_writer.ts";
import { bytes, type Codec, flag, text } from "./codec.ts";
import { NetlinkDecodeError } from "./errors.ts";

/** Marks an attribute that holds attributes (include/uapi/linux/netlink.h); most of rtnetlink does without. */
export const NLA_F_NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
const HEADER_BYTES = 4;
const raw: Codec<Uint8Array> = bytes;

/** An attribute: its type, with {@link NLA_F_NESTED} if it is to be sent so, and its codec. */
export type AttributeSpec<T> = readonly [type: number, codec: Codec<T>];

/** Attributes by name. */
export type AttributeSpecs = Readonly<Record<string, AttributeSpec<unknown>>>;

/**
 * An attribute that the table does not know, by its type: `"#55"`, and `"#55.1"`, … when there are more of the same type. The type is as on
 * the wire, marks included.
 */
export type UnknownAttribute = `#${number}`;

/** The values of a table's attributes. Absent and `undefined` are the same; the order is the order on the wire. */
export type Attributes<S extends AttributeSpecs> =
  & { readonly [K in keyof S]?: S[K] extends AttributeSpec<infer T> ? T | undefined : never }
  & { readonly [K in UnknownAttribute]?: Uint8Array<ArrayBuffer> | undefined };

/** A table of attributes, and the codec of their values. */
export interface AttributeTable<S extends AttributeSpecs> extends Codec<Attributes<S>> {
  /** The attributes by name. */
  readonly specs: S;
}

/** The values that a table describes: `AttributesOf<typeof table>`. */
export type AttributesOf<T> = T extends AttributeTable<infer S> ? Attributes<S> : never;

/**
 * How some attributes differ on the wire from what this codec would send: their marks, and texts without the closing zero. It rides along
 * with decoded values, so that encoding them again gives the same bytes.
 */
const wireForms = Symbol("wire forms");

interface WireForm {
  readonly marks: number;
  readonly unterminated: boolean;
}

type Value = Record<string, unknown> & { [wireForms]?: Map<string, WireForm> };

/**
 * Declares attributes: the one place where their names, types and formats stand.
 *
 * Reading keeps attributes that the table does not know (see {@link UnknownAttribute}), and the second and further ones of a type.
 */
export function attributeTable<const S extends AttributeSpecs>(specs: S): AttributeTable<S> {
  const names = new Map<number, string>();
  for (const [name, [type]] of Object.entries(specs)) names.set(type & TYPE_MASK, name);
  return {
    specs,
    write: (writer, value) => writeAttributes(writer, specs, value as Value),
    read: (view, start, end) => readAttributes(view, start, end, specs, names) as Attributes<S>,
  };
}

/** An attribute whose payload is a list of attributes, all of the same type and format. */
export function listOf<T>(element: AttributeSpec<T>): Codec<readonly T[]> {
  const [type, codec] = element;
  return {
    write(writer, values) {
      for (const value of values) writeAttribute(writer, type, codec, value);
    },
    read(view, start, end) {
      const values: T[] = [];
      eachAttribute(view, start, end, (_type, from, to) => {
        values.push(codec.read(view, from, to));
      });
      return values;
    },
  };
}

/**
 * Walks over attributes without looking into them.
 *
 * @param visit Gets the type as on the wire, and where the payload starts and ends
 * @throws {NetlinkDecodeError} `NetlinkAttributeLength` if a length cannot be
 */
export function eachAttribute(
  view: DataView<ArrayBuffer>,
  start: number,
  end: number,
  visit: (type: number, start: number, end: number) => void,
): void {
  for (let at = start; at < end;) {
    const room = end - at;
    const length = room < HEADER_BYTES ? 0 : view.getUint16(at, true);
    if (length < HEADER_BYTES || length > room) {
      throw new NetlinkDecodeError(
        "NetlinkAttributeLength",
        `Expected an attribute of ${HEADER_BYTES} to ${room} bytes, found the length "${length}"`,
      );
    }
    visit(view.getUint16(at + 2, true), at + HEADER_BYTES, at + length);
    at += (length + 3) & ~3;
  }
}

/** Appends one attribute: header, payload, padding. */
export function writeAttribute<T>(
  writer: ByteWriter,
  type: number,
  codec: Codec<T>,
  value: T,
  unterminated = false,
): void {
  const start = writer.length;
  writer.u16(0);
  writer.u16(type);
  codec.write(writer, value);
  if (unterminated) writer.truncate(writer.length - 1);
  writer.patchU16(start, writer.length - start);
  writer.align4();
}

function writeAttributes(writer: ByteWriter, specs: AttributeSpecs, value: Value): void {
  const forms = value[wireForms];
  for (const name in value) {
    const attribute = value[name];
    if (attribute === undefined) continue;
    const spec = specs[name];
    if (spec === undefined) {
      const type = parseInt(name.slice(1));
      if (attribute instanceof Uint8Array) writeAttribute(writer, type, raw, attribute);
      continue;
    }
    const [type, codec] = spec;
    if (codec === flag && attribute === false) continue;
    const form = forms?.get(name);
    if (form === undefined) writeAttribute(writer, type, codec, attribute);
    else {
      const marked = (type & TYPE_MASK) | form.marks;
      writeAttribute(writer, marked, codec, attribute, form.unterminated);
    }
  }
}

function readAttributes(
  view: DataView<ArrayBuffer>,
  start: number,
  end: number,
  specs: AttributeSpecs,
  names: ReadonlyMap<number, string>,
): Value {
  const value: Value = {};
  const unnamed = new Map<number, number>();
  eachAttribute(view, start, end, (wireType, from, to) => {
    const name = names.get(wireType & TYPE_MASK);
    const spec = name === undefined ? undefined : specs[name];
    if (name === undefined || spec === undefined || name in value) {
      const earlier = unnamed.get(wireType) ?? 0;
      unnamed.set(wireType, earlier + 1);
      value[unnamedKey(wireType, earlier)] = bytes.read(view, from, to);
      return;
    }
    const [type, codec] = spec;
    value[name] = codec.read(view, from, to);
    const unterminated = codec === text && (to === from || view.getUint8(to - 1) !== 0);
    if (wireType === type && !unterminated) return;
    value[wireForms] ??= new Map();
    value[wireForms].set(name, { marks: wireType & ~TYPE_MASK, unterminated });
  });
  return value;
}

/** The key of an attribute without a name of its own, of which there were some before. */
function unnamedKey(type: number, earlier: number): UnknownAttribute {
  return earlier === 0 ? `#${type}` : `#${type}.${earlier}` as UnknownAttribute;
}
