/** The daemon's configuration: `server.ini`, validated, with defaults that work on a plain node. */
import { z } from "zod";
import { CodedError } from "../lib/errors.ts";
import { addressFamily, formatAddress, parseAddress } from "../lib/net/address.ts";
import { formatPrefix, networkOf, parsePrefix } from "../lib/net/prefix.ts";
import { parseIni } from "./ini.ts";
import { type LogLevel, logLevels } from "./log.ts";
import { bitsOf, defaultMarkMask, leastMarkBits } from "./firewall/marks.ts";

/** A configuration that cannot be used; the message names every key at fault. */
export class ConfigError extends CodedError {
  /**
   * Makes the error.
   *
   * @param message Which keys are wrong, what was found and what is accepted
   * @param options The underlying failure, if any
   */
  constructor(message: string, options?: ErrorOptions) {
    super("ConfigInvalid", message, options);
  }
}

const whole = (least: number, most: number) =>
  z.string().regex(/^\d+$/, "expected a whole number").transform(Number)
    .pipe(z.number().min(least).max(most));
const path = z.string().regex(/^\//, "expected an absolute path");
const flag = z.enum(["true", "false"]).transform((value) => value === "true");
const words = z.string().transform((text) =>
  text.split(",").map((word) => word.trim()).filter((word) => word !== "")
);
const pluginTypes = words.pipe(
  z.array(
    z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]*$/, "expected names of plugins, without paths"),
  ),
);
const address = z.string().refine(
  (text) => text === "none" || addressFamily(text) === 4,
  'expected an IPv4 address, or "none"',
);
const address6 = z.string().refine(
  (text) => addressFamily(text) === 6,
  "expected an IPv6 address",
).transform((text) => formatAddress(6, parseAddress(text).value));
const cidrs = words.pipe(
  z.array(z.string().refine(isNetwork, "expected networks such as 10.96.0.0/12")),
);
const markMask = z.string().regex(
  /^0x[0-9a-fA-F]{1,8}$/,
  "expected a mask of up to 32 bits in hexadecimal, such as 0xffff3fff",
).transform(Number).refine(
  (mask) => bitsOf(mask) >= leastMarkBits,
  `expected at least ${leastMarkBits} bits`,
);

/** The whole configuration; sections and keys are named as in `server.ini`. */
export interface DaemonConfig {
  /** The plugin's way in. */
  readonly api: {
    /** UNIX socket for CNI data. */
    readonly socket_path_api: string;
    /** UNIX datagram socket for descriptors. */
    readonly socket_path_fd: string;
  };
  /** The default domain, and intervals. */
  readonly default: {
    /** VRF number, table and VNI of the default domain. */
    readonly vrf: number;
    /** Network address of its IPv4 prefix; `none` for a domain with IPv6 alone. */
    readonly prefix: string;
    /** Length of its IPv4 prefix, in bits. */
    readonly prefixlen: number;
    /** Length of a node's IPv4 block in it, in bits. */
    readonly ipblocklen: number;
    /** Network address of its IPv6 prefix; no IPv6 when absent. */
    readonly prefix6?: string | undefined;
    /** Length of its IPv6 prefix, in bits. */
    readonly prefixlen6: number;
    /** Length of a node's IPv6 block in it, in bits. */
    readonly ipblocklen6: number;
    /** Type of its overlay. */
    readonly system_vrf_type: "l2vni" | "l3vni";
    /** Tables below it are of service VRFs. */
    readonly service_vrf_max: number;
    /** Addresses of Kubernetes Services, in CIDR form. */
    readonly service_cidrs: readonly string[];
    /** Seconds between two looks for blocks that nothing needs. */
    readonly gc_interval_seconds: number;
    /** Longest time between two runs of the reconciler, in seconds. */
    readonly fw_interval_seconds: number;
    /** Folder of the runtime's CNI configurations. */
    readonly cni_config_dir: string;
  };
  /** What a CNIConfig may ask of the nodes. */
  readonly cni: {
    /** Plugin types that the runtime may be told to run; each is a program run as root. */
    readonly allowed_plugins: readonly string[];
  };
  /** Where the probes listen. */
  readonly readiness: {
    /** Address. */
    readonly host: string;
    /** TCP port. */
    readonly port: number;
  };
  /** What is logged. */
  readonly logging: {
    /** The least level that is written. */
    readonly level: LogLevel;
  };
  /** The node. */
  readonly node: {
    /** Its name in the API; the environment's NODE_NAME or the host's name when absent. */
    readonly name?: string | undefined;
    /** Where VRFs live. */
    readonly vrf_backend: "auto" | "device" | "netns";
    /** Folder of the journal, on a file system that a reboot empties. */
    readonly state_dir: string;
    /** Bits of packet and connection marks that are this project's; the others belong to kube-proxy and whoever else marks packets. */
    readonly mark_mask: number;
    /** Whether the daemon registers the node in the API, where no kubelet does. */
    readonly register: boolean;
    /** Whether IPv6 flows of pods that leave the node are masqueraded, as those of IPv4 always are. */
    readonly nat66: boolean;
  };
  /** The way to the API. */
  readonly kubernetes: {
    /** Path of a kubeconfig; the service account when absent. */
    readonly kubeconfig?: string | undefined;
  };
  /** BGP. */
  readonly bgp: {
    /** Autonomous system number. */
    readonly asn: number;
    /** Namespace of the Secrets that hold peers' passwords. */
    readonly secret_namespace: string;
  };
  /** The FRR agent. */
  readonly frr: {
    /** Its UNIX socket. */
    readonly socket_path: string;
    /** Seconds for which routes are kept that FRR takes away when BGP breaks off; 0 keeps none. */
    readonly forwarding_hold_seconds: number;
  };
}

