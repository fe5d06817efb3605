/**
 * The FRR agent: runs beside FRR, takes whole configurations on a UNIX socket and tells what FRR has made of them.
 *
 * On the socket: `POST /check`, `POST /apply` (configuration text), `GET /state`, `GET /routes?vrf=`. On TCP, for probes only: `GET
 * /livez`, `GET /readyz`.
 */

import { type Context, Hono } from "hono";
import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import { readRequestBody } from "../lib/ipc/request_body.ts";
import { keepServing, type LastingServer } from "../lib/ipc/lasting_server.ts";
import { applyConfig } from "./apply.ts";
import { deadDaemons, readEpoch, startDaemons, stopDaemons } from "./daemons.ts";
import { FrrError } from "./errors.ts";
import type { FrrErrorCode, FrrFailure } from "./protocol.ts";
import { redact } from "./redact.ts";
import { missingDaemons, readRoutes, readState, REQUIRED_DAEMONS } from "./state.ts";
import { askDaemons, DEFAULT_VTY_DIR } from "./vty.ts";
import { checkConfig, type VtyshTarget } from "./vtysh.ts";
import { withMark } from "./written_file.ts";

/** How an agent reaches its FRR and is reached itself. */
export interface FrrAgentOptions {
  /** UNIX socket of the agent, such as `/var/run/frr/reload.sock`; made with mode 0600. */
  readonly socketPath: string;
  /** Address of the probes, such as `0.0.0.0`. */
  readonly host: string;
  /** Port of the probes, usually 24801; 0 lets the kernel choose. */
  readonly port: number;
  /** Directory of the daemons' vty sockets and pid files; `/var/run/frr` when absent. */
  readonly vtyDir?: string;
  /** Directory of `frr.conf`, usually `/etc/frr`. */
  readonly confDir: string;
  /** Start FRR by its init script, and stop it at the end. */
  readonly startDaemons?: boolean;
  /** Ends the agent. */
  readonly signal: AbortSignal;
  /** Takes log records: a constant message and its fields. */
  readonly log: (
    level: FrrLogLevel,
    message: string,
    fields: Readonly<Record<string, unknown>>,
  ) => void;
  /** Called once, when both servers listen, with the port of the probes. */
  readonly onListen?: (probePort: number) => void;
}

/** How serious a log record is. */
export type FrrLogLevel = "debug" | "info" | "warn" | "error";

const APPLY_TIMEOUT_MS = 30_000;
const READ_TIMEOUT_MS = 25_000;
const PROBE_TIMEOUT_MS = 3_000;
const STOP_TIMEOUT_MS = 20_000;
const MAX_CONFIG_BYTES = 16 * 1024 * 1024;
const STATUS: Readonly<Record<FrrErrorCode, 422 | 503 | 504>> = {
  FrrRefused: 422,
  FrrUnavailable: 503,
  FrrTimeout: 504,
};

/**
 * Serves until the signal is aborted.
 *
 * @throws {FrrError} `FrrUnavailable` when FRR is to be started and does not start
 * @throws {Deno.errors.AddrInUse} When the probes' port is taken
 */
export async function runFrrAgent(options: FrrAgentOptions): Promise<void> {
  // Before all else: of two agents the second one ends here, and leaves the first one its socket and its FRR.
  const probes = serveProbes(options);
  try {
    await runDaemons(options, () => serveControl(options, probes.addr.port));
  } finally {
    await probes.shutdown();
  }
}

/** Does something while FRR runs, which is started for it and stopped afterwards if that is asked for. */
async function runDaemons(options: FrrAgentOptions, meanwhile: () => Promise<void>): Promise<void> {
  if (options.startDaemons !== true) return await meanwhile();
  const vtyDir = options.vtyDir ?? DEFAULT_VTY_DIR;
  try {
    await startDaemons(vtyDir, options.signal);
    await meanwhile();
  } finally {
    await stopDaemons(vtyDir, AbortSignal.timeout(STOP_TIMEOUT_MS));
  }
}

function serveProbes(options: FrrAgentOptions): LastingServer<Deno.NetAddr> {
  const { host, port } = options;
  const app = probeApp(options);
  return keepServing<Deno.NetAddr>({
    start: (signal, addr) =>
      Deno.serve(
        { hostname: host, port: addr?.port ?? port, signal, onListen: () => {} },
        (request) => app.fetch(request),
      ),
    ended: openedAnew(options),
  });
}

async function serveControl(options: FrrAgentOptions, probePort: number): Promise<void> {
  const { signal, log, socketPath } = options;
  await removeIfPresent(socketPath);
  const control = listenPrivately(socketPath, controlApp(options), openedAnew(options));
  try {
    log("info", "FRR agent listens", { socket: socketPath, port: probePort });
    options.onListen?.(probePort);
    await aborted(signal);
  } finally {
    await control.shutdown();
    await removeIfPresent(socketPath);
  }
}

function openedAnew({ log }: FrrAgentOptions): (cause: unknown) => void {
  return (cause) => log("error", "FRR agent is opened anew", { error: messageOf(cause) });
}

