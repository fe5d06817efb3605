/** Runs a program to its end. */
import { messageOf } from "../../lib/errors.ts";
import { InstallError } from "./errors.ts";

/** How a program is run. */
export interface RunOptions {
  /** Its arguments; none when absent. */
  readonly args?: readonly string[];
  /** Its whole environment; that of this process when absent. */
  readonly env?: Readonly<Record<string, string>>;
  /** What it reads; nothing when absent. */
  readonly stdin?: string;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Called before each new attempt to execute a file that is open for writing. */
  readonly onBusy?: () => void;
}

/** What a program did. */
export interface RunResult {
  /** Exit code. */
  readonly code: number;
  /** What it wrote to stdout. */
  readonly stdout: string;
  /** What it wrote to stderr. */
  readonly stderr: string;
}

/** Milliseconds for whoever has the file open for writing: such as a child of another thread between fork and exec. */
const busyMs = 5_000;
const pauseMs = 20;

/**
 * Runs a program to its end, whatever its exit code. The kernel executes no file that anyone has open for writing (ETXTBSY): then it
 * is tried again for five seconds.
 *
 * @throws {InstallError} `ProgramBroken` if it cannot be executed
 */
export async function runProgram(path: string, options: RunOptions): Promise<RunResult> {
  const end = performance.now() + busyMs;
  for (;;) {
    try {
      return await runOnce(path, options);
    } catch (thrown) {
      options.signal.throwIfAborted();
      if (!isBusy(thrown) || performance.now() > end) {
        throw new InstallError(
          "ProgramBroken",
          `Expected to execute "${path}", found "${messageOf(thrown)}"`,
          { cause: thrown },
        );
      }
      options.onBusy?.();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}

async function runOnce(path: string, options: RunOptions): Promise<RunResult> {
  const child = new Deno.Command(path, {
    args: [...options.args ?? []],
    ...options.env === undefined ? {} : { env: { ...options.env }, clearEnv: true },
    cwd: "/",
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
    signal: options.signal,
  }).spawn();
  const written = options.stdin === undefined ? undefined : feed(child, options.stdin);
  const [output] = await Promise.all([child.output(), written]);
  options.signal.throwIfAborted();
  const decoder = new TextDecoder();
  return {
    code: output.code,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
}

async function feed(child: Deno.ChildProcess, text: string): Promise<void> {
  const writer = child.stdin.getWriter();
  // It may end without reading: then its answer tells.
  await writer.write(new TextEncoder().encode(text)).then(() => writer.close())
    .catch(() => undefined);
}

/** Deno has no class and no code for ETXTBSY when it spawns. */
function isBusy(thrown: unknown): boolean {
  return /\(os error 26\)/.test(messageOf(thrown));
}
