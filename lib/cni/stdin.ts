/** Reads the network configuration that a container runtime writes to a plugin's standard input. */
import { POLLIN, pollSync } from "../sys/poll.ts";
import { CniError } from "./errors.ts";

/** Where the text comes from. */
export interface TextInput {
  /** Its descriptor, to wait for. */
  readonly fd: number;
  /** Reads what is there; null at the end. */
  readSync(into: Uint8Array): number | null;
}

/** How much is read, and for how long. */
export interface ReadLimits {
  /** Bytes after which the rest is left: what is cut is no JSON. */
  readonly maxBytes: number;
  /** Milliseconds for the whole text. */
  readonly timeoutMs: number;
}

/**
 * The whole text, to its end.
 *
 * @throws {CniError} `IoFailure` when the end does not come in time: a runtime that waits for the plugin would wait for ever
 */
export function readText(input: TextInput, limits: ReadLimits): string {
  const deadline = performance.now() + limits.timeoutMs;
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(64 * 1024);
  let text = "";
  for (let total = 0; total <= limits.maxBytes;) {
    const left = Math.ceil(deadline - performance.now());
    if (left <= 0) throw late(limits.timeoutMs);
    if (pollSync(input.fd, POLLIN, left) === 0) continue;
    const count = input.readSync(chunk);
    if (count === null) break;
    total += count;
    text += decoder.decode(chunk.subarray(0, count), { stream: true });
  }
  return text + decoder.decode();
}

function late(timeoutMs: number): CniError {
  return new CniError(
    "IoFailure",
    `Expected the end of the network configuration on stdin within ${timeoutMs} ms, found stdin still open; the container runtime must close it`,
  );
}
