/** What a pod's annotations wish for. Pure. */
import { CniError } from "../../lib/cni/errors.ts";
import type { WishedAddress } from "../ipam/port.ts";
import { longestValue, parseAddressList, parseWishedMac, quote } from "./wish_values.ts";

/** Annotations that begin with it are the project's. */
export const annotationPrefix = "cni.pyroute2.org/";

/** The interface that the annotations `ips`, `mac` and `domain` are about: the pod's first one, by every runtime. */
export const firstInterface = "eth0";

/** What a pod wishes for. */
export interface PodWishes {
  /** Addresses of the first interface; any where none is named. */
  readonly addresses: readonly WishedAddress[];
  /** MAC address of the first interface. */
  readonly mac?: string;
  /** VRFDomain of the first interface. */
  readonly domain?: string;
  /** Whether all its interfaces have their addresses again when it comes back. */
  readonly keep?: "strict" | "on-node";
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** How the value of each annotation is taken. */
const readers: Readonly<
  Record<string, (wishes: Mutable<PodWishes>, text: string, where: string) => void>
> = {
  ips: (wishes, text, where) => {
    wishes.addresses = parseAddressList(text, where);
  },
  mac: (wishes, text, where) => {
    wishes.mac = parseWishedMac(text, where);
  },
  domain: (wishes, text, where) => {
    wishes.domain = parseDomain(text, where);
  },
  "keep-address": (wishes, text, where) => {
    if (text === "false") return;
    if (text === "true") wishes.keep = "strict";
    else if (text === "on-node") wishes.keep = "on-node";
    else {
      throw new CniError(
        "InvalidConfig",
        `Expected ${where} to be "true", "on-node" or "false", found ${quote(text)}`,
      );
    }
  },
};

/**
 * Parses a pod's annotations. Those of others are passed over.
 *
 * @param annotations All annotations of the pod
 * @throws {CniError} `InvalidConfig` for a value that cannot be used, and for a name under the prefix that is not known: a typing
 * error must not give the pod what it did not ask for
 */
export function parsePodAnnotations(annotations: Readonly<Record<string, string>>): PodWishes {
  const wishes: Mutable<PodWishes> = { addresses: [] };
  for (const [key, text] of Object.entries(annotations)) {
    if (!key.startsWith(annotationPrefix)) continue;
    const name = key.slice(annotationPrefix.length);
    if (!Object.hasOwn(readers, name)) {
      const known = Object.keys(readers).map((each) => `"${annotationPrefix}${each}"`);
      throw new CniError(
        "InvalidConfig",
        `Expected annotations under "${annotationPrefix}" to be ${known.join(", ")}, found ${
          quote(key)
        }; correct the pod's template`,
      );
    }
    readers[name]?.(wishes, text, `the pod's annotation "${key}"`);
  }
  return wishes;
}

function parseDomain(text: string, where: string): string {
  const name = text.trim();
  if (name === "" || name.length > longestValue) {
    throw new CniError(
      "InvalidConfig",
      `Expected ${where} to be the name of a VRFDomain, found ${quote(text)}`,
    );
  }
  return name;
}
