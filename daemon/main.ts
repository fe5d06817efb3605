/**
 * `pyroute2-cni`: the composition root. The only place that reads the environment and chooses implementations.
 *
 * Each subcommand loads its own modules, so that the FRR agent does not carry the Kubernetes client.
 */
import process from "node:process";
import { parseArgs, type ParseArgsConfig } from "node:util";
import { CodedError, messageOf } from "../lib/errors.ts";
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
  version     the version; --json for scripts`;

/** What a subcommand gets from its surroundings. */
interface Surroundings {
  readonly args: readonly string[];
  readonly signal: AbortSignal;
  readonly log: Logger;
}

type Subcommand = (surroundings: Surroundings) => Promise<void>;

const subcommands: Readonly<Record<string, Subcommand>> = {
  daemon: runDaemonCommand,
  "frr-agent": runFrrAgentCommand,
  apiserver: runApiServerCommand,
  version: printVersion,
};

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

function printVersion({ args }: Surroundings): Promise<void> {
  const { json } = optionsOf(args, { json: { type: "boolean", default: false } });
  const runtime = `deno ${Deno.version.deno}`;
  console.log(
    json === true ? JSON.stringify({ version, runtime }) : `pyroute2-cni ${version} (${runtime})`,
  );
  return Promise.resolve();
}

function optionsOf(
  args: readonly string[],
  options: NonNullable<ParseArgsConfig["options"]>,
): Readonly<Record<string, string | boolean | undefined>> {
  try {
    const { values } = parseArgs({
      args: [...args],
      options,
      strict: true,
      allowPositionals: false,
    });
    return Object.fromEntries(
      Object.entries(values).map((
        [name, value],
      ) => [name, Array.isArray(value) ? undefined : value]),
    );
  } catch (error) {
    throw new CodedError("UsageInvalid", messageOf(error));
  }
}

function portOf(value: string | boolean | undefined): number {
  const port = Number(value);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new CodedError("UsageInvalid", `Expected a port from 0 to 65535, found "${value}"`);
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

async function main(args: readonly string[]): Promise<number> {
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
    await subcommand({ args: rest, signal: stop.signal, log });
    return 0;
  } catch (error) {
    if (stop.signal.aborted && error === stop.signal.reason) return 0;
    const code = error instanceof CodedError ? error.code : "Unexpected";
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

if (import.meta.main) Deno.exit(await main(Deno.args));
