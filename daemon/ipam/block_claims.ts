/** Claims, verifies and releases this node's IPBlocks at the API. The name of an object is the claim. */
import { messageOf } from "../../lib/errors.ts";
import { isKubeError } from "../kube/kube_error.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import { type IPBlock, ipBlockName } from "../resources/ip_block.ts";
import type { BlockBook } from "./block_book.ts";
import { type Candidate, candidateBlocks, domainRange, startOf } from "./block_candidates.ts";
import { type BlockRange, parseRange, rangeContains, rangesOverlap } from "./block_range.ts";
import { IpamError } from "./errors.ts";
import type { HeldBlock } from "./held_blocks.ts";
import { createKeyedLock } from "./keyed_lock.ts";
import type { PoolDomain } from "./port.ts";

/** Ranges that others took first before a claim gives up: the cache is far behind then. */
const mostCollisions = 64;

/** What claiming needs. */
export interface BlockClaimsOptions {
  /** This node's name. */
  readonly nodeName: string;
  /** Requests on IPBlocks. */
  readonly client: ResourceClient<IPBlock>;
  /** IPBlocks as last seen. */
  readonly cache: ResourceCache<IPBlock>;
  /** The blocks of this node. */
  readonly book: BlockBook;
  /** Where claims and losses go. */
  readonly log: Logger;
  /** Ends all requests. */
  readonly signal: AbortSignal;
}

/** Claims of this node. */
export interface BlockClaims {
  /**
   * Gets one more block for a domain: one that is this node's already, or a new one.
   * @throws {IpamError} `BlocksExhausted`, `ClaimFailed`, `InvalidDomain`, or the journal's errors
   */
  claim(domain: PoolDomain): Promise<void>;
  /**
   * Asks the API whose a block is, and acts on the answer, if that is still needed when its turn comes.
   * @throws {KubeError} When there is no answer
   */
  verify(vrf: number, range: BlockRange, needed: () => boolean): Promise<void>;
  /** Deletes a block that has no attachments. False when it got one meanwhile. @throws {KubeError} */
  release(block: HeldBlock): Promise<boolean>;
  /** Deletes an object of this node that is not held. @throws {KubeError} */
  discard(object: IPBlock): Promise<void>;
}

/** The range of an object whose name and spec agree; undefined for one that claims nothing by its name. */
export function claimedRange(object: IPBlock): BlockRange | undefined {
  const range = specRange(object);
  if (range === undefined) return undefined;
  return ipBlockName(object.spec.vrfTable, range.cidr) === object.metadata.name ? range : undefined;
}

/** The range in an object's spec; undefined when it is none. */
export function specRange(object: IPBlock): BlockRange | undefined {
  try {
    return parseRange(object.spec.cidr);
  } catch {
    return undefined;
  }
}