const schema: z.ZodType<DaemonConfig> = z.strictObject({
  api: z.strictObject({
    socket_path_api: path.default("/var/run/pyroute2/api"),
    socket_path_fd: path.default("/var/run/pyroute2/fdpass"),
  }).prefault({}),
  default: z.strictObject({
    vrf: whole(1, 2 ** 31 - 1).default(42),
    prefix: address.default("10.244.0.0"),
    prefixlen: whole(8, 30).default(16),
    ipblocklen: whole(8, 30).default(26),
    prefix6: address6.optional(),
    prefixlen6: whole(8, 126).default(48),
    ipblocklen6: whole(8, 126).default(64),
    system_vrf_type: z.enum(["l2vni", "l3vni"]).default("l3vni"),
    service_vrf_max: whole(0, 2 ** 31 - 1).default(512),
    service_cidrs: cidrs.prefault(""),
    gc_interval_seconds: whole(1, 86_400).default(60),
    fw_interval_seconds: whole(1, 86_400).default(30),
    cni_config_dir: path.default("/etc/cni/net.d"),
  }).prefault({}),
  cni: z.strictObject({
    allowed_plugins: pluginTypes.prefault(
      "pyroute2-cni-plugin, portmap, bandwidth, tuning, loopback",
    ),
  }).prefault({}),
  readiness: z.strictObject({
    host: z.string().min(1).default("127.0.0.1"),
    port: whole(1, 65_535).default(24_800),
  }).prefault({}),
  logging: z.strictObject({ level: z.enum(logLevels).default("info") }).prefault({}),
  node: z.strictObject({
    name: z.string().min(1).max(253).optional(),
    vrf_backend: z.enum(["auto", "device", "netns"]).default("auto"),
    state_dir: path.default("/run/pyroute2"),
    mark_mask: markMask.prefault(`0x${defaultMarkMask.toString(16)}`),
    register: flag.default(false),
    nat66: flag.default(false),
  }).prefault({}),
  kubernetes: z.strictObject({ kubeconfig: path.optional() }).prefault({}),
  bgp: z.strictObject({
    asn: whole(1, 4_294_967_294).default(65_000),
    secret_namespace: z.string().regex(
      /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/,
      "expected the name of a namespace",
    ).default("pyroute2-cni"),
  }).prefault({}),
  frr: z.strictObject({
    socket_path: path.default("/var/run/frr/reload.sock"),
    forwarding_hold_seconds: whole(0, 3_600).default(120),
  }).prefault({}),
});

/**
 * Reads and validates the text of a `server.ini`. An empty text gives the defaults.
 *
 * @throws {ConfigError} When the text is no INI, a key or section is unknown, or a value is not accepted
 */
export function parseConfig(text: string): DaemonConfig {
  const document = parseIni(text);
  const raw = Object.fromEntries(
    [...document].map(([name, keys]) => [name, Object.fromEntries(keys)]),
  );
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    throw new ConfigError(
      `The configuration has errors: ${parsed.error.issues.map(describe).join("; ")}`,
    );
  }
  const fault = defaultDomainFault(parsed.data.default);
  if (fault !== undefined) throw new ConfigError(`The configuration has errors: ${fault}`);
  return parsed.data;
}

/** What is wrong with the default domain's ranges. */
function defaultDomainFault(domain: DaemonConfig["default"]): string | undefined {
  if (domain.prefix === "none" && domain.prefix6 === undefined) {
    return '"default.prefix" is "none" and "default.prefix6" is not given: give one of them';
  }
  return rangeFault("", domain.prefix, domain.prefixlen, domain.ipblocklen) ??
    rangeFault("6", domain.prefix6 ?? "none", domain.prefixlen6, domain.ipblocklen6);
}

function rangeFault(
  suffix: "" | "6",
  prefix: string,
  prefixlen: number,
  ipblocklen: number,
): string | undefined {
  if (prefix === "none") return undefined;
  if (ipblocklen < prefixlen) {
    return `"default.ipblocklen${suffix}" must be at least "default.prefixlen${suffix}" (${prefixlen}), found ${ipblocklen}`;
  }
  const given = parsePrefix(`${prefix}/${prefixlen}`);
  return networkOf(given).address === given.address
    ? undefined
    : `"default.prefix${suffix}" "${prefix}" has bits behind its length ${prefixlen}: give the network's address`;
}

function describe(issue: z.core.$ZodIssue): string {
  const at = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const names = issue.keys.map((key) => `"${at === "" ? key : `${at}.${key}`}"`);
    return `${at === "" ? "unknown section" : "unknown key"} ${names.join(", ")}`;
  }
  return `"${at}": ${issue.message}`;
}

function isNetwork(text: string): boolean {
  try {
    const given = parsePrefix(text);
    return given.length > 0 && formatPrefix(networkOf(given)) === formatPrefix(given);
  } catch {
    return false;
  }
}
