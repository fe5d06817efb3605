/** The daemon's configuration: `server.ini`, validated, with defaults that work on a plain node. */
import { z } from "zod";
import { CodedError } from "../lib/errors.ts";
import { formatPrefix, networkOf, parsePrefix } from "../lib/net/prefix.ts";
import { parseIni } from "./ini.ts";
import { logLevels } from "./log.ts";

/** A configuration that cannot be used; the message names every key at fault. */
export class ConfigError extends CodedError {
  /** @param message Which keys are wrong, what was found and what is accepted */
  constructor(message: string, options?: ErrorOptions) {
    super("ConfigInvalid", message, options);
  }
}

const whole = (least: number, most: number) =>
  z.string().regex(/^\d+$/, "expected a whole number").transform(Number)
    .pipe(z.number().min(least).max(most));
const path = z.string().regex(/^\//, "expected an absolute path");
const flag = z.enum(["true", "false"]).transform((value) => value === "true");
const address = z.string().refine((text) => isIpv4(text), "expected an IPv4 address");

const schema = z.strictObject({
  api: z.strictObject({
    socket_path_api: path.default("/var/run/pyroute2/api"),
    socket_path_fd: path.default("/var/run/pyroute2/fdpass"),
  }).prefault({}),
  default: z.strictObject({
    vrf: whole(1, 2 ** 31 - 1).default(42),
    prefix: address.default("10.244.0.0"),
    prefixlen: whole(8, 30).default(16),
    ipblocklen: whole(8, 30).default(26),
    system_vrf_type: z.enum(["l2vni", "l3vni"]).default("l3vni"),
    service_vrf_max: whole(0, 2 ** 31 - 1).default(512),
    gc_interval_seconds: whole(1, 86_400).default(60),
    fw_interval_seconds: whole(1, 86_400).default(30),
    cni_config_dir: path.default("/etc/cni/net.d"),
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
    register: flag.default(false),
  }).prefault({}),
  kubernetes: z.strictObject({ kubeconfig: path.optional() }).prefault({}),
  bgp: z.strictObject({ asn: whole(1, 4_294_967_294).default(65_000) }).prefault({}),
  frr: z.strictObject({ socket_path: path.default("/var/run/frr/reload.sock") }).prefault({}),
});

/** The whole configuration; sections and keys are named as in `server.ini`. */
export type DaemonConfig = z.infer<typeof schema>;

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
  const { ipblocklen, prefix, prefixlen } = parsed.data.default;
  if (ipblocklen < prefixlen) {
    throw new ConfigError(
      `The configuration has errors: "default.ipblocklen" must be at least "default.prefixlen" (${prefixlen}), found ${ipblocklen}`,
    );
  }
  const given = parsePrefix(`${prefix}/${prefixlen}`);
  if (formatPrefix(networkOf(given)) !== formatPrefix(given)) {
    throw new ConfigError(
      `The configuration has errors: "default.prefix" "${prefix}" has bits behind its length ${prefixlen}: give the network's address`,
    );
  }
  return parsed.data;
}

function describe(issue: z.core.$ZodIssue): string {
  const at = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const names = issue.keys.map((key) => `"${at === "" ? key : `${at}.${key}`}"`);
    return `${at === "" ? "unknown section" : "unknown key"} ${names.join(", ")}`;
  }
  return `"${at}": ${issue.message}`;
}

function isIpv4(text: string): boolean {
  const octets = text.split(".");
  return octets.length === 4 &&
    octets.every((octet) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) < 256);
}
