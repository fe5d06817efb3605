/** Which addresses a pod that comes back must have, because they were kept for it. */
import { type IpFamily, parseAddress } from "../../lib/net/address.ts";
import type { ResourceCache } from "../kube/port.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import type { DomainRange } from "./block_candidates.ts";
import { IpamError } from "./errors.ts";
import type { AttachmentWish } from "./port.ts";
import { type Keeper, type KeptAddresses, keptAtApi } from "./kept_addresses.ts";

/** What it looks at. */
export interface KeptWishesOptions {
  /** This node's name. */
  readonly nodeName: string;
  /** IPBlocks as last seen: other nodes', and this node's that are not held yet. */
  readonly cache: ResourceCache<IPBlock>;
  /** What is kept in the blocks that this node holds. */
  readonly kept: KeptAddresses;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Adds the kept addresses to those that are wished by name, which go before them.
 *
 * It throws {@linkcode IpamError} `AddressElsewhere` when another node keeps an address for the pod, `ClaimFailed` before the list of
 * IPBlocks has arrived, where nobody can tell.
 */
export type KeptWishes = (
  ranges: readonly DomainRange[],
  named: ReadonlyMap<IpFamily, bigint>,
  keeper: Keeper,
  how: AttachmentWish["keep"],
) => ReadonlyMap<IpFamily, bigint>;

/** Makes it. */
export function createKeptWishes(options: KeptWishesOptions): KeptWishes {
  const { nodeName, cache, kept, now } = options;

  const keptFor = (
    { domain, prefix }: DomainRange,
    keeper: Keeper,
    strict: boolean,
  ): bigint | undefined => {
    const here = kept.find(domain.vrf, prefix.family, keeper);
    if (here !== undefined) return here.address;
    if (!cache.synced) {
      throw new IpamError(
        "ClaimFailed",
        `Expected to know which address is kept for the pod "${keeper.pod}", found no list of IPBlocks yet; ` +
          "it is tried again with the next request",
      );
    }
    const wanted = { vrf: domain.vrf, family: prefix.family, keeper };
    // A block of this node that is held has had its say: what the cache says of it is older.
    const found = keptAtApi(cache.list(), wanted, now()).filter(({ object }) =>
      !kept.holds(object.metadata.name)
    );
    const mine = found.find(({ object }) => object.spec.nodeName === nodeName);
    if (mine !== undefined) return parseAddress(mine.address).value;
    const [other] = found;
    if (other === undefined || !strict) return undefined;
    const { object, address, until } = other;
    throw new IpamError(
      "AddressElsewhere",
      `Expected to give "${keeper.ifname}" of the pod "${keeper.pod}" the address that is kept for it in the VRFDomain ` +
        `"${domain.name}", found "${address}" in "${object.metadata.name}" of the node "${object.spec.nodeName}"` +
        `${
          until === "" ? "" : `, kept until ${until}`
        }; start the pod there, or let it keep its address "on-node"`,
    );
  };

  return (ranges, named, keeper, how) => {
    if (how === undefined) return named;
    const wished = new Map(named);
    for (const range of ranges) {
      const { family } = range.prefix;
      if (wished.has(family)) continue;
      const address = keptFor(range, keeper, how === "strict");
      if (address !== undefined) wished.set(family, address);
    }
    return wished;
  };
}
