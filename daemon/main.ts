/**
 * `pyroute2-cni`: the composition root. The only place that reads the environment and chooses implementations.
 *
 * Each subcommand loads its own modules, so that the FRR agent does not carry the Kubernetes client.
 */
import { dirname, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { CodedError, messageOf } from "../lib/errors.ts";
import { optionsOf, portOf } from "./command_line.ts";
import { createLogger, type Logger, stderrSink } from "./log.ts";
import { version } from "./version.ts";

const usage = `Usage: pyroute2-cni COMMAND [OPTIONS]

  daemon      attach pods to VRFs and keep this node in step with the API
                --config FILE       server.ini; without it the defaults hold
  frr-agent   validate, apply and report FRR's configuration
                --socket PATH       (default /var/run/frr/reload.sock)
                --host ADDRESS      of the probes (default 127.0.0.1)
                --port PORT         of the probes (default 24801)
                --start-daemons     start FRR, and stop it at the end
  apiserver   the embedded Kubernetes API, for a host or a lab without a cluster
                --data-dir DIR      (default /var/lib/pyroute2-cni/api)
                --host ADDRESS      (default 127.0.0.1)
                --port PORT         (default 6443)
                --kubeconfig FILE   where to write the kubeconfig (default DIR/kubeconfig)
  install     put the programs where a host's runtime and service manager look for them
                --systemd         all of a host without a cluster: programs, units, configuration
                --api ADDRESS     of this host, which runs the embedded API there (port 6443)
                --kubeconfig FILE of the API that runs elsewhere
                --node-name NAME  in the API (default: the host's)
                --vrf-backend B   device, netns, or auto: what the kernel has (default auto)
                --no-register     a kubelet registers the node
                --no-conflist     leave the runtime's configuration to others
                --start           enable and start the services, and wait until the node is ready
                --wait SECONDS    longest time until it is (default 120)
                --plugin-dir DIR  only the plugin, into this folder, in one step
                --from DIR        folder of the programs (default: that of this one)
                --root DIR        install below this folder, for an image
                --dry-run         tell only what would be done
                --json            one machine-readable summary
  uninstall   take it all away: services, files, and what the kernel holds
                --force           also while pods are attached, which lose their network
                --keep-data       keep configuration, kubeconfig and the embedded API's objects
                --root DIR, --dry-run, --json  as above
  version     the version; --json for scripts`;

/** What a subcommand gets from its surroundings. */
interface Surroundings {
  readonly args: readonly string[];
  /** The file of this program: a binary of its own, or what the runtime was started with. */
  readonly path: string;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

type Subcommand = (surroundings: Surroundings) => Promise<void>;

const subcommands: Readonly<Record<string, Subcommand>> = {
  daemon: runDaemonCommand,
  "frr-agent": runFrrAgentCommand,
  apiserver: runApiServerCommand,
  install: runInstallCommand,
  uninstall: runUninstallCommand,
  version: printVersion,
};

/** Those that a person runs and waits for: what goes wrong is told as a sentence, not as a line of a log. */
const interactive: readonly string[] = ["install", "uninstall", "version"];

async function runDaemonCommand({ args, signal }: Surroundings): Promise<void> {
  const values = optionsOf(args, { config: { type: "string" } });
  const { parseConfig } = await import("./config.ts");
  const { runDaemon } = await import("./daemon.ts");
  const config = parseConfig(
    typeof values.config === "string" ? await Deno.readTextFile(values.config) : "",
  );
  const host = Deno.env.get("KUBERNETES_SERVICE_HOST");
  const port = Deno.env.get("KUBERNETES_SERVICE_PORT");
  await runDaemon({
    config,
    nodeName: config.node.name ?? Deno.env.get("NODE_NAME") ?? Deno.hostname(),
    ...host === undefined || port === undefined ? {} : { inCluster: { host, port } },
    log: createLogger(config.logging.level, stderrSink()),
    signal,
  });
}

async function runFrrAgentCommand({ args, signal, log }: Surroundings): Promise<void> {
  const values = optionsOf(args, {
    socket: { type: "string", default: "/var/run/frr/reload.sock" },
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "24801" },
    "start-daemons": { type: "boolean", default: false },
  });
  const { runFrrAgent } = await import("../frr/agent.ts");
  await runFrrAgent({
    socketPath: String(values.socket),
    host: String(values.host),
    port: portOf(values.port),
    confDir: "/etc/frr",
    startDaemons: values["start-daemons"] === true,
    signal,
    log: (level, message, fields) => log[level](message, logFields(fields)),
  });
}

async function runApiServerCommand({ args, signal, log }: Surroundings): Promise<void> {
  const values = optionsOf(args, {
    "data-dir": { type: "string", default: "/var/lib/pyroute2-cni/api" },
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "6443" },
    kubeconfig: { type: "string" },
  });
  const { startApiServer } = await import("./apiserver/server.ts");
  const dataDir = String(values["data-dir"]);
  await using server = await startApiServer({
    dataDir,
    host: String(values.host),
    port: portOf(values.port),
    kubeconfigPath: typeof values.kubeconfig === "string"
      ? values.kubeconfig
      : `${dataDir}/kubeconfig`,
    signal,
    log,
  });
  log.info("API server listens", { url: server.url });
  await server.finished;
}

