/** As much of the protocol buffers' encoding as the CRI client needs: texts, messages and numbers by field number. */

/** A message to encode: fields by number; a record is a message inside, an array a repeated one. */
export interface Message {
  /** A field's content. */
  readonly [field: number]: string | number | Message | readonly Message[];
}

const varintType = 0;
const lengthType = 2;

/** Encodes a message. */
export function encode(message: Message): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const [field, value] of Object.entries(message)) {
    if (typeof value === "number") {
      bytes.push(...varint(Number(field) << 3 | varintType), ...varint(value));
      continue;
    }
    for (const one of Array.isArray(value) ? value : [value]) {
      const content = typeof one === "string" ? new TextEncoder().encode(one) : encode(one);
      bytes.push(...varint(Number(field) << 3 | lengthType), ...varint(content.length), ...content);
    }
  }
  return new Uint8Array(bytes);
}

/** The texts or messages with this number, as bytes. @throws {RangeError} For a malformed message */
export function fields(message: Uint8Array, wanted: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  let at = 0;
  const number = () => {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = message[at++];
      if (byte === undefined) throw new RangeError("Expected a whole number, found the end");
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = number();
    if ((tag & 7) === varintType) {
      number();
    } else if ((tag & 7) === lengthType) {
      const length = number();
      if (tag >>> 3 === wanted) found.push(message.subarray(at, at + length));
      at += length;
    } else {
      throw new RangeError(`Expected a number, text or message, found wire type ${tag & 7}`);
    }
  }
  return found;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push(value % 128 | 0x80);
  return [...bytes, value];
}
