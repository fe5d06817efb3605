/** Takes away what an installation, by command or by hand, and the daemons have made on a host. */
import { messageOf } from "../../lib/errors.ts";
import { type DaemonConfig, parseConfig } from "../config.ts";
import { removeConflists } from "../controllers/conflist.ts";
import { createNodeFirewall } from "../firewall/node_firewall.ts";
import type { Change } from "./changes.ts";
import { InstallError } from "./errors.ts";
import { readConflists, readFrr, readRecord, readText } from "./facts.ts";
import { planFrrRestoration } from "./frr_plan.ts";
import type { HostOutcome } from "./host.ts";
import { type KernelTraces, openKernelTraces } from "./kernel_traces.ts";
import { layout } from "./layout.ts";
import { type Say, withProgress } from "./progress.ts";
import { removeFiles, removePaths } from "./remove_files.ts";
import { planRemoval, type RemovalPlan } from "./removal_plan.ts";
import { createSystemd, type ServiceManager } from "./service_manager.ts";
import { leaveFrr, requireManaged, stopDaemons, stopFrr } from "./stop_services.ts";

/** How a removal is done. */
export interface UninstallOptions {
  /** What stands before each path, without a slash at its end; empty for the host itself. */
  readonly root: string;
  /** Detach pods that are attached. */
  readonly force: boolean;
  /** Keep configuration, kubeconfig and the embedded API's objects. */
  readonly keepData: boolean;
  /** Tell only what would be done. */
  readonly dryRun: boolean;
  /** Takes what is waited for. */
  readonly say: Say;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** The host's service manager; its systemd when absent. */
  readonly manager?: ServiceManager;
}

/**
 * Removes everything, in an order in which no part meets what is half gone: runtimes stop calling, daemons stop, FRR stops, the
 * kernel's objects go, then the files; at last FRR is as it was before. Idempotent.
 *
 * @throws {InstallError} `PodsAttached` unless forced, `StillRunning` when a part runs that no unit has started; nothing is
 * changed then. `ServiceFailed` or `WriteFailed` in the middle: it can be run again
 * @throws {NetlinkError | SysError | NftError} When the kernel refuses
 */
export async function uninstallHost(options: UninstallOptions): Promise<HostOutcome> {
  const { root, keepData, dryRun } = options;
  if (root === "" && Deno.uid() !== 0) {
    throw new InstallError("NotRoot", "Expected to be run as root, found another user");
  }
  const notes: string[] = [];
  const config = await readConfig(root, notes);
  const record = await readRecord(root);
  const conflists = await readConflists(root + config.default.cni_config_dir);
  const plan = planRemoval({ config, record, conflists, keepData });
  notes.push(...plan.notes);
  const changes: Change[] = [];
  const files = { root, dryRun, keepData, plan, record: record?.frr, changes, notes };
  if (root === "") {
    await clearHost(
      { ...options, config, plan, frrRecord: record?.frr, changes, notes },
      () => removeFiles(files),
    );
  } else {
    await removePaths(plan.conflists, files);
    await removeFiles(files);
  }
  return { changes, notes, next: [] };
}

/** A configuration that cannot be read must not keep anyone from removing it. */
async function readConfig(root: string, notes: string[]): Promise<DaemonConfig> {
  try {
    return parseConfig(await readText(root + layout.serverIni) ?? "");
  } catch (error) {
    notes.push(`The usual paths were taken, since server.ini cannot be used: ${messageOf(error)}`);
    return parseConfig("");
  }
}

interface Clearing extends UninstallOptions {
  readonly config: DaemonConfig;
  readonly plan: RemovalPlan;
  readonly frrRecord: Parameters<typeof planFrrRestoration>[1];
  readonly changes: Change[];
  readonly notes: string[];
}

/** Stops what runs, clears the kernel, has the files removed, and leaves FRR as it was. */
async function clearHost(clearing: Clearing, removeAll: () => Promise<void>): Promise<void> {
  const { config, plan, frrRecord, changes, notes, dryRun, say, signal, force } = clearing;
  using traces = openKernelTraces(createNodeFirewall());
  const requireNoPods = () => {
    if (!force) refusePods(traces);
  };
  requireNoPods();
  const manager = clearing.manager ?? createSystemd(signal);
  const systemd = await manager.available();
  const stop = { manager, changes, dryRun, say };
  await requireManaged(systemd ? manager : undefined, config, traces.hasVrfs());
  if (systemd) await stopDaemons(stop, requireNoPods);
  await removePaths(plan.conflists, { root: "", dryRun, changes });
  if (!dryRun) await removeConflists(config.default.cni_config_dir);
  const restoration = planFrrRestoration(await readFrr(""), frrRecord);
  const isChanged = restoration.files.length + restoration.removals.length > 0;
  const frrRan = systemd && (traces.hasVrfs() || isChanged) && await stopFrr(stop);
  const there = await traces.list(signal);
  if (!dryRun) await withProgress(say, "clear the kernel", traces.remove(signal));
  changes.push(...there.map((what): Change => ({ action: "remove", what })));
  await removeAll();
  if (systemd) await leaveFrr(stop, { ran: frrRan, wasEnabled: frrRecord?.enabled });
  if (there.length > 0) {
    notes.push("Sysctls that the daemon has set stay as they are until the next boot");
  }
}

function refusePods(traces: KernelTraces): void {
  const pods = traces.pods();
  if (pods.length === 0) return;
  const named = pods.slice(0, 3).map(({ alias }) => `"${alias}"`).join(", ");
  throw new InstallError(
    "PodsAttached",
    `Expected no pods to be attached, found ${pods.length} (${named}${
      pods.length > 3 ? ", …" : ""
    }); end them first, or take their network away with --force`,
  );
}