/** The UNIX socket's requests, one at a time: each reads or changes the one running configuration. */
function controlApp(options: FrrAgentOptions): Hono {
  const target: VtyshTarget = { vtyDir: options.vtyDir };
  const vtyDir = options.vtyDir ?? DEFAULT_VTY_DIR;
  const inTurn = queue();
  const app = new Hono();
  app.post("/check", async (c) => {
    const text = await readText(c);
    const start = performance.now();
    await inTurn(() => checkConfig(target, text, deadline(options.signal, READ_TIMEOUT_MS)));
    return c.json({ changed: false, lines: [], seconds: (performance.now() - start) / 1000 });
  });
  app.post("/apply", async (c) => {
    const text = await readText(c);
    const result = await inTurn(() => applyAndKeep(options, target, text));
    if (result.changed) {
      options.log("info", "FRR configuration applied", {
        lines: result.lines.length,
        seconds: result.seconds,
      });
    }
    return c.json(result);
  });
  app.get("/state", async (c) => {
    const state = await inTurn(async () =>
      readState(vtyDir, await readEpoch(vtyDir), deadline(options.signal, READ_TIMEOUT_MS))
    );
    return c.json(state);
  });
  app.get("/routes", async (c) => {
    const vrf = requireVrfName(c.req.query("vrf"));
    return c.json(
      await inTurn(() => readRoutes(vtyDir, vrf, deadline(options.signal, READ_TIMEOUT_MS))),
    );
  });
  app.onError((error, c) => {
    const failure = failureOf(error);
    options.log("warn", "FRR request failed", { path: c.req.path, ...failure });
    return c.json(failure, STATUS[failure.code]);
  });
  return app;
}

async function applyAndKeep(
  options: FrrAgentOptions,
  target: VtyshTarget,
  text: string,
): ReturnType<typeof applyConfig> {
  const path = join(options.confDir, "frr.conf");
  const content = withMark(text);
  const lastGood = await readIfPresent(path);
  const result = await applyConfig(
    target,
    text,
    lastGood,
    deadline(options.signal, APPLY_TIMEOUT_MS),
  );
  if (lastGood !== content) await replaceFile(options.confDir, path, content);
  return result;
}

function probeApp(options: FrrAgentOptions): Hono {
  const vtyDir = options.vtyDir ?? DEFAULT_VTY_DIR;
  const app = new Hono();
  app.get("/livez", async (c) => {
    const dead = await deadDaemons(vtyDir);
    return dead.length === 0 ? c.text("ok\n") : c.text(`not running: ${dead.join(", ")}\n`, 503);
  });
  app.get("/readyz", async (c) => {
    const { answering } = await askDaemons(
      vtyDir,
      Object.fromEntries(REQUIRED_DAEMONS.map((daemon) => [daemon, []])),
      deadline(options.signal, PROBE_TIMEOUT_MS),
    );
    const missing = missingDaemons(answering);
    return missing.length === 0
      ? c.text("ok\n")
      : c.text(`not ready: ${missing.join(", ")}\n`, 503);
  });
  app.onError((error, c) => c.text(`${error.message}\n`, 503));
  return app;
}

/** A UNIX socket that only its owner may use, from the first moment on: the umask covers the time between bind and chmod. */
function listenPrivately(
  path: string,
  app: Hono,
  ended: (cause: unknown) => void,
): LastingServer<Deno.UnixAddr> {
  return keepServing<Deno.UnixAddr>({
    start(signal) {
      const umask = Deno.umask(0o177);
      try {
        return Deno.serve({ path, signal, onListen: () => {} }, (request) => app.fetch(request));
      } finally {
        Deno.umask(umask);
      }
    },
    ended,
  });
}

async function readText(c: Context): Promise<string> {
  try {
    return await readRequestBody(c.req.raw, {
      maxBytes: MAX_CONFIG_BYTES,
      timeoutMs: READ_TIMEOUT_MS,
    });
  } catch (cause) {
    throw new FrrError("FrrRefused", messageOf(cause), { cause });
  }
}

function requireVrfName(name: string | undefined): string {
  if (name !== undefined && /^[A-Za-z0-9_.-]{1,15}$/.test(name)) return name;
  throw new FrrError(
    "FrrRefused",
    `Expected the name of a VRF as "vrf", found ${JSON.stringify(name ?? "")}`,
  );
}

function failureOf(error: Error): FrrFailure {
  if (error instanceof FrrError) {
    return { code: error.code, message: error.message, line: error.line };
  }
  return { code: "FrrUnavailable", message: redact(messageOf(error)) };
}

/** Runs tasks one after another, whether or not the one before failed. */
function queue(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const next = last.then(task, task);
    last = next;
    return next;
  };
}

function deadline(signal: AbortSignal, ms: number): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(ms)]);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}

/** Writes a file whole or not at all, owned as its directory is, so that FRR's user can read it. */
async function replaceFile(dir: string, path: string, content: string): Promise<void> {
  const temporary = await Deno.makeTempFile({ dir, prefix: ".frr.conf-" });
  try {
    await Deno.writeTextFile(temporary, content);
    const { uid, gid } = await Deno.stat(dir);
    if (uid !== null && gid !== null) await Deno.chown(temporary, uid, gid);
    await Deno.chmod(temporary, 0o640);
    await Deno.rename(temporary, path);
  } catch (cause) {
    await removeIfPresent(temporary);
    throw cause;
  }
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw cause;
  }
}

async function removeIfPresent(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
  }
}
