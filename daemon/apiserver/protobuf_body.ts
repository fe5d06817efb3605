/**
 * The few bodies that kubectl sends as protobuf whatever the server prefers: `kubectl create namespace` and `kubectl auth can-i`
 * (apimachinery, `runtime/serializer/protobuf`; field numbers from the `generated.proto` files).
 */
import { badRequest, unsupportedMediaType } from "./api_error.ts";
import type { JsonObject } from "./json.ts";

/** Media type of Kubernetes' protobuf envelope. */
export const protobufType = "application/vnd.kubernetes.protobuf";

/** `k8s` and a zero byte stand before the envelope. */
const magic: readonly number[] = [0x6b, 0x38, 0x73, 0];

/** Values of length-delimited fields, by number; other fields are skipped. */
type Message = ReadonlyMap<number, readonly Uint8Array[]>;

/**
 * Decodes a namespace or an access review; of a review nothing but its kind, since every answer is the same.
 *
 * @throws {ApiError} 400 for a malformed body, 415 for any other kind
 */
export function decodeProtobuf(bytes: Uint8Array): JsonObject {
  if (magic.some((byte, at) => bytes[at] !== byte)) throw malformed();
  const envelope = readMessage(bytes.subarray(magic.length));
  const typeMeta = readMessage(first(envelope, 1));
  const [apiVersion, kind] = [text(typeMeta, 1), text(typeMeta, 2)];
  const object = readMessage(first(envelope, 2));
  if (kind === "SelfSubjectAccessReview") return { apiVersion, kind };
  if (kind !== "Namespace" || apiVersion !== "v1") {
    throw unsupportedMediaType(["application/json", "application/yaml"]);
  }
  const metadata = readMessage(first(object, 1));
  return {
    apiVersion,
    kind,
    metadata: {
      name: text(metadata, 1),
      ...(text(metadata, 2) === "" ? {} : { generateName: text(metadata, 2) }),
      labels: textMap(metadata, 11),
      annotations: textMap(metadata, 12),
    },
  };
}

function textMap(message: Message, field: number): JsonObject {
  const entries = (message.get(field) ?? []).map(readMessage);
  return Object.fromEntries(entries.map((entry) => [text(entry, 1), text(entry, 2)]));
}

function text(message: Message, field: number): string {
  return new TextDecoder().decode(first(message, field));
}

/** The last value counts, as protobuf has it; an absent field is empty. */
function first(message: Message, field: number): Uint8Array {
  return message.get(field)?.at(-1) ?? new Uint8Array(0);
}

function readMessage(bytes: Uint8Array): Message {
  const fields = new Map<number, Uint8Array[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined) throw malformed();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw malformed();
  };
  const skip = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw malformed();
    return bytes.subarray(at, at += length);
  };
  while (at < bytes.length) {
    const tag = varint();
    switch (tag % 8) {
      case 0:
        varint();
        break;
      case 1:
        skip(8);
        break;
      case 2: {
        const field = Math.floor(tag / 8);
        const values = fields.get(field) ?? [];
        values.push(skip(varint()));
        fields.set(field, values);
        break;
      }
      case 5:
        skip(4);
        break;
      default:
        throw malformed();
    }
  }
  return fields;
}

function malformed() {
  return badRequest(
    "Expected an object in Kubernetes' protobuf envelope, found other or truncated bytes",
  );
}
