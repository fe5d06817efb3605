/** Claims, verifies and releases this node's IPBlocks at the API. The name of an object is the claim. */
import { messageOf } from "../../lib/errors.ts";
import { errorOfAnswer, isKubeError } from "../kube/kube_error.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import { type IPBlock, ipBlockName } from "../resources/ip_block.ts";
import type { BlockBook } from "./block_book.ts";
import { type Candidate, candidateBlocks, type DomainRange, startOf } from "./block_candidates.ts";
import { type BlockRange, parseRange, rangeContains, rangesOverlap } from "./block_range.ts";
import { IpamError } from "./errors.ts";
import type { HeldBlock } from "./held_blocks.ts";
import { createKeyedLock } from "./keyed_lock.ts";

/** Ranges that others took first before a claim gives up: the cache is far behind then. */
const mostCollisions = 64;

/** How often what needs an object as it is now is tried again when that was changed meanwhile. */
const mostChanges = 3;

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
   * Gets one more block of a domain's range: one that is this node's already, or a new one.
   * @throws {IpamError} `BlocksExhausted`, `ClaimFailed`, or the journal's errors
   */
  claim(range: DomainRange): Promise<void>;
  /**
   * Gets a certain block, which may overlap one of another VRF here. False when it is held already or another's.
   * @throws {KubeError} When there is no answer
   */
  claimRange(vrf: number, range: BlockRange): Promise<boolean>;
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
  const pending = new Set<{ readonly vrf: number; readonly range: BlockRange }>();

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
      return found !== undefined && isOurs(found) ? await takeUp(found) : undefined;
    }
  };

  /**
   * Takes up a block that this node does not know as its own. A deletion of it may be on its way still, by this process or by one before it
   * that was killed. Each deletion names the version that it saw, so that it is refused once this has made another; and if it came
   * first, there is nothing to be taken up. Gives the new version, or the same object when it is going.
   *
   * @throws {KubeError} `Conflict` when it was changed, `NotFound` when it is gone
   */
  const takeUp = async (object: IPBlock): Promise<IPBlock> => {
    const { name, resourceVersion, deletionTimestamp } = object.metadata;
    if (deletionTimestamp !== undefined) return object;
    const status = { epoch: (object.status?.epoch ?? 0) + 1 };
    const taken = await client.patchStatus(
      name,
      { ...resourceVersion === undefined ? {} : { metadata: { resourceVersion } }, status },
      signal,
    );
    if (taken.status?.epoch === status.epoch) return taken;
    throw errorOfAnswer(`patch the status of ipblocks "${name}"`, "status.epoch was not kept");
  };

  const openIfFree = (object: IPBlock, range: BlockRange): boolean => {
    if (object.metadata.deletionTimestamp !== undefined) return false;
    book.adopt(object, range);
    return true;
  };

  /** Deletes an object in the version that it has now, unless it is gone or another has its name. */
  const remove = (name: string, uid: string): Promise<void> =>
    againAfterChange(async () => {
      const object = await client.get(name, signal);
      signal.throwIfAborted();
      if (object?.metadata.uid !== uid) return;
      const { resourceVersion } = object.metadata;
      const seen = resourceVersion === undefined ? { uid } : { uid, resourceVersion };
      await client.delete(name, seen, signal);
    });

  const verifyLocked = (vrf: number, range: BlockRange): Promise<void> =>
    againAfterChange(() => verifyOnce(vrf, range));

  const verifyOnce = async (vrf: number, range: BlockRange): Promise<void> => {
    const name = ipBlockName(vrf, range.cidr);
    if (held.get(name)?.state === "releasing") return;
    let object = await client.get(name, signal);
    signal.throwIfAborted();
    const block = held.get(name);
    // Another node's block keeps nothing for anybody here; and whoever deletes one that only keeps, frees what it keeps.
    const taken = object !== undefined && !isOurs(object);
    if (block !== undefined && (taken || object === undefined && !block.addresses.attached)) {
      book.kept.forgetBlock(block);
    }
    if (block !== undefined && block.addresses.given === 0 && (!object || !isOurs(object))) {
      log.warn("An IPBlock of this node is gone", { block: name, vrf });
      return book.drop(block);
    }
    if (object === undefined && block !== undefined) {
      log.warn("An IPBlock in use was deleted, claiming it again", { block: name, vrf });
      object = await create(vrf, range);
      signal.throwIfAborted();
      if (object !== undefined) return void openIfFree(object, range);
      object = await client.get(name, signal);
      signal.throwIfAborted();
    }
    if (object === undefined) return;
    if (isOurs(object)) {
      const known = block !== undefined && block.uid === object.metadata.uid;
      const taken = known ? object : await takeUp(object);
      signal.throwIfAborted();
      return void openIfFree(taken, range);
    }
    if (block === undefined) return;
    block.state = "disputed";
    block.dispute = `belongs to the node "${object.spec.nodeName}" now`;
    log.error("An IPBlock in use was taken by another node", { block: name, vrf });
  };

  /** Looks whose the blocks are that may be this node's but cannot be used yet. True when one gives room. */
  const reclaim = async (wanted: DomainRange): Promise<boolean> => {
    const { domain: { vrf }, prefix } = wanted;
    const uncertain = new Map<string, BlockRange>();
    for (const block of held.ofVrf(vrf)) {
      if (block.state === "suspect") uncertain.set(block.name, block.range);
    }
    for (const object of cache.list()) {
      if (object.spec.vrfTable !== vrf || !isOurs(object)) continue;
      const range = claimedRange(object);
      if (range && !held.get(object.metadata.name)) uncertain.set(object.metadata.name, range);
    }
    for (const [name, range] of uncertain) {
      if (!rangeContains(prefix, range)) continue;
      await lock(name, () => verifyLocked(vrf, range));
      if (held.usable(vrf, prefix).some((block) => block.addresses.free > 0)) return true;
    }
    return false;
  };

  const candidatesOf = ({ domain, prefix, blockLength }: DomainRange): Iterable<Candidate> => {
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
      blockLength,
      occupied,
      avoided,
      start: startOf(nodeName, domain.vrf),
    });
  };

  /** Whether a range has come into use for another VRF of this node since the candidates were listed. */
  const clashes = (vrf: number, range: BlockRange) =>
    held.overlapping(vrf, range) !== undefined ||
    [...pending].some((other) => other.vrf !== vrf && rangesOverlap(other.range, range));

  const tryRange = async (vrf: number, range: BlockRange): Promise<boolean> => {
    const name = ipBlockName(vrf, range.cidr);
    const attempt = { vrf, range };
    pending.add(attempt);
    try {
      return await lock(name, () =>
        againAfterChange(async () => {
          if (held.get(name) !== undefined) return false;
          const object = await create(vrf, range);
          signal.throwIfAborted();
          return object !== undefined && openIfFree(object, range);
        }));
    } finally {
      pending.delete(attempt);
    }
  };

  const claimNew = async (wanted: DomainRange): Promise<void> => {
    const { domain: { name, vrf }, prefix, blockLength } = wanted;
    const deferred: BlockRange[] = [];
    let collisions = 0;
    const attempt = async (range: BlockRange): Promise<boolean> => {
      if (await tryRange(vrf, range)) {
        log.info("Claimed an IPBlock", { block: ipBlockName(vrf, range.cidr) });
        return true;
      }
      if (++collisions < mostCollisions) return false;
      throw new IpamError(
        "ClaimFailed",
        `Expected a free block for the VRFDomain "${name}", found "${collisions}" taken by other nodes; ` +
          "the list of IPBlocks is behind, try again",
      );
    };
    for (const { range, overlapsOther } of candidatesOf(wanted)) {
      if (!overlapsOther && clashes(vrf, range)) deferred.push(range);
      else if (await attempt(range)) return;
    }
    for (const range of deferred) if (await attempt(range)) return;
    throw new IpamError(
      "BlocksExhausted",
      `Expected a free /${blockLength} block in "${prefix.cidr}" of the VRFDomain "${name}", ` +
        "found none; delete pods or give the domain a larger prefix",
    );
  };

  const releaseLocked = async (block: HeldBlock): Promise<boolean> => {
    const certain = block.state === "open" || block.state === "releasing";
    if (!certain) await verifyLocked(block.vrf, block.range);
    if (held.get(block.name) !== block) return true;
    if (block.addresses.given > 0 || block.uid === "") return false;
    book.close(block);
    await remove(block.name, block.uid);
    signal.throwIfAborted();
    book.drop(block);
    log.info("Released an IPBlock", { block: block.name, vrf: block.vrf });
    return true;
  };

  return {
    claim: async (range) => {
      try {
        if (!cache.synced) throw new Error("the list of IPBlocks has not arrived yet");
        if (await reclaim(range)) return;
        await claimNew(range);
      } catch (error) {
        throw error instanceof IpamError ? error : claimFailed(range, error);
      }
    },
    claimRange: tryRange,
    verify: (vrf, range, needed) =>
      lock(ipBlockName(vrf, range.cidr), async () => {
        if (needed()) await verifyLocked(vrf, range);
      }),
    release: (block) => lock(block.name, () => releaseLocked(block)),
    discard: (object) =>
      lock(object.metadata.name, async () => {
        const { name, uid } = object.metadata;
        if (held.get(name) !== undefined || uid === undefined) return;
        await remove(name, uid);
      }),
  };
}

/** Does what needs an object as it is now, and does it again when that was changed or went meanwhile. */
async function againAfterChange<T>(attempt: () => Promise<T>): Promise<T> {
  for (let changes = 1;; changes++) {
    try {
      return await attempt();
    } catch (error) {
      if (changes === mostChanges || !isKubeError(error, "Conflict", "NotFound")) throw error;
    }
  }
}

function manifest(name: string, nodeName: string, vrf: number, range: BlockRange): IPBlock {
  return {
    apiVersion: "ipam.pyroute2.org/v1alpha1",
    kind: "IPBlock",
    metadata: { name },
    spec: { cidr: range.cidr, nodeName, vrfTable: vrf },
  };
}

function claimFailed({ domain }: DomainRange, cause: unknown): IpamError {
  return new IpamError(
    "ClaimFailed",
    `Expected to claim a block for the VRFDomain "${domain.name}", found "${messageOf(cause)}"; ` +
      "it is tried again with the next request",
    { cause },
  );
}
