/** What a network configuration asks for one attachment. The plugin itself does not import this file: the daemon validates. */
import { z } from "zod";
import { CniError } from "./errors.ts";

/** Key of the runtime configuration in which containerd and CRI-O hand over the pod's annotations, to plugins that ask. */
export const podAnnotationsKey = "io.kubernetes.cri.pod-annotations";

const texts = z.array(z.string()).nullish();
const text = z.string().nullish();

const schema = z.looseObject({
  domain: z.string().min(1).max(253).optional(),
  isDefaultGateway: z.boolean().optional(),
  runtimeConfig: z.looseObject({
    ips: texts,
    mac: text,
    [podAnnotationsKey]: z.record(z.string(), z.string()).nullish(),
  }).nullish(),
  args: z.looseObject({
    cni: z.looseObject({ ips: texts, mac: text }).nullish(),
  }).nullish(),
});

/** What a network configuration asks for the attachment that it is given with. Texts are not looked into. */
export interface NetworkWishes {
  /** `domain`: the VRFDomain to attach to. */
  readonly domain?: string;
  /** `isDefaultGateway`: whether the container's default route shall lead through this interface. */
  readonly isDefaultGateway?: boolean;
  /** Addresses, by the place where they are asked for: the conventions have several. */
  readonly ips: Readonly<Record<string, readonly string[]>>;
  /** MAC addresses, in the same way. */
  readonly macs: Readonly<Record<string, string>>;
  /** The pod's annotations, where the runtime hands them over. */
  readonly podAnnotations?: Readonly<Record<string, string>>;
}

/**
 * Reads what a configuration asks for one attachment: keys of this plugin, capability arguments and `args.cni` (containernetworking
 * `CONVENTIONS.md`, "Dynamic Plugin specific fields" and "args in network config").
 *
 * @throws {CniError} `InvalidConfig`
 */
export function parseNetworkWishes(config: unknown): NetworkWishes {
  const parsed = schema.safeParse(config);
  if (!parsed.success) {
    throw new CniError(
      "InvalidConfig",
      "Expected a network configuration whose wishes can be read, found fields with wrong values; correct it where it is written",
      { details: z.prettifyError(parsed.error) },
    );
  }
  const { domain, isDefaultGateway, runtimeConfig, args } = parsed.data;
  const podAnnotations = runtimeConfig?.[podAnnotationsKey];
  return {
    ...(domain === undefined ? {} : { domain }),
    ...(isDefaultGateway === undefined ? {} : { isDefaultGateway }),
    ips: present({ "runtimeConfig.ips": runtimeConfig?.ips, "args.cni.ips": args?.cni?.ips }),
    macs: present({ "runtimeConfig.mac": runtimeConfig?.mac, "args.cni.mac": args?.cni?.mac }),
    ...(podAnnotations ? { podAnnotations } : {}),
  };
}

/** Only what is given; Go writes what is empty as null. */
function present<T extends { readonly length: number }>(
  places: Readonly<Record<string, T | null | undefined>>,
): Record<string, T> {
  const given: Record<string, T> = {};
  for (const [place, value] of Object.entries(places)) {
    if (value && value.length > 0) given[place] = value;
  }
  return given;
}
