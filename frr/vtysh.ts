/** FRR's shell, run as a process: commands go in on its standard input, so that one process serves a whole batch. */

import { messageOf } from "../lib/errors.ts";
import { FrrError, frrTimeout, frrUnavailable } from "./errors.ts";

/** Which FRR vtysh talks to. */
export interface VtyshTarget {
  /** Directory of the daemons' vty sockets (`--vty_socket`); FRR's own, `/var/run/frr`, when absent. */
  readonly vtyDir?: string | undefined;
}

/** A command and what FRR said to it. */
export interface VtyshReply {
  /** The command as it was given. */
  readonly command: string;
  /** FRR's words, without a final newline; empty for a configuration line that was taken. */
  readonly output: string;
}

/** Printable ASCII except `?`, on which vtysh would print help instead of taking the line. */
const SAFE_LINE = /^[\x20-\x3e\x40-\x7e]*$/;
const FINAL_PROMPT = /\n\S+# \n?$/;
const REFUSAL = /^(?:line \d+: )?%/m;
/** Not bfdd: only peers with BFD need it. */
const DAEMON_DOWN =
  /^(?:(?!bfdd )\S+ is not running|Exiting: failed to connect to any daemons\.)$/m;

/**
 * Gives commands to vtysh and returns FRR's reply to each.
 *
 * @throws {FrrError} `FrrUnavailable` when vtysh or a daemon does not answer, `FrrTimeout` when the signal is aborted first
 */
export async function runVtysh(
  target: VtyshTarget,
  commands: readonly string[],
  signal: AbortSignal,
): Promise<VtyshReply[]> {
  commands.forEach(requireSafeLine);
  const { stdout, stderr } = await execute(target, [], commands.join("\n") + "\n", signal);
  if (DAEMON_DOWN.test(stderr) || DAEMON_DOWN.test(stdout)) throw frrUnavailable(stderr || stdout);
  return splitTranscript(commands, stdout);
}

/**
 * Asks vtysh whether it knows every line of a configuration. The running FRR is not involved.
 *
 * @throws {FrrError} `FrrRefused` with the line that it does not know; else as {@link runVtysh}
 */
export async function checkConfig(
  target: VtyshTarget,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  text.split("\n").forEach(requireSafeLine);
  const { code, stdout, stderr } = await execute(target, ["-C", "-f", "/dev/stdin"], text, signal);
  const said = `${stdout}\n${stderr}`.split("\n").find((line) => REFUSAL.test(line));
  // The exit code alone does not tell: vtysh forgets a fault that a good line follows.
  if (code === 0 && said === undefined) return;
  const line = said ?? stderr.trim();
  throw new FrrError("FrrRefused", `FRR does not know a line of the configuration: "${line}"`, {
    line,
  });
}

/** The first reply in which FRR refuses its command. */
export function firstRefusal(replies: readonly VtyshReply[]): VtyshReply | undefined {
  return replies.find((reply) => REFUSAL.test(reply.output));
}

/**
 * Cuts what vtysh printed into the replies: not being on a terminal it repeats each command behind its prompt.
 *
 * @throws {FrrError} `FrrUnavailable` when a command is not there, because vtysh ended early
 */
export function splitTranscript(commands: readonly string[], transcript: string): VtyshReply[] {
  const lines = transcript.replace(FINAL_PROMPT, "").split("\n");
  let at = 0;
  const starts = commands.map((command) => {
    const from = at;
    while (at < lines.length && !isPromptFor(command, lines[at] ?? "")) at++;
    if (at === lines.length) {
      const said = lines.slice(from, from + 3).join("; ");
      throw frrUnavailable(`no answer to "${command}", but "${said}"`);
    }
    return at++;
  });
  return commands.map((command, i) => ({
    command,
    output: lines.slice((starts[i] ?? 0) + 1, starts[i + 1]).join("\n")
      .trimEnd(),
  }));
}

function isPromptFor(command: string, line: string): boolean {
  return line.endsWith(`# ${command}`) && !line.slice(0, -command.length - 2).includes(" ");
}

interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function execute(
  target: VtyshTarget,
  args: readonly string[],
  input: string,
  signal: AbortSignal,
): Promise<Output> {
  const where = target.vtyDir === undefined ? [] : ["--vty_socket", target.vtyDir];
  if (signal.aborted) throw frrTimeout(signal.reason);
  try {
    const child = new Deno.Command("vtysh", {
      args: [...where, ...args],
      // readline takes a terminal of 80 columns for granted, and repeats a longer line scrolled and cut.
      env: { VTYSH_HISTFILE: "/dev/null", TERM: "dumb", COLUMNS: "32000" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      signal,
    }).spawn();
    const [{ code, stdout, stderr }] = await Promise.all([
      child.output(),
      feed(child.stdin, input),
    ]);
    if (signal.aborted) throw frrTimeout(signal.reason);
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  } catch (cause) {
    if (cause instanceof FrrError) throw cause;
    throw frrUnavailable(messageOf(cause), cause);
  }
}

/** vtysh may end before it has read everything; what it said tells why. */
async function feed(stdin: WritableStream<Uint8Array>, input: string): Promise<void> {
  try {
    const writer = stdin.getWriter();
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.BrokenPipe)) throw cause;
  }
}

function requireSafeLine(line: string): void {
  if (SAFE_LINE.test(line)) return;
  throw new FrrError(
    "FrrRefused",
    `Expected printable ASCII without "?" in a configuration line, found ${JSON.stringify(line)}`,
    { line },
  );
}