async function runInstallCommand({ args, path, signal }: Surroundings): Promise<void> {
  const { runInstall } = await import("./install/command.ts");
  await runInstall({ args, signal, ownDirectory: dirname(resolve(path)) });
}

async function runUninstallCommand({ args, signal }: Surroundings): Promise<void> {
  const { runUninstall } = await import("./install/command.ts");
  await runUninstall({ args, signal });
}

function printVersion({ args }: Surroundings): Promise<void> {
  const { json } = optionsOf(args, { json: { type: "boolean", default: false } });
  const runtime = `deno ${Deno.version.deno}`;
  console.log(
    json === true ? JSON.stringify({ version, runtime }) : `pyroute2-cni ${version} (${runtime})`,
  );
  return Promise.resolve();
}

/** Fields of another part's log as ours: what is no plain value becomes JSON. */
function logFields(
  fields: Readonly<Record<string, unknown>>,
): Record<string, string | number | boolean> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      typeof value === "string" || typeof value === "number" || typeof value === "boolean"
        ? value
        : JSON.stringify(value) ?? "",
    ]),
  );
}

/**
 * Runs a subcommand.
 *
 * @param args Its name and its arguments
 * @param path The file of this program
 * @returns The exit code
 */
export async function main(args: readonly string[], path: string): Promise<number> {
  const [name = "", ...rest] = args;
  const subcommand = Object.hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (subcommand === undefined) {
    console.error(usage);
    return name === "help" || name === "--help" ? 0 : 2;
  }
  // A library's deprecation notice is no line of ours: stderr carries JSON alone.
  process.noDeprecation = true;
  const log = createLogger("info", stderrSink());
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(
      signal,
      () => stop.abort(new CodedError("Stopped", `Stopped by ${signal}`)),
    );
  }
  try {
    await subcommand({ args: rest, path, signal: stop.signal, log });
    return 0;
  } catch (error) {
    // A service that was told to end has done what it should; half an installation has not.
    if (stop.signal.aborted && error === stop.signal.reason && !interactive.includes(name)) {
      return 0;
    }
    const code = error instanceof CodedError ? error.code : "Unexpected";
    if (interactive.includes(name)) {
      console.error(`pyroute2-cni ${name}: ${messageOf(error)} (${code})`);
      return code === "UsageInvalid" ? 2 : 1;
    }
    log.error("Ended by an error", {
      code,
      error: messageOf(error),
      cause: error instanceof Error && error.cause !== undefined
        ? messageOf(error.cause)
        : undefined,
    });
    return code === "UsageInvalid" ? 2 : 1;
  }
}

// Without an await: what starts a bundle (build/script_starter.js) calls main itself, from a script, which may have none.
if (import.meta.main) {
  const path = Deno.build.standalone ? Deno.execPath() : fileURLToPath(Deno.mainModule);
  main(Deno.args, path).then(Deno.exit);
}
