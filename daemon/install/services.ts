/** Enables and starts what was installed, and restarts what runs with older files. */
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import type { DaemonConfig } from "../config.ts";
import type { Change } from "./changes.ts";
import { InstallError } from "./errors.ts";
import { runtimeName } from "./launcher.ts";
import { layout, units } from "./layout.ts";
import type { HostPlan } from "./plan.ts";
import { daemonName } from "./programs.ts";
import { type Say, withProgress } from "./progress.ts";
import type { ServiceManager } from "./service_manager.ts";

/** What starting works with. */
export interface ServiceOptions {
  /** What was installed. */
  readonly plan: Pick<HostPlan, "api" | "backend" | "config">;
  /** The host's service manager. */
  readonly manager: ServiceManager;
  /** Paths that were changed, or, in a dry run, would be. */
  readonly changed: ReadonlySet<string>;
  /** Tell only what would be done. */
  readonly dryRun: boolean;
  /** Longest time until the node is ready, in seconds. */
  readonly waitSeconds: number;
  /** Takes what is waited for. */
  readonly say: Say;
  /** Ends it. */
  readonly signal: AbortSignal;
}

const program = join(layout.programs, daemonName);
const runtime = join(layout.programs, runtimeName);
const frrFiles = [join(layout.frr, "daemons"), join(layout.frr, "vtysh.conf")];

/**
 * Starts FRR, the embedded API, the agent and the daemon, in that order, and waits until the daemon is ready.
 *
 * @returns What was done, or would be
 * @throws {InstallError} `ServiceFailed`, `NotReady`
 */
export async function startServices(options: ServiceOptions): Promise<readonly Change[]> {
  const { plan, manager, dryRun } = options;
  const own = [...plan.api === undefined ? [] : [units.api], units.agent, units.daemon];
  const stale = await anyStale(manager, own);
  if (stale && !dryRun) await manager.command("daemon-reload");
  if (plan.backend === "netns" && !dryRun) await manager.makeTemporary(layout.tmpfiles);
  const changes = [...await ensureService(units.frr, frrFiles, options)];
  for (const unit of own) {
    changes.push(...await ensureService(unit, filesOf(unit), options));
    if (unit === units.api && !dryRun) await awaitKubeconfig(options);
  }
  if (!dryRun) await awaitReady(options);
  return changes;
}

/** The files that a service reads once, at its start. */
function filesOf(unit: string): string[] {
  const files = [join(layout.units, unit), program, runtime];
  const configured = [layout.serverIni, layout.kubeconfig];
  return unit === units.daemon ? [...files, ...configured] : files;
}

async function anyStale(manager: ServiceManager, names: readonly string[]): Promise<boolean> {
  for (const name of names) {
    const { known, stale } = await manager.state(name);
    if (!known || stale) return true;
  }
  return false;
}

async function ensureService(
  unit: string,
  files: readonly string[],
  { manager, changed, dryRun, say }: ServiceOptions,
): Promise<Change[]> {
  const { enabled, active, startedAt } = await manager.state(unit);
  const changes: Change[] = [];
  if (!enabled) {
    if (!dryRun) await manager.command("enable", unit);
    changes.push({ action: "enable", what: unit });
  }
  const outdated = files.some((path) => changed.has(path)) || await isNewer(files, startedAt);
  if (active && !outdated) return changes;
  const action = active ? "restart" : "start";
  if (!dryRun) await withProgress(say, `${action} ${unit}`, manager.command(action, unit));
  return [...changes, { action, what: unit }];
}

async function isNewer(files: readonly string[], startedAt: number | undefined): Promise<boolean> {
  if (startedAt === undefined) return false;
  for (const path of files) {
    const found = await Deno.stat(path).catch(() => undefined);
    if ((found?.mtime?.getTime() ?? 0) > startedAt) return true;
  }
  return false;
}

const pauseMs = 200;

/** The embedded API writes it at its first start; a daemon that came before would end and be started again. */
async function awaitKubeconfig({ waitSeconds, say, signal }: ServiceOptions): Promise<void> {
  const written = async () =>
    await Deno.stat(layout.apiKubeconfig).then(() => true, () => false) ? undefined : "not yet";
  const missing = await withProgress(
    say,
    "wait for the embedded API",
    poll(written, waitSeconds, signal),
  );
  if (missing === undefined) return;
  throw new InstallError(
    "NotReady",
    `Expected the embedded API to write "${layout.apiKubeconfig}" within ${waitSeconds} seconds, found none; see "journalctl -u ${units.api}"`,
  );
}

async function awaitReady({ plan, waitSeconds, say, signal }: ServiceOptions): Promise<void> {
  const url = readinessUrl(plan.config);
  const ask = async () => {
    try {
      const response = await fetch(url, { signal });
      const text = (await response.text()).trim();
      return response.ok ? undefined : text;
    } catch (thrown) {
      signal.throwIfAborted();
      return messageOf(thrown);
    }
  };
  const missing = await withProgress(
    say,
    "wait until the node is ready",
    poll(ask, waitSeconds, signal),
  );
  if (missing === undefined) return;
  throw new InstallError(
    "NotReady",
    `Expected the node to be ready within ${waitSeconds} seconds, found "${
      missing.replaceAll("\n", "; ")
    }"; all is installed and runs, see "journalctl -u ${units.daemon}"`,
  );
}

/** Where the daemon's readiness is asked for on the host itself. */
export function readinessUrl({ readiness: { host, port } }: DaemonConfig): string {
  const asked = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${asked.includes(":") ? `[${asked}]` : asked}:${port}/readyz`;
}

/** Asks until nothing is missing any more; gives what was missing when the time was up. */
async function poll(
  ask: () => Promise<string | undefined>,
  seconds: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const end = performance.now() + seconds * 1_000;
  for (;;) {
    signal.throwIfAborted();
    const missing = await ask();
    if (missing === undefined || performance.now() > end) return missing;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
