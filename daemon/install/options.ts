/** The command line of an installation, as a whole and without a look at the machine. Pure. */
import { CodedError } from "../../lib/errors.ts";
import { addressFamily, parseAddress } from "../../lib/net/address.ts";
import type { VrfBackend } from "../kernel/port.ts";
import type { ApiAddress } from "./units.ts";

/** The options as they stand on the command line; absent ones are undefined. */
export interface InstallWords {
  /** `--systemd`. */
  readonly systemd: boolean;
  /** `--plugin-dir`. */
  readonly pluginDir: string | undefined;
  /** `--api`. */
  readonly api: string | undefined;
  /** `--kubeconfig`. */
  readonly kubeconfig: string | undefined;
  /** `--node-name`. */
  readonly nodeName: string | undefined;
  /** `--vrf-backend`. */
  readonly vrfBackend: string | undefined;
  /** `--no-register`. */
  readonly noRegister: boolean;
  /** `--no-conflist`. */
  readonly noConflist: boolean;
  /** `--root`. */
  readonly root: string | undefined;
  /** `--start`. */
  readonly start: boolean;
  /** `--wait`. */
  readonly wait: string | undefined;
}

/** Only the plugin, into one folder. */
export interface PluginWish {
  /** Which of the two. */
  readonly what: "plugin";
  /** The folder. */
  readonly directory: string;
}

/** Everything that a host without a cluster runs. */
export interface HostWish {
  /** Which of the two. */
  readonly what: "host";
  /** Run the embedded API here, at this address. */
  readonly api: ApiAddress | undefined;
  /** Use the API of this kubeconfig. With neither, what the host has been installed with stays. */
  readonly kubeconfig: string | undefined;
  /** The node's name in the API. */
  readonly nodeName: string | undefined;
  /** Where VRFs live; what the kernel has, when undefined. */
  readonly vrfBackend: VrfBackend | undefined;
  /** False when a kubelet registers the node; undefined to leave it as it is, which is true at first. */
  readonly register: false | undefined;
  /** Whether a conflist is written where the embedded API runs. */
  readonly conflist: boolean;
  /** What stands before each path, without a slash at its end; empty for the host itself. */
  readonly root: string;
  /** Whether the services are enabled and started. */
  readonly start: boolean;
  /** Longest time until the node is ready after that, in seconds. */
  readonly waitSeconds: number;
}

const defaultApiPort = 6443;
const defaultWaitSeconds = 120;

/**
 * What a command line asks for.
 *
 * @throws {CodedError} `UsageInvalid` for options that contradict each other or have no meaning
 */
export function parseInstallWords(words: InstallWords): PluginWish | HostWish {
  if (words.systemd === (words.pluginDir !== undefined)) {
    throw usage("Expected either --systemd or --plugin-dir DIR");
  }
  if (words.pluginDir !== undefined) return pluginWish(words, words.pluginDir);
  if (words.api !== undefined && words.kubeconfig !== undefined) {
    throw usage(
      "Expected --api for a host that runs the API or --kubeconfig for one that uses it, found both",
    );
  }
  const root = rootOf(words.root);
  if (root !== "" && words.start) {
    throw usage("Expected --start without --root: below another root nothing runs");
  }
  if (!words.start && words.wait !== undefined) {
    throw usage("Expected --wait with --start, which it belongs to");
  }
  const vrfBackend = backendOf(words.vrfBackend);
  if (root !== "" && vrfBackend === undefined) {
    throw usage(
      "Expected --vrf-backend device or netns with --root: this kernel is not the one that it will run on",
    );
  }
  return {
    what: "host",
    api: words.api === undefined ? undefined : apiAddressOf(words.api),
    kubeconfig: words.kubeconfig,
    nodeName: words.nodeName === undefined ? undefined : nodeNameOf(words.nodeName),
    vrfBackend,
    register: words.noRegister ? false : undefined,
    conflist: !words.noConflist,
    root,
    start: words.start,
    waitSeconds: words.wait === undefined ? defaultWaitSeconds : secondsOf(words.wait),
  };
}

function pluginWish(words: InstallWords, directory: string): PluginWish {
  const others = Object.entries({
    "--api": words.api,
    "--kubeconfig": words.kubeconfig,
    "--node-name": words.nodeName,
    "--vrf-backend": words.vrfBackend,
    "--root": words.root,
    "--start": words.start || undefined,
    "--wait": words.wait,
    "--no-register": words.noRegister || undefined,
    "--no-conflist": words.noConflist || undefined,
  }).filter(([, value]) => value !== undefined).map(([name]) => name);
  if (others.length === 0) return { what: "plugin", directory };
  throw usage(`Expected nothing but the plugin with --plugin-dir, found ${others.join(", ")}`);
}

/** An IP address, with or without a port: `192.0.2.11`, `192.0.2.11:6443`, `[2001:db8::1]:6443`. */
function apiAddressOf(text: string): ApiAddress {
  const [, bracketed, bracketedPort] = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? [];
  const [, plain, plainPort] = /^([^:]+):(\d+)$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? text;
  const port = Number(bracketedPort ?? plainPort ?? defaultApiPort);
  if (addressFamily(host) === undefined || parseAddress(host).value === 0n) {
    throw usage(
      `Expected with --api the IP address by which the nodes reach this host, such as 192.0.2.11, found "${text}"`,
    );
  }
  // The API's user has no privileges, so none for a port below 1024.
  if (port < 1_024 || port > 65_535) {
    throw usage(`Expected with --api a port from 1024 to 65535, found "${port}"`);
  }
  return { host, port };
}

/** A name that the API takes for a Node: RFC 1123, section 2.1, in lower case. */
function nodeNameOf(text: string): string {
  const label = "[a-z0-9]([a-z0-9-]*[a-z0-9])?";
  if (text.length <= 253 && new RegExp(`^${label}(\\.${label})*$`).test(text)) return text;
  throw usage(`Expected with --node-name a DNS name in lower case, found "${text}"`);
}

function secondsOf(text: string): number {
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (seconds > 0) return seconds;
  throw usage(`Expected with --wait a number of seconds, found "${text}"`);
}

function backendOf(text: string | undefined): VrfBackend | undefined {
  if (text === undefined || text === "auto") return undefined;
  if (text === "device" || text === "netns") return text;
  throw usage(`Expected with --vrf-backend auto, device or netns, found "${text}"`);
}

/**
 * What stands before each path: a root without the slash at its end.
 *
 * @throws {CodedError} `UsageInvalid` for a path that is not absolute
 */
export function rootOf(text: string | undefined): string {
  if (text === undefined) return "";
  if (text.startsWith("/")) return text.replace(/\/+$/, "");
  throw usage(`Expected with --root an absolute path, found "${text}"`);
}

function usage(message: string): CodedError {
  return new CodedError("UsageInvalid", message);
}
