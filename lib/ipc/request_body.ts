/** Bodies of requests on the servers' side. */
import { CodedError } from "../errors.ts";

/** A body that is not taken. Codes: `BodyTooLarge`, `BodyTooSlow`, `BodyBroken`. */
export class BodyError extends CodedError {}

/** What a body may cost. */
export interface BodyLimits {
  /** Bytes. */
  readonly maxBytes: number;
  /** Milliseconds until its end. */
  readonly timeoutMs: number;
}

/**
 * Reads a request's body as text. Whoever sends it slowly or without end must not hold what others wait for.
 *
 * @throws {BodyError} When it is larger or slower than it may be, or breaks off
 */
export async function readRequestBody(
  request: Request,
  { maxBytes, timeoutMs }: BodyLimits,
): Promise<string> {
  const reader = request.body?.getReader();
  if (reader === undefined) return "";
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    // A read that waits ends by it; that the rest cannot be had any more is what is wanted.
    reader.cancel().catch(() => {});
  }, timeoutMs);
  try {
    if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge(maxBytes);
    const decoder = new TextDecoder();
    let [text, size] = ["", 0];
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      size += part.value.length;
      if (size > maxBytes) throw tooLarge(maxBytes);
      text += decoder.decode(part.value, { stream: true });
    }
    if (late) throw tooSlow(timeoutMs);
    return text + decoder.decode();
  } catch (cause) {
    // Else the rest would be kept for whoever might read it, until the next garbage collection.
    reader.cancel().catch(() => {});
    if (late) throw tooSlow(timeoutMs);
    if (cause instanceof BodyError) throw cause;
    throw new BodyError("BodyBroken", "Expected a whole body, found one that breaks off", {
      cause,
    });
  } finally {
    clearTimeout(timer);
    reader.releaseLock();
  }
}

function tooLarge(maxBytes: number): BodyError {
  return new BodyError(
    "BodyTooLarge",
    `Expected a body of at most ${maxBytes} bytes, found more`,
  );
}

function tooSlow(timeoutMs: number): BodyError {
  return new BodyError(
    "BodyTooSlow",
    `Expected the end of the body within ${timeoutMs} ms, found none`,
  );
}
