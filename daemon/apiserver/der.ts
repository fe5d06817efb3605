/** The part of DER (ITU-T X.690) that X.509 certificates are made of. */
import { CodedError } from "../../lib/errors.ts";
import { concat } from "./bytes.ts";

/** Bytes of one or more encoded values. */
export type Der = Uint8Array<ArrayBuffer>;

/** A value that cannot be encoded. */
export class DerError extends CodedError {}

/** Universal tags. */
const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** A value of any tag below 31. */
export function tagged(tag: number, ...content: readonly Uint8Array[]): Der {
  const body = concat(...content);
  return concat(Uint8Array.of(tag), encodeLength(body.length), body);
}

function encodeLength(length: number): Der {
  if (length < 0x80) return Uint8Array.of(length);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Uint8Array.of(0x80 | bytes.length, ...bytes);
}

/** SEQUENCE. */
export function sequence(...content: readonly Uint8Array[]): Der {
  return tagged(tags.sequence, ...content);
}

/** SET of one value; several would have to be sorted. */
export function setOf(content: Uint8Array): Der {
  return tagged(tags.set, content);
}

/** Context-specific tag around encoded values. */
export function explicit(number: number, ...content: readonly Uint8Array[]): Der {
  return tagged(0xa0 | number, ...content);
}

/** Context-specific tag in place of the value's own, primitive. */
export function implicit(number: number, content: Uint8Array): Der {
  return tagged(0x80 | number, content);
}

/** INTEGER of unsigned big-endian bytes. */
export function unsignedInteger(bytes: Uint8Array): Der {
  const first = bytes.findIndex((byte) => byte !== 0);
  const significant = first === -1 ? Uint8Array.of(0) : bytes.subarray(first);
  // A set top bit would make it negative.
  const sign = (significant[0] ?? 0) >= 0x80 ? Uint8Array.of(0) : new Uint8Array(0);
  return tagged(tags.integer, sign, significant);
}

/** BOOLEAN TRUE; FALSE is always the default, which DER leaves out. */
export function booleanTrue(): Der {
  return tagged(tags.boolean, Uint8Array.of(0xff));
}

/** BIT STRING. */
export function bitString(bytes: Uint8Array, unusedBits = 0): Der {
  return tagged(tags.bitString, Uint8Array.of(unusedBits), bytes);
}

/** OCTET STRING. */
export function octetString(bytes: Uint8Array): Der {
  return tagged(tags.octetString, bytes);
}

/** UTF8String. */
export function utf8String(text: string): Der {
  return tagged(tags.utf8String, new TextEncoder().encode(text));
}

/**
 * OBJECT IDENTIFIER in dotted form.
 *
 * @throws {DerError} `InvalidObjectIdentifier`
 */
export function objectIdentifier(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  if (!/^[012](\.(0|[1-9]\d{0,8}))+$/.test(dotted)) {
    throw new DerError(
      "InvalidObjectIdentifier",
      `Expected an object identifier such as "2.5.4.3", found "${dotted}"`,
    );
  }
  return tagged(tags.objectIdentifier, ...[first * 40 + second, ...rest].map(base128));
}

function base128(arc: number): Der {
  const bytes = [arc % 128];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.unshift(0x80 | (rest % 128));
  }
  return Uint8Array.from(bytes);
}

/** UTCTime until 2049, GeneralizedTime from then on (RFC 5280, section 4.1.2.5). */
export function time(date: Date): Der {
  const digits = date.toISOString().replaceAll(/\.\d+|[-:T]/g, "");
  const utc = date.getUTCFullYear() < 2050;
  return tagged(
    utc ? tags.utcTime : tags.generalizedTime,
    new TextEncoder().encode(utc ? digits.slice(2) : digits),
  );
}
