/** FRR's processes: starting and stopping them, and telling one run from another. */

import { join } from "node:path";
import { FrrError } from "./errors.ts";
import { pause } from "./pause.ts";
import { REQUIRED_DAEMONS } from "./state.ts";

/** watchfrr itself waits 20 seconds for one daemon's answer; a machine that is emulated or overloaded needs that, and there are several. */
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
const FRR_SCRIPTS = "/usr/lib/frr";

/**
 * Starts watchfrr, which starts the daemons that `/etc/frr/daemons` names, loads `/etc/frr/frr.conf` into them and restarts them when
 * they die; returns when all live. Stop them with {@link stopDaemons}.
 *
 * @param vtyDir Directory of the daemons' pid files
 * @throws {FrrError} `FrrUnavailable` when FRR's start script fails, or a daemon does not live within a minute
 */
export async function startDaemons(vtyDir: string, signal: AbortSignal): Promise<void> {
  const said = await runInitScript(signal);
  // The script succeeds whatever becomes of the daemons.
  const end = performance.now() + START_TIMEOUT_MS;
  for (let dead = REQUIRED_DAEMONS; dead.length > 0; dead = await deadDaemons(vtyDir)) {
    if (performance.now() > end) {
      throw new FrrError("FrrUnavailable", `FRR did not start "${dead.join(", ")}" ("${said}")`);
    }
    await pause(POLL_MS, signal);
  }
}

/**
 * Stops watchfrr and all daemons. Zebra is killed first: asked to end, it would take its routes out of the kernel, and with them the way to
 * every pod of another node until FRR is back. What it leaves is taken over by the next zebra (`-K`) or goes with the VRFs.
 *
 * @param vtyDir Directory of the daemons' pid files
 * @throws {FrrError} `FrrTimeout` when the signal is aborted before they have ended
 */
export async function stopDaemons(vtyDir: string, signal: AbortSignal): Promise<void> {
  const order = [["watchfrr"], ["zebra"], ["bgpd", "staticd", "bfdd"]];
  for (const group of order) {
    for (const daemon of group) {
      const pid = await livingPid(vtyDir, daemon);
      if (pid !== undefined) end(pid, daemon === "zebra" ? "SIGKILL" : "SIGTERM");
    }
    for (const daemon of group) {
      while (await livingPid(vtyDir, daemon) !== undefined) await pause(POLL_MS, signal);
      await Deno.remove(join(vtyDir, `${daemon}.pid`)).catch(ignoreAbsence);
    }
  }
}

/**
 * What tells this run of zebra and bgpd from another: their process ids and start times. A daemon that does not run is `-`.
 *
 * @param vtyDir Directory of the daemons' pid files
 */
export async function readEpoch(vtyDir: string): Promise<string> {
  const runs = await Promise.all(["zebra", "bgpd"].map(async (daemon) => {
    const pid = await livingPid(vtyDir, daemon);
    if (pid === undefined) return `${daemon}=-`;
    const file = await Deno.stat(join(vtyDir, `${daemon}.pid`)).catch(ignoreAbsence);
    return `${daemon}=${pid}@${file?.mtime?.getTime() ?? 0}`;
  }));
  return runs.join(" ");
}

/**
 * The required daemons of which no process lives.
 *
 * @param vtyDir Directory of the daemons' pid files
 */
export async function deadDaemons(vtyDir: string): Promise<string[]> {
  const pids = await Promise.all(REQUIRED_DAEMONS.map((daemon) => livingPid(vtyDir, daemon)));
  return REQUIRED_DAEMONS.filter((_, i) => pids[i] === undefined);
}

/** The daemon's process, unless it has ended, is a zombie that nobody has reaped yet, or another program by now. */
async function livingPid(vtyDir: string, daemon: string): Promise<number | undefined> {
  const pid = Number(await Deno.readTextFile(join(vtyDir, `${daemon}.pid`)).catch(ignoreAbsence));
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  const [, name, state] = /^\d+ \((.*)\) (\S)/.exec(stat) ?? [];
  return name === daemon && state !== "Z" && state !== "X" ? pid : undefined;
}

function end(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (cause) {
    ignoreAbsence(cause);
  }
}

function ignoreAbsence(cause: unknown): undefined {
  if (!(cause instanceof Deno.errors.NotFound)) throw cause;
}

async function runInitScript(signal: AbortSignal): Promise<string> {
  const { success, stderr, stdout } = await new Deno.Command(join(FRR_SCRIPTS, "frrinit.sh"), {
    args: ["start"],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).output();
  const decoder = new TextDecoder();
  const said = `${decoder.decode(stdout)}${decoder.decode(stderr)}`.trim();
  if (success) return said;
  throw new FrrError(
    "FrrUnavailable",
    `FRR's init script could not start the daemons ("${said}")`,
  );
}
