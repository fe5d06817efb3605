/** FRR's processes: starting and stopping them, and telling one run from another. */

import { join } from "node:path";
import { FrrError } from "./errors.ts";
import { pause } from "./pause.ts";
import { REQUIRED_DAEMONS } from "./state.ts";

const START_TIMEOUT_MS = 10_000;
const START_POLL_MS = 50;
const FRR_SCRIPTS = "/usr/lib/frr";

/**
 * Starts watchfrr, which starts the daemons that `/etc/frr/daemons` names, loads `/etc/frr/frr.conf` into them and restarts them when
 * they die; returns when all live. Stop them with {@link stopDaemons}.
 *
 * @param vtyDir Directory of the daemons' pid files
 * @throws {FrrError} `FrrUnavailable` when FRR's start script fails, or a daemon does not live within ten seconds
 */
export async function startDaemons(vtyDir: string, signal: AbortSignal): Promise<void> {
  const said = await runInitScript("start", signal);
  // The script succeeds whatever becomes of the daemons.
  const end = performance.now() + START_TIMEOUT_MS;
  for (let dead = REQUIRED_DAEMONS; dead.length > 0; dead = await deadDaemons(vtyDir)) {
    if (performance.now() > end) {
      throw new FrrError("FrrUnavailable", `FRR did not start "${dead.join(", ")}" ("${said}")`);
    }
    await pause(START_POLL_MS, signal);
  }
}

/**
 * Stops watchfrr and all daemons. Zebra withdraws the routes that it has put into the kernel.
 *
 * @throws {FrrError} `FrrUnavailable` when FRR's stop script fails
 */
export async function stopDaemons(signal: AbortSignal): Promise<void> {
  await runInitScript("stop", signal);
}

/**
 * What tells this run of zebra and bgpd from another: their process ids and start times. A daemon that does not run is `-`.
 *
 * @param vtyDir Directory of the daemons' pid files
 */
export async function readEpoch(vtyDir: string): Promise<string> {
  const runs = await Promise.all(["zebra", "bgpd"].map(async (daemon) => {
    const pidFile = join(vtyDir, `${daemon}.pid`);
    const pid = await readPid(pidFile);
    if (pid === undefined || !await isAlive(pid)) return `${daemon}=-`;
    const { mtime } = await Deno.stat(pidFile);
    return `${daemon}=${pid}@${mtime?.getTime() ?? 0}`;
  }));
  return runs.join(" ");
}

/**
 * The required daemons of which no process lives.
 *
 * @param vtyDir Directory of the daemons' pid files
 */
export async function deadDaemons(vtyDir: string): Promise<string[]> {
  const alive = await Promise.all(REQUIRED_DAEMONS.map(async (daemon) => {
    const pid = await readPid(join(vtyDir, `${daemon}.pid`));
    return pid !== undefined && await isAlive(pid);
  }));
  return REQUIRED_DAEMONS.filter((_, i) => !alive[i]);
}

async function readPid(path: string): Promise<number | undefined> {
  try {
    const pid = Number((await Deno.readTextFile(path)).trim());
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw cause;
  }
}

async function isAlive(pid: number): Promise<boolean> {
  try {
    await Deno.stat(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
}

async function runInitScript(verb: "start" | "stop", signal: AbortSignal): Promise<string> {
  const { success, stderr, stdout } = await new Deno.Command(join(FRR_SCRIPTS, "frrinit.sh"), {
    args: [verb],
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
    `FRR's init script could not ${verb} the daemons ("${said}")`,
  );
}
