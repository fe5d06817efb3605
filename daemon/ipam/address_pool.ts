/**
 * Gives addresses out of the blocks that this node holds.
 *
 * Nothing here waits for the API while a block has room: rows go to the journal, blocks are claimed ahead, and their
 * status is written behind.
 */
import { parseAddress } from "../../lib/net/address.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import { statusOf } from "./allocator.ts";
import { type BlockBook, openBlockBook } from "./block_book.ts";
import { domainRanges } from "./block_candidates.ts";
import { createBlockClaims } from "./block_claims.ts";
import { blockConditions } from "./block_conditions.ts";
import { type BlockRelease, createBlockRelease } from "./block_release.ts";
import { BlockSupply } from "./block_supply.ts";
import { type BlockWatch, createBlockWatch } from "./block_watch.ts";
import { type Clock, systemClock } from "./clock.ts";
import { IpamError } from "./errors.ts";
import { type HeldBlock, type HeldBlocks, poolBlockOf } from "./held_blocks.ts";
import type { AttachmentStore } from "./journal.ts";
import { keeperOf, type KeptAddresses, keptStatus } from "./kept_addresses.ts";
import { createKeptWishes } from "./kept_wishes.ts";
import { createLostAttachments, type LostAttachmentsOptions } from "./lost_attachments.ts";
import { problemsOf } from "./pool_problems.ts";
import type {
  Attachment,
  AttachmentKey,
  AttachmentOwner,
  AttachmentWish,
  DomainRelease,
  GarbageReport,
  NodeAddressPool,
  PoolBlock,
  PoolDomain,
  PoolProblem,
} from "./port.ts";
import { Reservations } from "./reservations.ts";
import { type BlockTruth, createStatusWriter, type StatusWriter } from "./status_writer.ts";
import { untilAborted } from "./until_aborted.ts";
import { createWishedBlock } from "./wished_block.ts";

/** What the pool needs. */
export interface AddressPoolOptions {
  /** This node's name, as in the blocks' spec. */
  readonly nodeName: string;
  /** Where attachments and blocks are kept; its owner closes it after the pool's signal has aborted. */
  readonly journal: AttachmentStore;
  /** The IPBlocks of the cluster. */
  readonly blocks: {
    /** Requests. */
    readonly client: ResourceClient<IPBlock>;
    /** Local copy. */
    readonly cache: ResourceCache<IPBlock>;
  };
  /** Where claims, losses and failures go. */
  readonly log: Logger;
  /** The machine's clock unless a test brings another. */
  readonly clock?: Clock;
  /** Source of numbers from 0 to 1, for backoff. */
  readonly random?: () => number;
  /** How long status changes are gathered before they are written, in milliseconds; 1000 by default. */
  readonly debounceMs?: number;
  /** Milliseconds by which they are gathered longer, at random, since all nodes may write at once; none when absent. */
  readonly turn?: () => number;
  /**
   * Interfaces of pods of a VRF that stand, those left out whose host ends are known: a journal that was lost forgets pods that still
   * have their addresses. None when absent.
   */
  readonly standing?: LostAttachmentsOptions["standing"];
  /** Name of the domain that has a VRF; needed for such pods. */
  readonly domainOf?: (vrf: number) => string;
  /** Ends all background work. Call {@linkcode NodeAddressPool.flush} before. */
  readonly signal: AbortSignal;
}

/**
 * Makes the pool of this node from what the journal holds. Blocks in the journal give addresses at once; blocks that
 * only the cache knows as this node's are used as soon as the API has confirmed them.
 *
 * @throws {IpamError} `JournalUnavailable`, `JournalCorrupt`
 */
export function createAddressPool(options: AddressPoolOptions): NodeAddressPool {
  return new Pool(options);
}

