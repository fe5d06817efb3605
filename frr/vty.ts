/**
 * FRR's daemons, asked over the sockets that vtysh uses (lib/vty.c, `vtysh_accept` and `vtysh_read`): a command ends with a NUL byte; its
 * answer is text, three NUL bytes and the command's return code. An answer costs no process, unlike vtysh's.
 */

import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import { connectIfListening } from "../lib/ipc/connect_if_listening.ts";
import { writeAll } from "../lib/ipc/write_all.ts";
import { frrTimeout, frrUnavailable } from "./errors.ts";
import type { VtyshReply } from "./vtysh.ts";

/** Where FRR's daemons listen when nobody says otherwise. */
export const DEFAULT_VTY_DIR = "/var/run/frr";

/** A command and what a daemon said to it. */
export interface DaemonReply extends VtyshReply {
  /** The daemon's name. */
  readonly daemon: string;
}

/** What daemons said. */
export interface DaemonAnswers {
  /** Those that answered, by name. */
  readonly answering: readonly string[];
  /** All commands in the order of the questions; without output where the daemon does not run. */
  readonly replies: readonly DaemonReply[];
}

/**
 * Gives each daemon its commands, all daemons at the same time.
 *
 * @param vtyDir Directory of the daemons' vty sockets
 * @param questions Commands by daemon, such as `{ zebra: ["show vrf"] }`; none asks whether it answers at all
 * @throws {FrrError} `FrrUnavailable` when a daemon ends while it is asked, `FrrTimeout` when the signal is aborted first
 */
export async function askDaemons(
  vtyDir: string,
  questions: Readonly<Record<string, readonly string[]>>,
  signal: AbortSignal,
): Promise<DaemonAnswers> {
  const asked = await Promise.allSettled(
    Object.entries(questions).map(async ([daemon, commands]) => ({
      daemon,
      ...await askDaemon(join(vtyDir, `${daemon}.vty`), daemon, commands, signal),
    })),
  );
  const answers = asked.map((each) => {
    if (each.status === "rejected") throw each.reason;
    return each.value;
  });
  return {
    answering: answers.filter(({ runs }) => runs).map(({ daemon }) => daemon),
    replies: answers.flatMap(({ replies }) => replies),
  };
}

/** Asks one daemon, one command after another. */
async function askDaemon(
  path: string,
  daemon: string,
  commands: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly runs: boolean; readonly replies: DaemonReply[] }> {
  if (signal.aborted) throw frrTimeout(signal.reason);
  using connection = await connect(path);
  if (connection === undefined) {
    return { runs: false, replies: commands.map((command) => ({ daemon, command, output: "" })) };
  }
  const stop = () => connection.close();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const replies: DaemonReply[] = [];
    // As vtysh does it first of all; its answer tells that the daemon is not stuck.
    await exchange(connection, "enable");
    for (const command of commands) {
      replies.push({ daemon, command, output: await exchange(connection, command) });
    }
    return { runs: true, replies };
  } catch (cause) {
    if (signal.aborted) throw frrTimeout(signal.reason);
    throw frrUnavailable(`${daemon}: ${messageOf(cause)}`, cause);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** A connection; undefined where no daemon listens. */
async function connect(path: string): Promise<Deno.UnixConn | undefined> {
  try {
    return await connectIfListening(path);
  } catch (cause) {
    throw frrUnavailable(messageOf(cause), cause);
  }
}

/** Gives a command, and its answer without the final newline. */
async function exchange(connection: Deno.UnixConn, command: string): Promise<string> {
  await writeAll(connection, new TextEncoder().encode(`${command}\0`));
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  // NUL bytes stand nowhere but at the end: three, and the return code, which may be one too.
  for (let trailer = 0; trailer < 4;) {
    const count = await connection.read(buffer);
    if (count === null) throw new Error("it closed the connection");
    const bytes = buffer.subarray(0, count);
    const end = trailer > 0 ? 0 : bytes.indexOf(0);
    text += decoder.decode(bytes.subarray(0, end === -1 ? count : end), { stream: true });
    if (end !== -1) trailer += count - end;
  }
  return text.trimEnd();
}
