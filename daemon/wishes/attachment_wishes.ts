/** What is wished for one attachment, by its pod and by its network configuration together. */
import type { CniArgs } from "../../lib/cni/args.ts";
import { CniError } from "../../lib/cni/errors.ts";
import type { NetworkWishes } from "../../lib/cni/wishes.ts";
import type { WishedAddress } from "../ipam/port.ts";
import type { Pod } from "../resources/core.ts";
import {
  annotationPrefix,
  firstInterface,
  parsePodAnnotations,
  type PodWishes,
} from "./pod_annotations.ts";
import type { PodLookup } from "./pod_lookup.ts";
import { parseAddresses, parseWishedMac } from "./wish_values.ts";

/** What is wished for one attachment. */
export interface AttachmentWishes {
  /** VRFDomain; the namespace's when absent. */
  readonly domain?: string;
  /** Addresses; any where none is named. */
  readonly addresses: readonly WishedAddress[];
  /** MAC address. */
  readonly mac?: string;
  /** Whether the pod shall have the same addresses again when it comes back. */
  readonly keep?: "strict" | "on-node";
}

/** A call whose wishes are asked for. */
export interface WishingCall {
  /** Validated environment. */
  readonly args: CniArgs;
  /** What the network configuration asks for. */
  readonly wishes: NetworkWishes;
}

/** What the wishes are gathered from. */
export interface AttachmentWishesOptions {
  /** Finds the container's pod. */
  readonly findPod: PodLookup;
  /** Whether the container is attached with an interface of this name. */
  readonly hasInterface: (containerId: string, ifname: string) => boolean;
}

/**
 * Gathers what is wished for an attachment.
 *
 * It throws {@linkcode CniError}: `InvalidConfig` for wishes that cannot be understood or contradict each other, `TryAgainLater` when
 * the pod's wishes cannot be known now.
 */
export type GatherWishes = (call: WishingCall, signal: AbortSignal) => Promise<AttachmentWishes>;

/** Makes what gathers wishes. */
export function createGatherWishes(options: AttachmentWishesOptions): GatherWishes {
  return async ({ args, wishes }, signal) => {
    const given = parseNetwork(args, wishes);
    // What the runtime hands over is what the kubelet started the pod with: nobody needs to be asked.
    const object = wishes.podAnnotations === undefined
      ? await options.findPod(args.pod, signal)
      : undefined;
    const pod = parsePodAnnotations(wishes.podAnnotations ?? object?.metadata.annotations ?? {});
    if (pod.keep !== undefined) {
      checkReturns(object ?? await options.findPod(args.pod, signal), args);
    }
    const kept = pod.keep === undefined ? {} : { keep: pod.keep };
    if (args.ifname === firstInterface) {
      return { ...merge([...given, { where: "the pod's annotations", wishes: pod }]), ...kept };
    }
    checkHeard(pod, args, options);
    return { ...merge(given), ...kept };
  };
}

/** Only a StatefulSet's pod comes back under its name: for any other an address would be kept in vain. */
function checkReturns(pod: Pod | undefined, { pod: { namespace, name } }: CniArgs): void {
  const owner = pod?.metadata.ownerReferences?.find(({ controller }) => controller === true);
  if (owner?.kind === "StatefulSet") return;
  throw new CniError(
    "InvalidConfig",
    `Expected the pod "${namespace}/${name}" to be a StatefulSet's, so that it comes back under its name to the address that is kept ` +
      `for it, found ${
        owner === undefined ? "it without a controller" : `one of the kind "${owner.kind}"`
      }; take the annotation "${annotationPrefix}keep-address" away`,
  );
}

/** Wishes and who has them. */
interface Source {
  readonly where: string;
  readonly wishes: Partial<AttachmentWishes>;
}

function parseNetwork(args: CniArgs, { domain, ips, macs }: NetworkWishes): readonly Source[] {
  const quoted = (place: string) => `"${place}" of the network configuration`;
  const sources: Source[] = [];
  if (domain !== undefined) sources.push({ where: quoted("domain"), wishes: { domain } });
  for (const [place, texts] of Object.entries(ips)) {
    sources.push({
      where: quoted(place),
      wishes: { addresses: parseAddresses(texts, quoted(place)) },
    });
  }
  for (const [place, text] of Object.entries(macs)) {
    sources.push({ where: quoted(place), wishes: { mac: parseWishedMac(text, quoted(place)) } });
  }
  const fromArgs = (name: string) => `"${name}" of "CNI_ARGS"`;
  if (args.wished.ips !== "") {
    const addresses = parseAddresses(args.wished.ips.split(","), fromArgs("IP"));
    sources.push({ where: fromArgs("IP"), wishes: { addresses } });
  }
  if (args.wished.mac !== "") {
    const mac = parseWishedMac(args.wished.mac, fromArgs("MAC"));
    sources.push({ where: fromArgs("MAC"), wishes: { mac } });
  }
  return sources;
}

/** Joins wishes that agree. @throws {CniError} `InvalidConfig` for two that do not */
function merge(sources: readonly Source[]): AttachmentWishes {
  let joined: AttachmentWishes = { addresses: [] };
  const by = new Map<keyof AttachmentWishes, Source>();
  for (const source of sources) {
    for (const key of ["domain", "addresses", "mac"] as const) {
      const value = source.wishes[key];
      if (value === undefined || value.length === 0) continue;
      const earlier = by.get(key);
      if (earlier !== undefined && textOf(earlier.wishes[key]) !== textOf(value)) {
        throw new CniError(
          "InvalidConfig",
          `Expected one wish for an attachment's ${nouns[key]}, found "${
            textOf(earlier.wishes[key])
          }" in ${earlier.where} and "${textOf(value)}" in ${source.where}; take one away`,
        );
      }
      by.set(key, source);
      joined = { ...joined, [key]: value };
    }
  }
  return joined;
}

const nouns = { domain: "VRFDomain", addresses: "addresses", mac: "MAC" } as const;

function textOf(value: string | readonly WishedAddress[] | undefined): string {
  if (value === undefined || typeof value === "string") return value ?? "";
  return value.map(({ address }) => address).toSorted().join(",");
}

/** An annotation that nobody would look at must not be passed over. */
function checkHeard(pod: PodWishes, args: CniArgs, options: AttachmentWishesOptions): void {
  const wished = pod.addresses.length > 0 || pod.mac !== undefined || pod.domain !== undefined;
  if (!wished || options.hasInterface(args.containerId, firstInterface)) return;
  throw new CniError(
    "InvalidConfig",
    `Expected annotations of the pod "${args.pod.namespace}/${args.pod.name}" for "${firstInterface}", which this plugin makes, ` +
      `found that it makes only "${args.ifname}"; wish for that in its own network configuration`,
  );
}