/** Makes the claims of a node. */
export function createBlockClaims(options: BlockClaimsOptions): BlockClaims {
  const { nodeName, client, cache, book, log, signal } = options;
  const { held } = book;
  const lock = createKeyedLock();
  /** Ranges being claimed now, so that two VRFs do not choose the same one at once. */
  const pending = new Map<number, BlockRange>();

  /** Ranges of cached objects, so that each is parsed once. */
  const ranges = new WeakMap<IPBlock, BlockRange>();

  const rangeOf = (object: IPBlock): BlockRange | undefined => {
    const range = ranges.get(object) ?? specRange(object);
    if (range !== undefined) ranges.set(object, range);
    return range;
  };

  const isOurs = (object: IPBlock) =>
    object.spec.nodeName === nodeName && claimedRange(object) !== undefined;

  /** Creates the object; undefined when another has the name. */
  const create = async (vrf: number, range: BlockRange): Promise<IPBlock | undefined> => {
    const name = ipBlockName(vrf, range.cidr);
    try {
      return await client.create(manifest(name, nodeName, vrf, range), signal);
    } catch (error) {
      signal.throwIfAborted();
      // Only an answer "no" says that nothing was made; after anything else the object is looked for.
      const taken = isKubeError(error, "AlreadyExists");
      const found = await client.get(name, signal).catch((cause) => {
        if (taken && isKubeError(cause, "Invalid")) return undefined;
        throw taken ? cause : error;
      });
      if (found === undefined && !taken) throw error;
      return found !== undefined && isOurs(found) ? found : undefined;
    }
  };

  const openIfFree = (object: IPBlock, range: BlockRange): boolean => {
    if (object.metadata.deletionTimestamp !== undefined) return false;
    book.adopt(object, range);
    return true;
  };

  const verifyLocked = async (vrf: number, range: BlockRange): Promise<void> => {
    const name = ipBlockName(vrf, range.cidr);
    if (held.get(name)?.state === "releasing") return;
    let object = await client.get(name, signal);
    signal.throwIfAborted();
    const block = held.get(name);
    if (block !== undefined && block.addresses.given === 0 && (!object || !isOurs(object))) {
      log.warn("An IPBlock of this node is gone", { block: name, vrf });
      return book.drop(block);
    }
    if (object === undefined && block !== undefined) {
      log.warn("An IPBlock in use was deleted, claiming it again", { block: name, vrf });
      object = await create(vrf, range) ?? await client.get(name, signal);
      signal.throwIfAborted();
    }
    if (object === undefined) return;
    if (isOurs(object)) return void openIfFree(object, range);
    if (block === undefined) return;
    block.state = "disputed";
    block.dispute = `belongs to the node "${object.spec.nodeName}" now`;
    log.error("An IPBlock in use was taken by another node", { block: name, vrf });
  };

  /** Looks whose the blocks are that may be this node's but cannot be used yet. True when one gives room. */
  const reclaim = async (domain: PoolDomain, prefix: BlockRange): Promise<boolean> => {
    const uncertain = new Map<string, BlockRange>();
    for (const block of held.ofVrf(domain.vrf)) {
      if (block.state === "suspect") uncertain.set(block.name, block.range);
    }
    for (const object of cache.list()) {
      if (object.spec.vrfTable !== domain.vrf || !isOurs(object)) continue;
      const range = claimedRange(object);
      if (range && !held.get(object.metadata.name)) uncertain.set(object.metadata.name, range);
    }
    for (const [name, range] of uncertain) {
      if (!rangeContains(prefix, range)) continue;
      await lock(name, () => verifyLocked(domain.vrf, range));
      if (hasRoom(domain, prefix)) return true;
    }
    return false;
  };

  const hasRoom = (domain: PoolDomain, prefix: BlockRange) =>
    held.usable(domain.vrf, prefix).some((block) => block.addresses.free > 0);

  const candidatesOf = (domain: PoolDomain, prefix: BlockRange): Iterable<Candidate> => {
    const occupied: BlockRange[] = held.ofVrf(domain.vrf).map((block) => block.range);
    const avoided: BlockRange[] = [];
    for (const block of held.all()) if (block.vrf !== domain.vrf) avoided.push(block.range);
    for (const object of cache.list()) {
      const range = rangeOf(object);
      if (range === undefined) continue;
      if (object.spec.vrfTable === domain.vrf) occupied.push(range);
      else if (object.spec.nodeName === nodeName) avoided.push(range);
    }
    return candidateBlocks({
      prefix,
      blockLength: domain.blockLength,
      occupied,
      avoided,
      start: startOf(nodeName, domain.vrf),
    });
  };

  /** Whether a range has come into use for another VRF of this node since the candidates were listed. */
  const clashes = (vrf: number, range: BlockRange) =>
    held.overlapping(vrf, range) !== undefined ||
    [...pending].some(([other, its]) => other !== vrf && rangesOverlap(its, range));

  const tryRange = async (domain: PoolDomain, range: BlockRange): Promise<boolean> => {
    const name = ipBlockName(domain.vrf, range.cidr);
    pending.set(domain.vrf, range);
    try {
      return await lock(name, async () => {
        if (held.get(name) !== undefined) return false;
        const object = await create(domain.vrf, range);
        signal.throwIfAborted();
        return object !== undefined && openIfFree(object, range);
      });
    } finally {
      pending.delete(domain.vrf);
    }
  };

  const claimNew = async (domain: PoolDomain, prefix: BlockRange): Promise<void> => {
    const deferred: BlockRange[] = [];
    let collisions = 0;
    const attempt = async (range: BlockRange): Promise<boolean> => {
      if (await tryRange(domain, range)) {
        log.info("Claimed an IPBlock", { block: ipBlockName(domain.vrf, range.cidr) });
        return true;
      }
      if (++collisions < mostCollisions) return false;
      throw new IpamError(
        "ClaimFailed",
        `Expected a free block for the VRFDomain "${domain.name}", found "${collisions}" taken by other nodes; ` +
          "the list of IPBlocks is behind, try again",
      );
    };
    for (const { range, overlapsOther } of candidatesOf(domain, prefix)) {
      if (!overlapsOther && clashes(domain.vrf, range)) deferred.push(range);
      else if (await attempt(range)) return;
    }
    for (const range of deferred) if (await attempt(range)) return;
    throw new IpamError(
      "BlocksExhausted",
      `Expected a free /${domain.blockLength} block in "${domain.prefix}" of the VRFDomain "${domain.name}", ` +
        "found none; delete pods or give the domain a larger prefix",
    );
  };

  const releaseLocked = async (block: HeldBlock): Promise<boolean> => {
    const certain = block.state === "open" || block.state === "releasing";
    if (!certain) await verifyLocked(block.vrf, block.range);
    if (held.get(block.name) !== block) return true;
    if (block.addresses.given > 0 || block.uid === "") return false;
    book.close(block);
    try {
      await client.delete(block.name, { uid: block.uid }, signal);
    } catch (error) {
      // Another object has the name: ours went before.
      if (!isKubeError(error, "Conflict")) throw error;
    }
    signal.throwIfAborted();
    book.drop(block);
    log.info("Released an IPBlock", { block: block.name, vrf: block.vrf });
    return true;
  };

  return {
    claim: async (domain) => {
      const prefix = domainRange(domain);
      try {
        if (!cache.synced) throw new Error("the list of IPBlocks has not arrived yet");
        if (await reclaim(domain, prefix)) return;
        await claimNew(domain, prefix);
      } catch (error) {
        throw error instanceof IpamError ? error : claimFailed(domain, error);
      }
    },
    verify: (vrf, range, needed) =>
      lock(ipBlockName(vrf, range.cidr), async () => {
        if (needed()) await verifyLocked(vrf, range);
      }),
    release: (block) => lock(block.name, () => releaseLocked(block)),
    discard: (object) =>
      lock(object.metadata.name, async () => {
        const { name, uid } = object.metadata;
        if (held.get(name) !== undefined || uid === undefined) return;
        await client.delete(name, { uid }, signal);
      }),
  };
}

function manifest(name: string, nodeName: string, vrf: number, range: BlockRange): IPBlock {
  return {
    apiVersion: "ipam.pyroute2.org/v1alpha1",
    kind: "IPBlock",
    metadata: { name },
    spec: { cidr: range.cidr, nodeName, vrfTable: vrf },
  };
}

function claimFailed(domain: PoolDomain, cause: unknown): IpamError {
  return new IpamError(
    "ClaimFailed",
    `Expected to claim a block for the VRFDomain "${domain.name}", found "${messageOf(cause)}"; ` +
      "it is tried again with the next request",
    { cause },
  );
}
