/** The network configuration as a schema. The plugin itself does not import this file: the daemon validates. */
import { z } from "zod";
import { CniError } from "./errors.ts";
import type { CniResult } from "./result.ts";
import { type CniVersion, requireVersion } from "./version.ts";

const interfaceSchema = z.looseObject({
  name: z.string(),
  mac: z.string().optional(),
  sandbox: z.string().optional(),
  mtu: z.int().nonnegative().optional(),
  socketPath: z.string().optional(),
  pciID: z.string().optional(),
});

const ipSchema = z.looseObject({
  address: z.union([z.cidrv4(), z.cidrv6()]),
  gateway: z.union([z.ipv4(), z.ipv6()]).optional(),
  interface: z.int().nonnegative().optional(),
});

const routeSchema = z.looseObject({
  dst: z.union([z.cidrv4(), z.cidrv6()]),
  gw: z.union([z.ipv4(), z.ipv6()]).optional(),
  mtu: z.int().nonnegative().optional(),
  advmss: z.int().nonnegative().optional(),
  priority: z.int().nonnegative().optional(),
  table: z.int().nonnegative().optional(),
  scope: z.int().nonnegative().optional(),
});

const dnsSchema = z.looseObject({
  nameservers: z.array(z.string()).optional(),
  domain: z.string().optional(),
  search: z.array(z.string()).optional(),
  options: z.array(z.string()).optional(),
});

// Go writes an empty list as null.
const list = <T extends z.ZodType>(item: T) =>
  z.array(item).nullish().transform((items) => items ?? []);

const resultSchema = z.looseObject({
  interfaces: list(interfaceSchema),
  ips: list(ipSchema),
  routes: list(routeSchema),
  dns: dnsSchema.optional(),
}).superRefine((result, context) => {
  for (const [at, ip] of result.ips.entries()) {
    if (ip.interface !== undefined && ip.interface >= result.interfaces.length) {
      context.addIssue({
        code: "custom",
        path: ["ips", at, "interface"],
        message: `Expected an index below ${result.interfaces.length}, found ${ip.interface}`,
      });
    }
  }
});

const attachmentSchema = z.looseObject({ containerID: z.string(), ifname: z.string() });

const configSchema = z.looseObject({
  cniVersion: z.string(),
  name: z.string().max(255).regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/),
  type: z.string().optional(),
  prevResult: resultSchema.nullish(),
  "cni.dev/valid-attachments": z.array(attachmentSchema).optional(),
});

/** An attachment that the runtime still uses, as given to GC. */
export interface ValidAttachment {
  /** Container id. */
  readonly containerId: string;
  /** Interface name in the container. */
  readonly ifname: string;
}

/** A validated network configuration: what the daemon reads of it. */
export interface NetworkConfig {
  /** Version of the specification to answer in. */
  readonly cniVersion: CniVersion;
  /** Name of the network. */
  readonly name: string;
  /** Result of the plugins before this one in the chain; for CHECK and DEL that of the whole chain. */
  readonly prevResult?: CniResult;
  /** `cni.dev/valid-attachments`, for GC. */
  readonly validAttachments?: readonly ValidAttachment[];
}

/**
 * Validates a network configuration (SPEC, section 1, "Network configuration format", as each plugin gets it on stdin).
 *
 * @throws {CniError} `IncompatibleVersion` or `InvalidConfig`
 */
export function parseNetworkConfig(value: unknown): NetworkConfig {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CniError(
      "DecodeFailure",
      "Expected the network configuration to be a JSON object, found something else",
    );
  }
  const cniVersion = requireVersion("cniVersion" in value ? value.cniVersion : undefined);
  const parsed = configSchema.safeParse(value);
  if (!parsed.success) {
    throw new CniError(
      "InvalidConfig",
      "Expected a valid network configuration, found fields with wrong values; correct the file in the CNI configuration directory",
      { details: z.prettifyError(parsed.error) },
    );
  }
  const { name, prevResult } = parsed.data;
  const valid = parsed.data["cni.dev/valid-attachments"];
  return {
    cniVersion,
    name,
    ...(prevResult ? { prevResult } : {}),
    ...(valid === undefined ? {} : {
      validAttachments: valid.map((item) => ({
        containerId: item.containerID,
        ifname: item.ifname,
      })),
    }),
  };
}
