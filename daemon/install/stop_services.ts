/** Stops the services of a host whose installation is removed, and leaves FRR as it was before. */
import { deadDaemons } from "../../frr/daemons.ts";
import type { DaemonConfig } from "../config.ts";
import type { Change } from "./changes.ts";
import { InstallError } from "./errors.ts";
import { units } from "./layout.ts";
import { type Say, withProgress } from "./progress.ts";
import type { ServiceManager } from "./service_manager.ts";

/** What stopping works with. */
export interface StopOptions {
  /** The host's service manager. */
  readonly manager: ServiceManager;
  /** Takes what is done. */
  readonly changes: Change[];
  /** Tell only what would be done. */
  readonly dryRun: boolean;
  /** Takes what is waited for. */
  readonly say: Say;
}

const vtyDir = "/var/run/frr";

/**
 * Makes sure that what runs is run by units, which can be stopped.
 *
 * @param manager The service manager; undefined where the host has none that is known
 * @throws {InstallError} `StillRunning`
 */
export async function requireManaged(
  manager: ServiceManager | undefined,
  { api }: DaemonConfig,
  hasVrfs: boolean,
): Promise<void> {
  const isActive = async (unit: string) => (await manager?.state(unit))?.active === true;
  if (await isListening(api.socket_path_api) && !await isActive(units.daemon)) {
    throw stillRunning(`a daemon that listens on "${api.socket_path_api}"`);
  }
  const zebra = !(await deadDaemons(vtyDir)).includes("zebra");
  if (hasVrfs && zebra && !await isActive(units.frr)) {
    throw stillRunning("FRR, which may crash over VRFs that go while it has them");
  }
}

/**
 * Disables and stops the units of this project.
 *
 * @param confirm Called once no new pods can come; when it throws, the daemon is started again
 */
export async function stopDaemons(options: StopOptions, confirm: () => void): Promise<void> {
  const { manager, dryRun, say, changes } = options;
  for (const unit of [units.daemon, units.agent, units.api]) {
    const { known, enabled, active } = await manager.state(unit);
    if (!known) continue;
    if (!dryRun) {
      await withProgress(say, `stop ${unit}`, manager.command("disable", "--now", unit));
      await manager.command("reset-failed", unit).catch(() => {});
    }
    if (unit === units.daemon && !dryRun) {
      try {
        confirm();
      } catch (error) {
        await manager.command("enable", "--now", unit);
        throw error;
      }
    }
    if (active || enabled) changes.push({ action: "stop", what: unit });
  }
}

/** zebra may crash over VRFs that go while it has them: it stands still meanwhile. Gives whether it ran. */
export async function stopFrr({ manager, dryRun, say, changes }: StopOptions): Promise<boolean> {
  const { active } = await manager.state(units.frr);
  if (!active) return false;
  if (!dryRun) await withProgress(say, `stop ${units.frr}`, manager.command("stop", units.frr));
  changes.push({ action: "stop", what: units.frr });
  return true;
}

/** Starts FRR where it ran before, or disables it where nobody had enabled it before the installation. */
export async function leaveFrr(
  { manager, dryRun, say, changes }: StopOptions,
  { ran, wasEnabled }: { readonly ran: boolean; readonly wasEnabled: boolean | undefined },
): Promise<void> {
  if (!dryRun) await manager.command("daemon-reload");
  const { enabled, active } = await manager.state(units.frr);
  if (wasEnabled === false && enabled) {
    if (!dryRun) await manager.command("disable", "--now", units.frr);
    if (active && !ran) changes.push({ action: "stop", what: units.frr });
    return;
  }
  if (!ran) return;
  if (!dryRun) await withProgress(say, `start ${units.frr}`, manager.command("start", units.frr));
  changes.push({ action: "start", what: units.frr });
}

async function isListening(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch {
    return false;
  }
}

function stillRunning(what: string): InstallError {
  return new InstallError(
    "StillRunning",
    `Expected all parts to be run by their units or stopped, found ${what}; stop it first`,
  );
}
