import { createHash } from "node:crypto";
import type { AttachmentKey } from "./port.ts";

/**
 * Name of the veth's host end: `veth` and 44 bits of a hash of the key, 15 bytes in all (IFNAMSIZ less the closing
 * NUL). The same key always has the same name, so that a repeated request finds what an earlier one left.
 */
export function hostIfnameOf(key: AttachmentKey): string {
  const text = [key.network, key.containerId, key.ifname].join("\0");
  return `veth${createHash("sha256").update(text).digest("hex").slice(0, 11)}`;
}
