/** Installs everything that a host without a cluster runs. */
import { join } from "node:path";
import { CodedError } from "../../lib/errors.ts";
import { selectBackend } from "../kernel/select_backend.ts";
import { applyFiles, type Change, exists, keepMode, makeDirectory } from "./changes.ts";
import { InstallError } from "./errors.ts";
import { readFacts, readText } from "./facts.ts";
import { checkKubeconfig } from "./kubeconfig.ts";
import { layout, units } from "./layout.ts";
import type { HostWish } from "./options.ts";
import { type HostFacts, type HostPlan, planHost } from "./plan.ts";
import type { PlannedFile } from "./planned_file.ts";
import {
  daemonName,
  findProgram,
  type FoundProgram,
  pluginName,
  programFile,
  runtimeFile,
  verifyProgram,
} from "./programs.ts";
import { type Say, withProgress } from "./progress.ts";
import type { FileWish } from "./put_file.ts";
import { renderRecord } from "./record.ts";
import { createSystemd, type ServiceManager } from "./service_manager.ts";
import { startServices } from "./services.ts";

/** How an installation is done. */
export interface HostInstallOptions {
  /** What is wanted. */
  readonly wish: HostWish;
  /** Folder with the programs. */
  readonly from: string;
  /** Tell only what would be done. */
  readonly dryRun: boolean;
  /** Takes what is waited for. */
  readonly say: Say;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** The host's service manager; its systemd when absent. */
  readonly manager?: ServiceManager;
}

/** What an installation, or a removal, did. */
export interface HostOutcome {
  /** What was changed, or would be. */
  readonly changes: readonly Change[];
  /** What a person should know. */
  readonly notes: readonly string[];
  /** Commands that are left to do. */
  readonly next: readonly string[];
}

/**
 * Installs, or brings an installation up to date. Everything that can be wrong with what is asked for is found before the first
 * change.
 *
 * @throws {CodedError} `UsageInvalid` and the codes of {@linkcode InstallError}
 */
export async function installHost(options: HostInstallOptions): Promise<HostOutcome> {
  const { wish, signal, dryRun, say } = options;
  const { root } = wish;
  const manager = options.manager ?? createSystemd(signal);
  await requirePlace(root);
  requireLocal(wish);
  const facts = {
    ...await readFacts(root),
    kernelBackend: wish.vrfBackend ?? selectBackend("auto"),
    frrEnabled: root === "" && await manager.available()
      ? (await manager.state(units.frr)).enabled
      : undefined,
  };
  const plan = planHost(wish, facts);
  const kubeconfig = await kubeconfigFile(wish, plan);
  const programs = await withProgress(say, "check the programs", findPrograms(options));
  if (wish.start) await requireStartable(manager, facts);
  const apply = { dryRun };
  const below = (files: readonly PlannedFile[]) =>
    files.map((file) => ({ ...file, path: root + file.path }));
  const made = await makeDirectories(plan, root, apply);
  const changes: Change[] = made.map((path) => ({ action: "create", what: path }));
  changes.push(...await keepModes(plan, root, apply));
  const put = async (files: readonly FileWish[]) => {
    changes.push(...await applyFiles(files, apply));
  };
  await withProgress(say, "copy the programs", putPrograms(programs, root, put, signal));
  await put([...kubeconfig, ...below(plan.files)]);
  await put([recordFile(plan, made, root)]);
  await put(below(plan.frr));
  if (wish.start) {
    const changed = new Set(changes.map(({ what }) => what));
    changes.push(
      ...await startServices({
        plan,
        manager,
        changed,
        dryRun,
        waitSeconds: wish.waitSeconds,
        say,
        signal,
      }),
    );
  }
  await put(below(plan.conflist));
  const next = wish.start || changes.length === 0 ? [] : nextCommands(plan, root);
  return { changes, notes: plan.notes, next };
}

async function requirePlace(root: string): Promise<void> {
  if (root === "") {
    if (Deno.uid() === 0) return;
    throw new InstallError("NotRoot", "Expected to be run as root, found another user");
  }
  if (await Deno.stat(root).then(({ isDirectory }) => isDirectory, () => false)) return;
  throw new CodedError("UsageInvalid", `Expected a directory with --root, found none at "${root}"`);
}

