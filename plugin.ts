/**
 * The CNI executable. It only forwards: the environment and the configuration go to the daemon of this node, with a descriptor of
 * the container's network namespace, and the answer goes to stdout. It imports no package: each import would cost every pod
 * milliseconds.
 */
import { type CniEnv, parseCniArgs, readCniEnv } from "./lib/cni/args.ts";
import { asCniError, CniError } from "./lib/cni/errors.ts";
import { readText, type TextInput } from "./lib/cni/stdin.ts";
import {
  newestVersion,
  requireCommandVersion,
  requireVersion,
  supportedVersions,
} from "./lib/cni/version.ts";
import { type DaemonSockets, exchange, type ExchangeOptions } from "./lib/ipc/exchange.ts";
import { defaultApiSocket, defaultFdSocket, maxBodyBytes } from "./lib/ipc/messages.ts";
import { isNestedTooDeep, mostLevels } from "./lib/nesting.ts";

/** What the executable prints and how it exits. */
export interface PluginOutcome {
  /** Text for stdout; empty for commands without a result. */
  readonly stdout: string;
  /** 0, or 1 with an error object on stdout. */
  readonly exitCode: 0 | 1;
}

/**
 * Runs one CNI call from the environment and stdin to stdout and exit code. It never throws: each failure is an error object
 * of the specification (SPEC, section 5, "Error").
 */
export async function runPlugin(
  env: CniEnv,
  read: () => string,
  options: ExchangeOptions,
): Promise<PluginOutcome> {
  let cniVersion: string = newestVersion;
  try {
    const stdin = read();
    if (env["CNI_COMMAND"] === "VERSION" && stdin.trim() === "") return versions(cniVersion);
    const config = parseConfig(stdin);
    if (typeof config["cniVersion"] === "string") cniVersion = config["cniVersion"];
    const args = parseCniArgs(env);
    if (args.command === "VERSION") return versions(cniVersion);
    requireCommandVersion(args.command, requireVersion(config["cniVersion"]));
    const answer = await exchange({ args, env, config }, socketsOf(config), options);
    if ("error" in answer) return printed({ cniVersion, ...answer.error }, 1);
    return answer.result === undefined ? { stdout: "", exitCode: 0 } : printed(answer.result, 0);
  } catch (thrown) {
    return printed(asCniError(thrown).toErrorObject(cniVersion), 1);
  }
}

function versions(cniVersion: string): PluginOutcome {
  return printed({ cniVersion, supportedVersions }, 0);
}

function parseConfig(stdin: string): Readonly<Record<string, unknown>> {
  let config: unknown;
  try {
    config = JSON.parse(stdin);
  } catch (cause) {
    throw new CniError(
      "DecodeFailure",
      "Expected the network configuration as JSON on stdin, found something else; a CNI plugin is executed by a container runtime",
      { cause, ...(cause instanceof Error ? { details: cause.message } : {}) },
    );
  }
  if (isNestedTooDeep(config)) {
    throw new CniError(
      "DecodeFailure",
      `Expected the network configuration on stdin to be nested at most ${mostLevels} levels deep, found more`,
    );
  }
  if (typeof config === "object" && config !== null && !Array.isArray(config)) {
    return config as Readonly<Record<string, unknown>>;
  }
  throw new CniError(
    "DecodeFailure",
    "Expected the network configuration on stdin to be a JSON object, found another value",
  );
}

function socketsOf(config: Readonly<Record<string, unknown>>): DaemonSockets {
  return {
    api: pathIn(config, "socketPathApi", defaultApiSocket),
    fd: pathIn(config, "socketPathFd", defaultFdSocket),
  };
}

function pathIn(config: Readonly<Record<string, unknown>>, key: string, otherwise: string): string {
  const path = config[key];
  if (path === undefined) return otherwise;
  if (typeof path === "string" && path.startsWith("/")) return path;
  throw new CniError(
    "InvalidConfig",
    `Expected "${key}" in the network configuration to be an absolute path, found ${
      JSON.stringify(path)
    }`,
  );
}

function printed(value: object, exitCode: 0 | 1): PluginOutcome {
  return { stdout: JSON.stringify(value, undefined, 2) + "\n", exitCode };
}

function writeStdout(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** Milliseconds for the runtime to write the configuration and close stdin. It does both at once. */
const stdinTimeoutMs = 30_000;

const stdin: TextInput = { fd: 0, readSync: (into) => Deno.stdin.readSync(into) };

if (import.meta.main) {
  const env = readCniEnv((name) => Deno.env.get(name));
  const read = () => readText(stdin, { maxBytes: maxBodyBytes, timeoutMs: stdinTimeoutMs });
  const outcome = await runPlugin(env, Deno.stdin.isTerminal() ? () => "" : read, {
    pid: Deno.pid,
  });
  writeStdout(outcome.stdout);
  Deno.exit(outcome.exitCode);
}
