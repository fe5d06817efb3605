/**
 * A constant stream of packets between two places of the lab, and which of them were lost: a datagram every ten milliseconds, each of which
 * comes back from an echo.
 */
import { z } from "zod";
import type { Holder } from "./holder.ts";
import { patience } from "./patience.ts";
import { until } from "./process.ts";

/** UDP port of the echo. */
export const echoPort = 7778;

/** What became of a stream. */
export interface StreamReport {
  /** How many datagrams were sent. */
  readonly sent: number;
  /** When each of the lost ones was sent, in milliseconds since 1970. */
  readonly lost: readonly number[];
}

/** A stream under way. */
export interface PacketStream extends AsyncDisposable {
  /** How many datagrams have come back so far. */
  received(): number;
  /** Ends it, once the last answers had time to come. */
  stop(): Promise<StreamReport>;
}

const reportSchema: z.ZodType<StreamReport> = z.object({
  sent: z.number(),
  lost: z.array(z.number()),
});
const script = new URL("./packet_process.ts", import.meta.url).pathname;

function command(netns: string, ...args: readonly string[]): string[] {
  const run = [Deno.execPath(), "run", "-A", "--no-check", "--quiet", script, ...args];
  return ["nsenter", `--net=${netns}`, ...run];
}

/**
 * Starts an echo in a namespace, which needs no interface yet; it ends with the machine. Resolves when it listens.
 *
 * @param log File that takes its output
 */
export async function startEcho(machine: Holder, netns: string, log: string): Promise<void> {
  machine.start(command(netns, "echo", String(echoPort)), { log });
  await until("the echo to listen", patience, async () => {
    const text = await Deno.readTextFile(log).catch(() => "");
    return text.includes("listening") || undefined;
  });
}

/** Starts a stream to an echo. Resolves at the first datagram that comes back. */
export async function startStream(
  machine: Holder,
  netns: string,
  address: string,
): Promise<PacketStream> {
  const [program = "", ...args] = machine.inside(
    command(netns, "send", address, String(echoPort)),
  );
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
  let text = "";
  const reading = (async () => {
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) text += chunk;
  })();
  const stop = async () => {
    await child.stdin.close().catch(() => undefined); // It has ended by itself.
    await reading;
    await child.status;
    return reportSchema.parse(JSON.parse(text.trim().split("\n").at(-1) ?? ""));
  };
  const received = () => text.match(/^received/gm)?.length ?? 0;
  const stream = { received, stop, [Symbol.asyncDispose]: async () => void await stop() };
  try {
    await until(`an answer of "${address}"`, patience, () => received() > 0 ? true : undefined);
    return stream;
  } catch (error) {
    await stop().catch(() => undefined);
    throw error;
  }
}
