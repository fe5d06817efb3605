import { CniError } from "./errors.ts";

/** Commands of the specification (SPEC, section 2, "CNI operations"). */
export const cniCommands = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"] as const;

/** One of {@linkcode cniCommands}. */
export type CniCommand = typeof cniCommands[number];

/** The variables of the specification: what the plugin reads and forwards, and nothing else. */
export const cniVariables = [
  "CNI_COMMAND",
  "CNI_CONTAINERID",
  "CNI_NETNS",
  "CNI_IFNAME",
  "CNI_ARGS",
  "CNI_PATH",
] as const;

/** An environment that holds CNI_* variables. */
export type CniEnv = Readonly<Record<string, string>>;

/** Who the container is for Kubernetes, as the runtime tells it in CNI_ARGS; empty where it does not. */
export interface PodReference {
  /** K8S_POD_NAMESPACE. */
  readonly namespace: string;
  /** K8S_POD_NAME. */
  readonly name: string;
  /** K8S_POD_UID. */
  readonly uid: string;
}

/** The validated environment of one call. Members that the command does not use may be empty. */
export interface CniArgs {
  /** CNI_COMMAND. */
  readonly command: CniCommand;
  /** CNI_CONTAINERID. */
  readonly containerId: string;
  /** CNI_IFNAME. */
  readonly ifname: string;
  /** CNI_NETNS, a path; empty when the runtime gives none. */
  readonly netns: string;
  /** From CNI_ARGS. */
  readonly pod: PodReference;
  /** IP and MAC of CNI_ARGS as they are written, addresses with commas between them; empty where the runtime gives none. */
  readonly wished: { readonly ips: string; readonly mac: string };
}

const required: Readonly<Record<CniCommand, readonly string[]>> = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  GC: [],
  STATUS: [],
  VERSION: [],
};

const containerIdPattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** Longest interface name in bytes: IFNAMSIZ of linux/if.h less the terminating zero. */
export const maxIfnameBytes = 15;

/** Longest container id that is accepted, in characters. Runtimes use 64. */
export const maxContainerIdLength = 255;

/** The CNI_* variables of an environment, through a reader such as `Deno.env.get`. */
export function readCniEnv(get: (name: string) => string | undefined): CniEnv {
  const env: Record<string, string> = {};
  for (const name of cniVariables) {
    const value = get(name);
    if (value !== undefined) env[name] = value;
  }
  return env;
}

/**
 * Validates the environment of a call as the specification asks (SPEC, section 2, "Parameters").
 *
 * @throws {CniError} `InvalidEnvironment`, with the variable's name in the message
 */
export function parseCniArgs(env: CniEnv): CniArgs {
  const command = parseCommand(env["CNI_COMMAND"]);
  const missing = required[command].filter((name) => !env[name]);
  if (missing.length > 0) {
    throw invalid(
      `Expected the environment to hold ${
        missing.map((name) => `"${name}"`).join(", ")
      } for "${command}", found ${
        missing.length === 1 ? "it" : "them"
      } unset or empty; the container runtime sets them`,
    );
  }
  const containerId = env["CNI_CONTAINERID"] ?? "";
  const ifname = env["CNI_IFNAME"] ?? "";
  if (containerId !== "") checkContainerId(containerId);
  if (ifname !== "") checkIfname(ifname);
  return {
    command,
    containerId,
    ifname,
    netns: env["CNI_NETNS"] ?? "",
    ...parsePairs(env["CNI_ARGS"] ?? ""),
  };
}

/** Whether a call with this command works in the container's namespace, so that its descriptor goes with it. */
export function needsNetns(command: CniCommand): boolean {
  return command === "ADD" || command === "CHECK";
}

function parseCommand(text: string | undefined): CniCommand {
  const command = cniCommands.find((known) => known === text);
  if (command !== undefined) return command;
  throw invalid(
    `Expected "CNI_COMMAND" to be one of ${cniCommands.map((name) => `"${name}"`).join(", ")}, ${
      text === undefined ? "found it unset" : `found ${JSON.stringify(text.slice(0, 64))}`
    }; a CNI plugin is executed by a container runtime`,
  );
}

function checkContainerId(id: string): void {
  if (containerIdPattern.test(id) && id.length <= maxContainerIdLength) return;
  throw invalid(
    `Expected "CNI_CONTAINERID" to be at most ${maxContainerIdLength} letters, digits, "_", "." and "-", starting with a letter or digit, found ${
      JSON.stringify(id.slice(0, 300))
    }`,
  );
}

function checkIfname(name: string): void {
  const bytes = new TextEncoder().encode(name).length;
  const printable = /^[\x21-\x7e]+$/.test(name);
  if (
    bytes <= maxIfnameBytes && printable && name !== "." && name !== ".." && !/[/:%]/.test(name)
  ) {
    return;
  }
  throw invalid(
    `Expected "CNI_IFNAME" to be 1 to ${maxIfnameBytes} printable characters without "/", ":", "%" and spaces, and neither "." nor "..", found ${
      JSON.stringify(name.slice(0, 64))
    }`,
  );
}

/** CNI_ARGS are `KEY=VALUE` pairs with semicolons between them; unknown keys are for other plugins. */
function parsePairs(text: string): Pick<CniArgs, "pod" | "wished"> {
  const pairs = new Map<string, string>();
  for (const pair of text.split(";")) {
    if (pair === "") continue;
    const at = pair.indexOf("=");
    if (at <= 0) {
      throw invalid(
        `Expected "CNI_ARGS" to be KEY=VALUE pairs with ";" between them, found ${
          JSON.stringify(pair.slice(0, 64))
        }`,
      );
    }
    pairs.set(pair.slice(0, at), pair.slice(at + 1));
  }
  const value = (key: string) => pairs.get(key) ?? "";
  return {
    pod: {
      namespace: value("K8S_POD_NAMESPACE"),
      name: value("K8S_POD_NAME"),
      uid: value("K8S_POD_UID"),
    },
    wished: { ips: value("IP"), mac: value("MAC") },
  };
}

function invalid(message: string): CniError {
  return new CniError("InvalidEnvironment", message);
}