class Pool implements NodeAddressPool {
  readonly #journal: AttachmentStore;
  readonly #clock: Clock;
  readonly #held: HeldBlocks;
  readonly #kept: KeptAddresses;
  readonly #watch: BlockWatch;
  readonly #writer: StatusWriter;
  readonly #supply: BlockSupply;
  readonly #release: BlockRelease;
  readonly #reservations: Reservations;
  readonly #subscribers = new Set<() => void>();
  /** The conditions of each block as they were told last. */
  #told: ReadonlyMap<string, string> = new Map();

  constructor(options: AddressPoolOptions) {
    this.#journal = options.journal;
    this.#clock = options.clock ?? systemClock;
    const now = () => this.#clock.now();
    const findLost = createLostAttachments({
      nodeName: options.nodeName,
      journal: options.journal,
      cache: options.blocks.cache,
      standing: options.standing ?? (() => []),
      domainOf: options.domainOf ?? ((vrf) => `vrf-${vrf}`),
      now,
      log: options.log,
    });
    const book = openBlockBook(options.journal, now, findLost);
    this.#held = book.held;
    this.#kept = book.kept;
    const shared = {
      nodeName: options.nodeName,
      journal: options.journal,
      client: options.blocks.client,
      cache: options.blocks.cache,
      held: book.held,
      kept: book.kept,
      touch: (block: HeldBlock) => this.#writer.touch(block.name),
      log: options.log,
      clock: this.#clock,
      random: options.random ?? Math.random,
      debounceMs: options.debounceMs ?? 1000,
      turn: options.turn ?? (() => 0),
      signal: options.signal,
      changed: () => this.#notify(),
    };
    const writer = createStatusWriter({
      ...shared,
      desired: (name) => statusToWrite(book.held.get(name), this.problems()),
      owns: (object) => object.spec.nodeName === options.nodeName,
      lost: (name) => {
        const block = book.held.get(name);
        if (block !== undefined) this.#watch.suspect(block);
      },
    });
    const claims = createBlockClaims({ ...shared, book: this.#announcing(book, writer) });
    this.#writer = writer;
    this.#watch = createBlockWatch({ ...shared, claims, writer });
    this.#supply = new BlockSupply({ ...shared, claims });
    this.#reservations = new Reservations({
      ...shared,
      supply: this.#supply,
      writer,
      wishedBlock: createWishedBlock({ ...shared, claims }),
      keptWishes: createKeptWishes({ ...shared, now }),
    });
    this.#release = createBlockRelease({
      ...shared,
      claims,
      watch: this.#watch,
      supply: this.#supply,
    });
    for (const block of book.held.all()) writer.touch(block.name);
    followCache(shared, this.#watch);
  }

  reserve(
    domain: PoolDomain,
    owner: AttachmentOwner & { readonly netnsPath: string },
    signal: AbortSignal,
    wish?: AttachmentWish,
  ): Promise<Attachment> {
    return this.#reservations.reserve(domain, owner, signal, wish);
  }

  commit(key: AttachmentKey, details: { readonly mac: string }): void {
    if (this.#journal.update(key, { state: "attached", mac: details.mac })) return;
    throw new IpamError(
      "NoSuchAttachment",
      `Expected a reservation for the interface "${key.ifname}" of the container "${key.containerId}", found none; ` +
        "it was released meanwhile, add the container again",
    );
  }

  markReleasing(key: AttachmentKey): void {
    this.#journal.update(key, { state: "releasing" });
  }

  release(key: AttachmentKey): void {
    const row = this.#journal.find(key);
    if (row === undefined) return;
    this.#journal.delete(key);
    for (const allocation of row.allocations) {
      const address = parseAddress(allocation.address);
      const block = this.#held.at(row.vrf, address);
      if (block === undefined) continue;
      if (!this.#kept.leave(block, address.value, keeperOf(row))) {
        block.addresses.release(address.value, this.#held.nextSequence());
      }
      this.#writer.touch(block.name);
      if (block.state === "disputed" && block.addresses.given === 0) this.#watch.suspect(block);
    }
  }

  find(key: AttachmentKey): Attachment | undefined {
    return this.#journal.find(key);
  }

  ofContainer(containerId: string): readonly Attachment[] {
    return this.#journal.ofContainer(containerId);
  }

  list(): readonly Attachment[] {
    return this.#journal.list();
  }

  countByVrf(): ReadonlyMap<number, number> {
    return this.#journal.countByVrf();
  }

  blocks(): readonly PoolBlock[] {
    return [...this.#held.all()].filter((block) => block.state !== "releasing").map(poolBlockOf);
  }

  subscribe(changed: () => void): () => void {
    const subscriber = () => changed();
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  hold(domain: PoolDomain): void {
    for (const range of domainRanges(domain)) {
      const held = this.#held.usable(domain.vrf, range.prefix);
      if (held.length === 0) this.#supply.claimAhead(range);
    }
  }

  problems(): readonly PoolProblem[] {
    return problemsOf(this.#held.all(), this.#supply.failures());
  }

  async flush(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#writer.flush(signal);
      if (!this.#watch.busy) return;
      await untilAborted(this.#watch.settled(), signal).catch(() => {});
      if (signal.aborted && this.#watch.busy) throw flushAborted();
    }
  }

  collectGarbage(domains: readonly PoolDomain[], signal: AbortSignal): Promise<GarbageReport> {
    return this.#release.collectGarbage(domains, signal);
  }

  releaseDomain(vrf: number, signal: AbortSignal): Promise<DomainRelease> {
    return this.#release.releaseDomain(vrf, signal);
  }

  /** The book, telling writer, watch and subscribers of each change. */
  #announcing(book: BlockBook, writer: StatusWriter): BlockBook {
    return {
      held: book.held,
      kept: book.kept,
      adopt: (object, range) => {
        book.adopt(object, range);
        writer.observe(object);
        writer.touch(object.metadata.name);
        this.#notify();
      },
      close: (block) => {
        book.close(block);
        this.#notify();
      },
      drop: (block) => {
        book.drop(block);
        writer.forget(block.name);
        this.#watch.buried(block.name, block.uid);
        this.#notify();
      },
    };
  }

  #notify(): void {
    this.#tellConditions();
    for (const subscriber of this.#subscribers) subscriber();
  }

  /** A claim or another node's object may change what holds of a block that itself has not changed. */
  #tellConditions(): void {
    const problems = this.problems();
    const names = [...this.#held.all()].map(({ name }) => name);
    const told = new Map(
      names.map((name) => [name, JSON.stringify(blockConditions(name, problems))]),
    );
    for (const name of names) if (told.get(name) !== this.#told.get(name)) this.#writer.touch(name);
    this.#told = told;
  }
}

function flushAborted(): IpamError {
  return new IpamError(
    "FlushAborted",
    "Expected the API to say whose this node's IPBlocks are, found no answer in time; the next start asks again",
  );
}

/** The truth about a block that is this node's; nothing is written to one that is going or gone. */
function statusToWrite(
  block: HeldBlock | undefined,
  problems: readonly PoolProblem[],
): BlockTruth | undefined {
  const ours = block?.state === "open" || block?.state === "suspect";
  if (!ours) return undefined;
  const kept = keptStatus(block);
  return {
    ...statusOf(block.addresses),
    ...kept === undefined ? {} : { kept },
    conditions: blockConditions(block.name, problems),
  };
}

/** Lets the watch look at the cache now and soon after each change, many changes at once. */
function followCache(
  options: {
    readonly cache: ResourceCache<IPBlock>;
    readonly clock: Clock;
    readonly debounceMs: number;
    readonly signal: AbortSignal;
  },
  watch: BlockWatch,
): void {
  const { cache, clock, signal } = options;
  const delayMs = Math.min(options.debounceMs, 100);
  let due = false;
  const stop = cache.subscribe(() => {
    if (due || signal.aborted) return;
    due = true;
    clock.delay(delayMs, signal).then(() => {
      due = false;
      watch.reconcile();
    });
  });
  signal.addEventListener("abort", stop, { once: true });
  watch.reconcile();
}
