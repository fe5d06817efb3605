import type { NetlinkConnection } from "../connection.ts";
import { NetlinkError } from "../errors.ts";
import type { VethPeer } from "../link_kinds/veth.ts";
import { createToldLink } from "./link.ts";
import type { LinkSpec } from "./link_creation.ts";

/** A pair to be created in the connection's namespace, with its peer here or elsewhere. */
export interface VethPairSpec extends Omit<LinkSpec, "kind" | "netnsFd"> {
  /** The other end. */
  readonly peer: VethPeer;
}

/** Both ends by their indexes, each in its own namespace. */
export interface VethPair {
  /** Index of the end that is here. */
  readonly index: number;
  /** Index of the peer. */
  readonly peerIndex: number;
}

/**
 * Creates a veth pair and all that belongs to its near end, in one exchange with the kernel, whose echo tells both indexes.
 *
 * @throws {NetlinkError} If the kernel refuses; `EEXIST` if one of the names is taken. A pair that was created but could not be set up is
 *   deleted again
 */
export function createVethPair(c: NetlinkConnection, spec: VethPairSpec): VethPair {
  const { peer, ...near } = spec;
  const { index, linkIndex } = createToldLink(c, { ...near, kind: { type: "veth", peer } }) ?? {};
  if (index !== undefined && linkIndex !== undefined) return { index, peerIndex: linkIndex };
  throw new NetlinkError(
    "NetlinkNoReply",
    `Expected the link "${near.name}" and its peer once they were created, found them gone`,
  );
}
