/** What the guest says on its control port. */
export type ControlMessage =
  /** The guest is up; the command starts. */
  | { readonly kind: "ready" }
  /** The command has ended and all of its output was sent. */
  | { readonly kind: "exit"; readonly code: number }
  /** The guest could not run the command, or said something that is no message. */
  | { readonly kind: "failed"; readonly reason: string };

/** Parses one line of the control port. */
export function parseControlLine(line: string): ControlMessage {
  if (line === "ready") return { kind: "ready" };
  const exit = /^exit (\d{1,3})$/.exec(line)?.[1];
  if (exit !== undefined && Number(exit) < 256) return { kind: "exit", code: Number(exit) };
  const reason = /^failed (.+)$/.exec(line)?.[1];
  return { kind: "failed", reason: reason ?? `unexpected control message "${line}"` };
}

/** The messages on a control port, until it ends; a line that is cut off is no message. */
export async function* controlMessages(
  port: ReadableStream<Uint8Array>,
): AsyncGenerator<ControlMessage> {
  let rest = "";
  for await (const text of port.pipeThrough(new TextDecoderStream() as Decoder)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield parseControlLine(line);
  }
}

type Decoder = ReadableWritablePair<string, Uint8Array>;
