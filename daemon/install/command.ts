/** The subcommands `install` and `uninstall`: from the command line to the report. */
import { resolve } from "node:path";
import { optionsOf, type OptionValues } from "../command_line.ts";
import { installHost } from "./host.ts";
import { parseInstallWords, rootOf } from "./options.ts";
import { installPlugin } from "./plugin.ts";
import { renderReport, type Report } from "./report.ts";
import { uninstallHost } from "./uninstall.ts";

/** What a subcommand gets from its surroundings. */
export interface CommandSurroundings {
  /** Words behind the subcommand. */
  readonly args: readonly string[];
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Options of both. */
const commonOptions = {
  root: { type: "string" },
  "dry-run": { type: "boolean", default: false },
  json: { type: "boolean", default: false },
} as const;

/**
 * Installs, and prints what was done.
 *
 * @param surroundings With the folder of the running program, where the others are found unless another is named
 * @throws {CodedError} `UsageInvalid` for a wrong command line, and the codes of {@linkcode InstallError}
 */
export async function runInstall(
  { args, signal, ownDirectory }: CommandSurroundings & { readonly ownDirectory: string },
): Promise<void> {
  const values = optionsOf(args, {
    systemd: { type: "boolean", default: false },
    "plugin-dir": { type: "string" },
    api: { type: "string" },
    kubeconfig: { type: "string" },
    "node-name": { type: "string" },
    "vrf-backend": { type: "string" },
    "no-register": { type: "boolean", default: false },
    "no-conflist": { type: "boolean", default: false },
    start: { type: "boolean", default: false },
    wait: { type: "string" },
    from: { type: "string", default: ownDirectory },
    ...commonOptions,
  });
  const wish = parseInstallWords({
    systemd: values.systemd === true,
    pluginDir: text(values, "plugin-dir"),
    api: text(values, "api"),
    kubeconfig: text(values, "kubeconfig"),
    nodeName: text(values, "node-name"),
    vrfBackend: text(values, "vrf-backend"),
    noRegister: values["no-register"] === true,
    noConflist: values["no-conflist"] === true,
    root: text(values, "root"),
    start: values.start === true,
    wait: text(values, "wait"),
  });
  const how = { from: resolve(text(values, "from") ?? "."), dryRun: isDry(values), signal };
  if (wish.what === "plugin") {
    const changes = await installPlugin({ ...how, directory: wish.directory });
    return print({ changes, dryRun: how.dryRun }, values);
  }
  const outcome = await installHost({ ...how, wish, say });
  print({ ...outcome, dryRun: how.dryRun }, values);
}

/**
 * Uninstalls, and prints what was done.
 *
 * @throws {CodedError} `UsageInvalid` for a wrong command line, and the codes of {@linkcode InstallError}
 */
export async function runUninstall({ args, signal }: CommandSurroundings): Promise<void> {
  const values = optionsOf(args, {
    force: { type: "boolean", default: false },
    "keep-data": { type: "boolean", default: false },
    ...commonOptions,
  });
  const outcome = await uninstallHost({
    root: rootOf(text(values, "root")),
    force: values.force === true,
    keepData: values["keep-data"] === true,
    dryRun: isDry(values),
    say,
    signal,
  });
  print({ ...outcome, dryRun: isDry(values) }, values);
}

function text(values: OptionValues, name: string): string | undefined {
  const value = values[name];
  return typeof value === "string" ? value : undefined;
}

function isDry(values: OptionValues): boolean {
  return values["dry-run"] === true;
}

function print(report: Report, values: OptionValues): void {
  console.log(renderReport(report, values.json === true));
}

/** What a person waits for is told on stderr: stdout is the report's. */
function say(line: string): void {
  console.error(line);
}
