/** Processes on the host that must not outlive this one. */
import { CodedError } from "../../lib/errors.ts";

/** The last bytes of standard error that are kept, for error messages. */
const TAIL_BYTES = 4096;

/** How a program is run. */
export interface ToolOptions {
  /** Its working directory. */
  readonly cwd?: string;
  /** Its standard input; none by default. */
  readonly stdin?: string;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

/**
 * Runs a program to its end.
 *
 * @returns Its standard output
 * @throws {CodedError} `ToolFailed` with the end of its standard error if it fails or does not exist
 */
export async function runTool(
  command: readonly [string, ...string[]],
  options: ToolOptions = {},
): Promise<string> {
  await using child = startHostProcess(command, options);
  const [status, output] = await Promise.all([child.status, child.output]);
  options.signal?.throwIfAborted();
  if (status.success) return output;
  throw new CodedError(
    "ToolFailed",
    `Expected "${command.join(" ")}" to succeed, found exit code ${status.code}: ${await child
      .errorTail}`,
  );
}

/** A running program; disposing of it kills it and waits until it is gone. */
export interface HostProcess extends AsyncDisposable {
  /** Its process id. */
  readonly pid: number;
  /** How it ended. */
  readonly status: Promise<Deno.CommandStatus>;
  /** All of its standard output, once it has ended. */
  readonly output: Promise<string>;
  /** The end of its standard error, once it has ended. */
  readonly errorTail: Promise<string>;
}

/**
 * Starts a program that the kernel kills when this process dies, however that happens.
 *
 * @throws The signal's reason, if it has aborted
 * @see prctl(2), PR_SET_PDEATHSIG
 */
export function startHostProcess(
  command: readonly [string, ...string[]],
  options: ToolOptions = {},
): HostProcess {
  options.signal?.throwIfAborted();
  const child = new Deno.Command("setpriv", {
    args: ["--pdeathsig", "KILL", "--", ...command],
    env: { LC_ALL: "C" },
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  }).spawn();
  if (options.stdin !== undefined) void feed(child.stdin, options.stdin);
  const output = new Response(child.stdout).text();
  const errorTail = readTail(child.stderr);
  const kill = () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
  };
  options.signal?.addEventListener("abort", kill, { once: true });
  return {
    pid: child.pid,
    status: child.status,
    output,
    errorTail,
    async [Symbol.asyncDispose]() {
      options.signal?.removeEventListener("abort", kill);
      kill();
      await Promise.all([child.status, output, errorTail]);
    },
  };
}

async function feed(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  try {
    const writer = stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // It ended without reading everything; its exit code tells.
  }
}

async function readTail(stream: ReadableStream<Uint8Array>): Promise<string> {
  let tail = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    tail = (tail + text).slice(-TAIL_BYTES);
  }
  return tail.trim();
}
