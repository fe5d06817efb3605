/** Compares the blocks that this node holds with the cache of IPBlocks, and asks the API where they disagree. */
import { messageOf } from "../../lib/errors.ts";
import { createBackoff } from "../kube/backoff.ts";
import type { ResourceCache } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import { type BlockClaims, claimedRange, specRange } from "./block_claims.ts";
import { type BlockRange, rangesOverlap } from "./block_range.ts";
import type { Clock } from "./clock.ts";
import type { HeldBlock, HeldBlocks } from "./held_blocks.ts";
import type { StatusWriter } from "./status_writer.ts";

/** What the watch needs. */
export interface BlockWatchOptions {
  /** This node's name. */
  readonly nodeName: string;
  /** IPBlocks as last seen. */
  readonly cache: ResourceCache<IPBlock>;
  /** The blocks of this node. */
  readonly held: HeldBlocks;
  /** Asks the API. */
  readonly claims: BlockClaims;
  /** Writes statuses that were changed by hand. */
  readonly writer: StatusWriter;
  /** Where failures go. */
  readonly log: Logger;
  /** For the waits between attempts. */
  readonly clock: Clock;
  /** For the waits between attempts. */
  readonly random: () => number;
  /** Ends all attempts. */
  readonly signal: AbortSignal;
  /** Called when a block's state has changed. */
  readonly changed: () => void;
}

/** Keeps the held blocks in agreement with the API. */
export interface BlockWatch {
  /** Looks at the cache. */
  reconcile(): void;
  /** Gives nothing from the block until the API has said whose it is. */
  suspect(block: HeldBlock): void;
  /** Notes that an object is gone for good, so that a cache that still has it is not believed. */
  buried(name: string, uid: string): void;
  /** Resolves when no question to the API is open. */
  settled(): Promise<void>;
  /** Whether a question to the API is open. */
  readonly busy: boolean;
}

/** Makes a {@linkcode BlockWatch}. */
export function createBlockWatch(options: BlockWatchOptions): BlockWatch {
  const { nodeName, cache, held, claims, signal } = options;
  const asking = new Map<string, Promise<void>>();
  /** UIDs of objects that this process deleted, by name, while the cache has them still. */
  const graves = new Map<string, string>();

  const ask = (name: string, vrf: number, range: BlockRange) => {
    if (asking.has(name) || signal.aborted) return;
    const run = askUntilAnswered(name, vrf, range).finally(() => {
      asking.delete(name);
      options.changed();
    });
    asking.set(name, run);
  };

  const needed = (name: string) => () => {
    const block = held.get(name);
    return block === undefined || block.state === "suspect" || block.state === "disputed";
  };

  const askUntilAnswered = async (name: string, vrf: number, range: BlockRange) => {
    const backoff = createBackoff({ baseMs: 500, maxMs: 60_000, random: options.random });
    while (!signal.aborted) {
      try {
        return await claims.verify(vrf, range, needed(name));
      } catch (error) {
        if (signal.aborted) return;
        if (backoff.failures === 0) {
          options.log.warn("Could not ask whose an IPBlock is, trying again", {
            block: name,
            error: messageOf(error),
          });
        }
        await options.clock.delay(backoff.next(), signal);
      }
    }
  };

  const suspect = (block: HeldBlock) => {
    if (block.state === "releasing") return;
    if (block.state === "open") block.state = "suspect";
    options.changed();
    ask(block.name, block.vrf, block.range);
  };

  /** Compares a held block with its object, or with the lack of one. */
  const compare = (block: HeldBlock, object: IPBlock | undefined) => {
    if (block.state === "releasing") return;
    const same = object?.metadata.uid === block.uid && object.spec.nodeName === nodeName &&
      object.metadata.deletionTimestamp === undefined;
    if (object !== undefined && same) {
      block.seen = true;
      options.writer.learn(object);
      if (block.state !== "open") ask(block.name, block.vrf, block.range);
      else if (options.writer.differs(object)) options.writer.recheck(block.name);
    } else if (block.state === "suspect" || (block.state === "disputed" && object === undefined)) {
      ask(block.name, block.vrf, block.range);
    } else if (block.state === "open" && block.seen) {
      // A cache that has not seen the block yet says nothing; one that had it and has it no more does.
      block.seen = false;
      suspect(block);
    }
  };

  const adoptUnheld = (object: IPBlock) => {
    const { name, uid, deletionTimestamp } = object.metadata;
    const range = claimedRange(object);
    if (range === undefined || deletionTimestamp !== undefined) return;
    if (held.get(name) !== undefined || graves.get(name) === uid) return;
    ask(name, object.spec.vrfTable, range);
  };

  /** Blocks of different lengths can overlap though their names differ: neither node gives addresses then. */
  const settleDisputes = (others: readonly IPBlock[]) => {
    const byVrf = Map.groupBy(held.all(), (block) => block.vrf);
    const disputes = new Map<HeldBlock, string>();
    for (const object of others) {
      const mine = byVrf.get(object.spec.vrfTable);
      const range = mine && specRange(object);
      if (mine === undefined || range === undefined) continue;
      for (const block of mine) {
        if (object.metadata.name === block.name || !rangesOverlap(block.range, range)) continue;
        disputes.set(
          block,
          `overlaps "${object.metadata.name}" of the node "${object.spec.nodeName}"`,
        );
      }
    }
    for (const block of held.all()) {
      if (block.state !== "disputed") block.dispute = disputes.get(block) ?? "";
    }
  };

  return {
    reconcile: () => {
      if (!cache.synced || signal.aborted) return;
      const others: IPBlock[] = [];
      for (const object of cache.list()) {
        if (object.spec.nodeName === nodeName) adoptUnheld(object);
        else others.push(object);
      }
      for (const block of [...held.all()]) compare(block, cache.get(block.name));
      for (const [name, uid] of graves) {
        if (cache.get(name)?.metadata.uid !== uid) graves.delete(name);
      }
      settleDisputes(others);
      options.changed();
    },
    suspect,
    buried: (name, uid) => {
      if (cache.get(name)?.metadata.uid === uid) graves.set(name, uid);
    },
    settled: async () => {
      while (asking.size > 0) await Promise.all(asking.values());
    },
    get busy() {
      return asking.size > 0;
    },
  };
}
