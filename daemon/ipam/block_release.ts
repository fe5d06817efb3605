/** Gives blocks back that this node does not need. */
import { messageOf } from "../../lib/errors.ts";
import type { ResourceCache } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import { claimThreshold } from "./allocator.ts";
import { type DomainRange, domainRanges } from "./block_candidates.ts";
import type { BlockClaims } from "./block_claims.ts";
import { compareSpans, rangeContains } from "./block_range.ts";
import type { BlockSupply } from "./block_supply.ts";
import type { BlockWatch } from "./block_watch.ts";
import { codeOf } from "./errors.ts";
import type { HeldBlock, HeldBlocks } from "./held_blocks.ts";
import type { AttachmentStore } from "./journal.ts";
import type { KeptAddresses } from "./kept_addresses.ts";
import type { DomainRelease, GarbageReport, PoolDomain } from "./port.ts";
import { untilAborted } from "./until_aborted.ts";

/** What releasing needs. */
export interface BlockReleaseOptions {
  /** This node's name. */
  readonly nodeName: string;
  /** Attachments, which hold their domain. */
  readonly journal: AttachmentStore;
  /** IPBlocks as last seen. */
  readonly cache: ResourceCache<IPBlock>;
  /** The blocks of this node. */
  readonly held: HeldBlocks;
  /** Addresses that hold their blocks. */
  readonly kept: KeptAddresses;
  /** Called for a block whose addresses have changed. */
  readonly touch: (block: HeldBlock) => void;
  /** Deletes at the API. */
  readonly claims: BlockClaims;
  /** Told what is gone for good. */
  readonly watch: BlockWatch;
  /** Knows what is left, and is stopped for a domain that goes. */
  readonly supply: BlockSupply;
  /** Where failures go. */
  readonly log: Logger;
}

/** Releases of a node; see the methods of the same names in {@linkcode NodeAddressPool}. */
export interface BlockRelease {
  /** Releases blocks without attachments that are not needed. */
  collectGarbage(domains: readonly PoolDomain[], signal: AbortSignal): Promise<GarbageReport>;
  /** Releases all blocks of a VRF, unless attachments remain. */
  releaseDomain(vrf: number, signal: AbortSignal): Promise<DomainRelease>;
}

/** Makes the releases of a node. */
export function createBlockRelease(options: BlockReleaseOptions): BlockRelease {
  const { nodeName, journal, cache, held, claims, supply, log } = options;

  /** Runs a release. False when it failed and is for the next time. */
  const attempt = async (name: string, task: () => Promise<boolean>, signal: AbortSignal) => {
    signal.throwIfAborted();
    try {
      return await untilAborted(task(), signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn("Could not release an IPBlock", {
        block: name,
        code: codeOf(error),
        error: messageOf(error),
      });
      return false;
    }
  };

  const releaseEach = async (
    blocks: readonly HeldBlock[],
    condition: (block: HeldBlock) => boolean,
    signal: AbortSignal,
  ): Promise<GarbageReport> => {
    const released: string[] = [];
    let failed = 0;
    for (const block of blocks) {
      if (!condition(block)) continue;
      if (await attempt(block.name, () => claims.release(block), signal)) released.push(block.name);
      else failed++;
    }
    return { released, failed };
  };

  const discard = async (object: IPBlock): Promise<boolean> => {
    await claims.discard(object);
    const { name, uid } = object.metadata;
    if (uid !== undefined) options.watch.buried(name, uid);
    return true;
  };

  const dispensable = (block: HeldBlock, domain: PoolDomain | undefined): boolean => {
    if (block.state === "releasing") return true;
    if (block.state !== "open" || block.addresses.given > 0) return false;
    if (domain === undefined) return true;
    const ranges = rangesOf(domain);
    if (ranges === undefined) return false;
    const range = ranges.find(({ prefix }) => prefix.family === block.range.family);
    if (range === undefined) return true;
    const { prefix, blockLength } = range;
    // Twice what makes the next claim, so that a block is not released and claimed in turns.
    const enough = rangeContains(prefix, block.range)
      ? 2 * claimThreshold(blockLength, prefix.family)
      : 1;
    return supply.room(range, block) >= enough;
  };

  return {
    collectGarbage: (domains, signal) => {
      const live = new Map(domains.map((domain) => [domain.vrf, domain]));
      options.kept.expire((vrf) => live.has(vrf)).forEach(options.touch);
      const blocks = [...held.all()].filter((block) => !supply.claiming(block.vrf))
        .sort((a, b) => compareSpans(b.range, a.range));
      return releaseEach(blocks, (block) => dispensable(block, live.get(block.vrf)), signal);
    },
    releaseDomain: async (vrf, signal) => {
      await supply.stop(vrf);
      const unheld = cache.list().filter(({ spec, metadata }) =>
        spec.vrfTable === vrf && spec.nodeName === nodeName && held.get(metadata.name) === undefined
      );
      const attachments = journal.list().filter((row) => row.vrf === vrf).length;
      if (attachments > 0) {
        const remaining = held.ofVrf(vrf).length + unheld.length;
        return { attachments, released: [], failed: 0, remaining };
      }
      options.kept.expire((other) => other !== vrf);
      const report = await releaseEach(held.ofVrf(vrf), () => true, signal);
      let kept = 0;
      for (const object of unheld) {
        if (!await attempt(object.metadata.name, () => discard(object), signal)) kept++;
      }
      return {
        attachments: 0,
        released: report.released,
        failed: report.failed + kept,
        remaining: held.ofVrf(vrf).length + kept,
      };
    },
  };
}

function rangesOf(domain: PoolDomain): readonly DomainRange[] | undefined {
  try {
    return domainRanges(domain);
  } catch {
    return undefined;
  }
}