async function requireStartable(manager: ServiceManager, facts: HostFacts): Promise<void> {
  if (!await manager.available()) {
    throw new InstallError(
      "CannotStart",
      "Expected systemd to be this host's service manager, found another; leave --start out",
    );
  }
  if (facts.frr === undefined) {
    throw new InstallError(
      "CannotStart",
      `Expected FRR to be installed, found no "${layout.frr}/daemons"; install the package frr`,
    );
  }
  for (const directory of ["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"]) {
    if (await exists(join(directory, "nft"))) return;
  }
  throw new InstallError(
    "CannotStart",
    "Expected nft to be installed, found none; install the package nftables",
  );
}

/** The kubeconfig's copy; none where the API runs on this host, or the one that is there stays. */
async function kubeconfigFile(wish: HostWish, plan: HostPlan): Promise<readonly FileWish[]> {
  if (plan.api !== undefined) return [];
  const path = wish.root + layout.kubeconfig;
  if (wish.kubeconfig !== undefined) {
    const text = await readText(wish.kubeconfig);
    if (text === undefined) {
      throw new CodedError(
        "UsageInvalid",
        `Expected a kubeconfig with --kubeconfig, found none at "${wish.kubeconfig}"`,
      );
    }
    checkKubeconfig(text, wish.kubeconfig);
    return [{ path, mode: 0o600, content: text }];
  }
  if (await exists(path)) return [];
  throw new CodedError(
    "UsageInvalid",
    `Expected the kubeconfig "${path}" of the earlier installation, found none; give --kubeconfig FILE`,
  );
}

async function findPrograms(
  { from, signal }: HostInstallOptions,
): Promise<readonly FoundProgram[]> {
  const programs = [await findProgram(from, daemonName), await findProgram(from, pluginName)];
  for (const program of programs) await verifyProgram(program, signal);
  return programs;
}

function requireLocal({ api, root }: HostWish): void {
  if (api === undefined || root !== "") return;
  const own = Deno.networkInterfaces().map(({ address }) => address);
  if (own.includes(api.host)) return;
  throw new CodedError(
    "UsageInvalid",
    `Expected with --api an address of this host, found "${api.host}"; there are ${
      own.map((address) => `"${address}"`).join(", ")
    }`,
  );
}

/** Makes the folders; gives those that were missing. */
async function makeDirectories(
  { directories }: HostPlan,
  root: string,
  apply: { readonly dryRun: boolean },
): Promise<readonly string[]> {
  const made = new Set<string>();
  for (const { path, mode } of directories) {
    for (const each of await makeDirectory(root + path, mode, apply)) made.add(each);
  }
  return [...made];
}

/** Gives this project's own folders their modes: an installation by hand may have made them otherwise. */
async function keepModes(
  { directories }: HostPlan,
  root: string,
  apply: { readonly dryRun: boolean },
): Promise<readonly Change[]> {
  const changes: Change[] = [];
  for (const { path, mode, own } of directories) {
    if (own && await keepMode(root + path, mode, apply)) {
      changes.push({ action: "replace", what: root + path });
    }
  }
  return changes;
}

/** Runtime first: the others are run before they take their place. */
async function putPrograms(
  programs: readonly FoundProgram[],
  root: string,
  put: (files: readonly FileWish[]) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const runnable = root === "";
  const place = (directory: string) => ({
    directory: root + directory,
    runtimeDir: layout.programs,
    runnable,
  });
  await put(runtimeFile(programs, root + layout.programs));
  for (const program of programs) {
    await put([await programFile(program, place(layout.programs), signal)]);
  }
  for (const program of programs.filter(({ name }) => name === pluginName)) {
    await put([await programFile(program, place(layout.plugins), signal)]);
  }
}

function recordFile(plan: HostPlan, made: readonly string[], root: string): FileWish {
  const directories = [
    ...new Set([...plan.record.directories, ...made.map((path) => path.slice(root.length))]),
  ];
  const content = renderRecord({ ...plan.record, directories });
  return { path: root + layout.record, mode: 0o600, content };
}

function nextCommands({ api, backend }: HostPlan, root: string): readonly string[] {
  const names = [units.frr, ...api === undefined ? [] : [units.api], units.agent, units.daemon];
  if (root !== "") return [`systemctl --root=${root} enable ${names.join(" ")}`];
  return [
    ...backend === "netns" ? [`systemd-tmpfiles --create ${layout.tmpfiles}`] : [],
    "systemctl daemon-reload",
    `systemctl enable ${names.join(" ")}`,
    `systemctl restart ${names.join(" ")}`,
  ];
}
