/**
 * Gives addresses out of the blocks that this node holds.
 *
 * Nothing here waits for the API while a block has room: rows go to the journal, blocks are claimed ahead, and their
 * status is written behind.
 */
import { ipv4ToNumber, numberToIpv4 } from "../../lib/net/address.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import { type BlockStatus, chooseAddress, statusOf } from "./allocator.ts";
import { type BlockBook, openBlockBook } from "./block_book.ts";
import { domainRange } from "./block_candidates.ts";
import { createBlockClaims } from "./block_claims.ts";
import { type BlockRange, gatewayOf } from "./block_range.ts";
import { type BlockRelease, createBlockRelease } from "./block_release.ts";
import { BlockSupply } from "./block_supply.ts";
import { type BlockWatch, createBlockWatch } from "./block_watch.ts";
import { type Clock, systemClock } from "./clock.ts";
import { IpamError } from "./errors.ts";
import { type HeldBlock, type HeldBlocks, poolBlockOf, referenceOf } from "./held_blocks.ts";
import { hostIfnameOf } from "./host_ifname.ts";
import type { AttachmentStore } from "./journal.ts";
import { problemsOf } from "./pool_problems.ts";
import type {
  Attachment,
  AttachmentKey,
  AttachmentOwner,
  DomainRelease,
  GarbageReport,
  NodeAddressPool,
  PoolBlock,
  PoolDomain,
  PoolProblem,
} from "./port.ts";
import { createStatusWriter, type StatusWriter } from "./status_writer.ts";
import { untilAborted } from "./until_aborted.ts";

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
  readonly #watch: BlockWatch;
  readonly #writer: StatusWriter;
  readonly #supply: BlockSupply;
  readonly #release: BlockRelease;
  readonly #subscribers = new Set<() => void>();

  constructor(options: AddressPoolOptions) {
    this.#journal = options.journal;
    this.#clock = options.clock ?? systemClock;
    const book = openBlockBook(options.journal);
    this.#held = book.held;
    const shared = {
      nodeName: options.nodeName,
      journal: options.journal,
      client: options.blocks.client,
      cache: options.blocks.cache,
      held: book.held,
      log: options.log,
      clock: this.#clock,
      random: options.random ?? Math.random,
      debounceMs: options.debounceMs ?? 1000,
      signal: options.signal,
      changed: () => this.#notify(),
    };
    const writer = createStatusWriter({
      ...shared,
      desired: (name) => statusToWrite(book.held.get(name)),
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
    this.#release = createBlockRelease({
      ...shared,
      claims,
      watch: this.#watch,
      supply: this.#supply,
    });
    for (const block of book.held.all()) writer.touch(block.name);
    followCache(shared, this.#watch);
  }

  async reserve(
    domain: PoolDomain,
    owner: AttachmentOwner & { readonly netnsPath: string },
    signal: AbortSignal,
  ): Promise<Attachment> {
    const prefix = domainRange(domain);
    for (;;) {
      signal.throwIfAborted();
      const row = this.#existing(domain, owner) ?? this.#give(domain, prefix, owner);
      if (row !== undefined) {
        this.#supply.claimAhead(domain, prefix);
        return row;
      }
      await untilAborted(this.#supply.claim(domain), signal);
    }
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
    const address = ipv4ToNumber(row.address);
    const block = this.#held.at(row.vrf, address);
    if (block === undefined) return;
    block.addresses.release(address, this.#held.nextSequence());
    this.#writer.touch(block.name);
    if (block.state === "disputed" && block.addresses.given === 0) this.#watch.suspect(block);
  }

  find(key: AttachmentKey): Attachment | undefined {
    return this.#journal.find(key);
  }

  list(): readonly Attachment[] {
    return this.#journal.list();
  }

  blocks(): readonly PoolBlock[] {
    return [...this.#held.all()].filter((block) => block.state !== "releasing").map(poolBlockOf);
  }

  subscribe(changed: () => void): () => void {
    const subscriber = () => changed();
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  problems(): readonly PoolProblem[] {
    return problemsOf(this.#held.all(), this.#supply.errors);
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

  #existing(
    domain: PoolDomain,
    owner: AttachmentOwner & { readonly netnsPath: string },
  ): Attachment | undefined {
    const row = this.#journal.find(owner);
    if (row === undefined) return undefined;
    if (row.vrf !== domain.vrf || row.domain !== domain.name) {
      throw new IpamError(
        "KeyInOtherDomain",
        `Expected the interface "${owner.ifname}" of the container "${owner.containerId}" in the VRFDomain ` +
          `"${domain.name}", found it in "${row.domain}"; delete the container's network first`,
      );
    }
    if (row.state === "attached") return row;
    this.#journal.update(owner, { state: "reserved", netnsPath: owner.netnsPath });
    return { ...row, state: "reserved", netnsPath: owner.netnsPath };
  }

  /** Gives an address from a block at hand; undefined when none has room. */
  #give(
    domain: PoolDomain,
    prefix: BlockRange,
    owner: AttachmentOwner & { readonly netnsPath: string },
  ): Attachment | undefined {
    const choice = chooseAddress(this.#held.usable(domain.vrf, prefix));
    if (choice === undefined) return undefined;
    const { block, address } = choice;
    const row: Attachment = {
      network: owner.network,
      containerId: owner.containerId,
      ifname: owner.ifname,
      namespace: owner.namespace,
      pod: owner.pod,
      podUid: owner.podUid,
      netnsPath: owner.netnsPath,
      domain: domain.name,
      vrf: domain.vrf,
      address: numberToIpv4(address),
      // Where pods have their block's length, a block of an earlier length keeps its own.
      prefixLength: domain.addressLength === domain.blockLength
        ? block.range.length
        : domain.addressLength,
      gateway: gatewayOf(block.range),
      block: block.range.cidr,
      state: "reserved",
      hostIfname: hostIfnameOf(owner),
      mac: "",
      createdAt: this.#clock.now(),
    };
    this.#journal.insert(row);
    block.addresses.take(address, referenceOf(owner));
    this.#writer.touch(block.name);
    return row;
  }

  #notify(): void {
    for (const subscriber of this.#subscribers) subscriber();
  }
}

function flushAborted(): IpamError {
  return new IpamError(
    "FlushAborted",
    "Expected the API to say whose this node's IPBlocks are, found no answer in time; the next start asks again",
  );
}

/** The truth about a block that is this node's; nothing is written to one that is going or gone. */
function statusToWrite(block: HeldBlock | undefined): BlockStatus | undefined {
  const ours = block?.state === "open" || block?.state === "suspect";
  return ours ? statusOf(block.addresses) : undefined;
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
