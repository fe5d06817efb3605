import type { NetlinkTransport } from "../../lib/netlink/transport.ts";

/** What a scripted kernel answers to a request: datagrams, given the request's bytes. */
export type Script = (request: Uint8Array<ArrayBuffer>) => Uint8Array[];

/** A transport that keeps what is sent and answers by a script. Answers that nobody reads stay in the queue, as with the kernel. */
export class ScriptedTransport implements NetlinkTransport {
  /** All requests, in order. */
  readonly sent: Uint8Array<ArrayBuffer>[] = [];
  readonly #script: Script;
  readonly #queue: Uint8Array[] = [];

  /** @param script Answers each request */
  constructor(script: Script = acknowledge) {
    this.#script = script;
  }

  /** Queues a datagram that nobody asked for. */
  push(datagram: Uint8Array): void {
    this.#queue.push(datagram);
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    const request = bytes.slice();
    this.sent.push(request);
    this.#queue.push(...this.#script(request));
  }

  async sendNonblocking(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await Promise.resolve();
    this.send(bytes);
  }

  recv(buffer: Uint8Array<ArrayBuffer>): number {
    const datagram = this.#queue.shift();
    if (datagram === undefined) throw new Error("Expected an answer in the script, found none");
    buffer.set(datagram.subarray(0, buffer.length));
    return datagram.length;
  }

  [Symbol.dispose](): void {}
}

/** Answers each message of a request with an acknowledgement. */
export function acknowledge(request: Uint8Array<ArrayBuffer>): Uint8Array[] {
  return sequencesOf(request).map((sequence) => errorMessage(sequence, 0));
}

/** The sequence numbers of a datagram's messages. */
export function sequencesOf(datagram: Uint8Array<ArrayBuffer>): number[] {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const sequences: number[] = [];
  for (let at = 0; at < datagram.length; at += (view.getUint32(at, true) + 3) & ~3) {
    sequences.push(view.getUint32(at + 8, true));
  }
  return sequences;
}

/** An NLMSG_ERROR message, capped, with extended-ack attributes if given. */
export function errorMessage(
  sequence: number,
  errno: number,
  attributes: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const payload = new Uint8Array(20 + attributes.length);
  new DataView(payload.buffer).setInt32(0, -errno, true);
  payload.set(attributes, 20);
  return message(2, attributes.length > 0 ? 0x300 : 0x100, sequence, payload);
}

/** Any message. */
export function message(
  type: number,
  flags: number,
  sequence: number,
  payload: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(16 + ((payload.length + 3) & ~3));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 16 + payload.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  bytes.set(payload, 16);
  return bytes;
}
