/**
 * Gives addresses out of the blocks that this node holds.
 *
 * Nothing here waits for the API while a block has room: rows go to the journal, blocks are claimed ahead, and their
 * status is written behind.
 */
import { ipv4ToNumber, numberToIpv4 } from "../../lib/net/address.ts";
import { messageOf } from "../../lib/errors.ts";
import { createBackoff } from "../kube/backoff.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import { type BlockStatus, chooseAddress, claimThreshold, statusOf } from "./allocator.ts";
import { domainRange } from "./block_candidates.ts";
import { type BlockClaims, createBlockClaims } from "./block_claims.ts";
import { type BlockRange, gatewayOf, parseRange, rangeContains } from "./block_range.ts";
import { type BlockWatch, createBlockWatch } from "./block_watch.ts";
import { type Clock, systemClock } from "./clock.ts";
import { codeOf, IpamError } from "./errors.ts";
import { type HeldBlock, HeldBlocks, poolBlockOf, referenceOf } from "./held_blocks.ts";
import { hostIfnameOf } from "./host_ifname.ts";
import type { AttachmentStore, BlockRecord } from "./journal.ts";
import { type PoolProblem, problemsOf } from "./pool_problems.ts";
import type {
  AddressPool,
  Attachment,
  AttachmentKey,
  AttachmentOwner,
  PoolBlock,
  PoolDomain,
} from "./port.ts";
import { createStatusWriter, type StatusWriter } from "./status_writer.ts";

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

/** Outcome of {@linkcode NodeAddressPool.collectGarbage}. */
export interface GarbageReport {
  /** Names of the blocks that were released. */
  readonly released: readonly string[];
  /** Blocks that could not be released now; the next run tries them again. */
  readonly failed: number;
}

/** Outcome of {@linkcode NodeAddressPool.releaseDomain}. */
export interface DomainRelease extends GarbageReport {
  /** Attachments that hold the domain; nothing is released while there are any. */
  readonly attachments: number;
  /** Blocks of this node that remain; the domain is gone from this node's pool when it is 0. */
  readonly remaining: number;
}

/** The pool of this node: what attachments need, and what the reconciler needs. */
export interface NodeAddressPool extends AddressPool {
  /** Calls `changed` after the set of blocks, a block's state or a problem may have changed. Returns the way to stop. */
  subscribe(changed: () => void): () => void;
  /** What is wrong now. */
  problems(): readonly PoolProblem[];
  /**
   * Writes what the blocks' status lacks, and waits for it.
   * @throws {IpamError} `FlushAborted` if the signal aborts first
   */
  flush(signal: AbortSignal): Promise<void>;
  /**
   * Releases blocks without attachments that are not needed: those of domains that are not listed, and those whose
   * domain has room enough in others. Call it with all live domains, after their cache has synced.
   */
  collectGarbage(domains: readonly PoolDomain[], signal: AbortSignal): Promise<GarbageReport>;
  /** Releases all blocks of a VRF whose domain is being removed, unless attachments remain. */
  releaseDomain(vrf: number, signal: AbortSignal): Promise<DomainRelease>;
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
  readonly #cache: ResourceCache<IPBlock>;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #signal: AbortSignal;
  readonly #nodeName: string;
  readonly #held = new HeldBlocks();
  readonly #claims: BlockClaims;
  readonly #watch: BlockWatch;
  readonly #writer: StatusWriter;
  readonly #subscribers = new Set<() => void>();
  /** Claims under way, by VRF: all who need a block of the VRF wait for the same one. */
  readonly #claiming = new Map<number, Promise<void>>();
  /** Claims ahead under way, by VRF. */
  readonly #ahead = new Map<number, AbortController>();
  /** Why the last claim failed, by VRF. */
  readonly #claimErrors = new Map<number, unknown>();
  #reconcileDue = false;

  constructor(options: AddressPoolOptions) {
    this.#journal = options.journal;
    this.#cache = options.blocks.cache;
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#signal = options.signal;
    this.#nodeName = options.nodeName;
    const { client } = options.blocks;
    const shared = {
      nodeName: options.nodeName,
      client,
      cache: this.#cache,
      held: this.#held,
      log: this.#log,
      clock: this.#clock,
      random: this.#random,
      signal: this.#signal,
    };
    const debounceMs = options.debounceMs ?? 1000;
    this.#writer = createStatusWriter({
      ...shared,
      debounceMs,
      desired: (name) => this.#desiredStatus(name),
      owns: (object) => this.#owns(object),
      lost: (name) => {
        const block = this.#held.get(name);
        if (block !== undefined) this.#watch.suspect(block);
      },
    });
    this.#claims = createBlockClaims({
      ...shared,
      adopt: (object, range) => this.#adopt(object, range),
      drop: (block) => this.#drop(block),
      close: (block) => this.#close(block),
    });
    this.#watch = createBlockWatch({
      ...shared,
      claims: this.#claims,
      writer: this.#writer,
      changed: () => this.#notify(),
    });
    this.#restore();
    this.#watchCache(Math.min(debounceMs, 100));
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
        this.#claimAhead(domain, prefix);
        return row;
      }
      await untilAborted(this.#claim(domain), signal);
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
    return problemsOf(this.#held.all(), this.#claimErrors);
  }

  async flush(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#writer.flush(signal);
      if (!this.#watch.busy) return;
      await untilAborted(this.#watch.settled(), signal).catch(() => {});
      if (signal.aborted && this.#watch.busy) throw flushAborted();
    }
  }

  async collectGarbage(
    domains: readonly PoolDomain[],
    signal: AbortSignal,
  ): Promise<GarbageReport> {
    const live = new Map(domains.map((domain) => [domain.vrf, domain]));
    const blocks = [...this.#held.all()].sort((a, b) => b.range.first - a.range.first);
    return await this.#releaseEach(
      blocks.filter((block) => !this.#claiming.has(block.vrf)),
      (block) => this.#dispensable(block, live.get(block.vrf)),
      signal,
    );
  }

  async releaseDomain(vrf: number, signal: AbortSignal): Promise<DomainRelease> {
    this.#ahead.get(vrf)?.abort();
    await this.#claiming.get(vrf)?.catch(() => {});
    const unheld = this.#cache.list().filter((object) =>
      object.spec.vrfTable === vrf && this.#owns(object) && !this.#held.get(object.metadata.name)
    );
    const attachments = this.#journal.list().filter((row) => row.vrf === vrf).length;
    if (attachments > 0) {
      const remaining = this.#held.ofVrf(vrf).length + unheld.length;
      return { attachments, released: [], failed: 0, remaining };
    }
    this.#claimErrors.delete(vrf);
    const report = await this.#releaseEach(this.#held.ofVrf(vrf), () => true, signal);
    let failed = report.failed;
    for (const object of unheld) {
      try {
        await this.#claims.discard(object);
        if (object.metadata.uid !== undefined) {
          this.#watch.buried(object.metadata.name, object.metadata.uid);
        }
      } catch (error) {
        failed++;
        this.#logReleaseFailure(object.metadata.name, error);
      }
    }
    const remaining = this.#held.ofVrf(vrf).length + failed - report.failed;
    return { attachments: 0, released: report.released, failed, remaining };
  }

  /** Fills memory from the journal. */
  #restore(): void {
    for (const record of this.#journal.blocks()) {
      const state = record.releasing ? "releasing" : "open";
      const block = this.#held.add(record.vrf, parseRange(record.cidr), record.uid, state);
      block.seen = true;
      this.#writer.touch(block.name);
    }
    for (const row of this.#journal.list()) {
      const address = ipv4ToNumber(row.address);
      let block = this.#held.at(row.vrf, address);
      if (block === undefined) {
        block = this.#held.add(row.vrf, parseRange(row.block), "", "suspect");
        this.#writer.touch(block.name);
      }
      block.addresses.take(address, referenceOf(row));
    }
  }

  #watchCache(delayMs: number): void {
    const soon = () => {
      if (this.#reconcileDue || this.#signal.aborted) return;
      this.#reconcileDue = true;
      this.#clock.delay(delayMs, this.#signal).then(() => {
        this.#reconcileDue = false;
        this.#watch.reconcile();
      });
    };
    const stop = this.#cache.subscribe(soon);
    this.#signal.addEventListener("abort", stop, { once: true });
    this.#watch.reconcile();
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

  /** One claim of a VRF at a time; all who need it share it. */
  #claim(domain: PoolDomain): Promise<void> {
    const running = this.#claiming.get(domain.vrf);
    if (running !== undefined) return running;
    const claim = this.#claims.claim(domain).then(
      () => void this.#claimErrors.delete(domain.vrf),
      (error) => {
        this.#claimErrors.set(domain.vrf, error);
        throw error;
      },
    ).finally(() => {
      this.#claiming.delete(domain.vrf);
      this.#notify();
    });
    this.#claiming.set(domain.vrf, claim);
    return claim;
  }

  /** Claims the next block in the background when few addresses are left. */
  #claimAhead(domain: PoolDomain, prefix: BlockRange): void {
    if (this.#ahead.has(domain.vrf) || this.#signal.aborted) return;
    if (!this.#scarce(domain, prefix)) return;
    const stop = new AbortController();
    this.#ahead.set(domain.vrf, stop);
    this.#claimUntilAmple(domain, prefix, stop.signal)
      .finally(() => this.#ahead.delete(domain.vrf));
  }

  async #claimUntilAmple(domain: PoolDomain, prefix: BlockRange, stop: AbortSignal): Promise<void> {
    const backoff = createBackoff({ baseMs: 500, maxMs: 60_000, random: this.#random });
    const ended = AbortSignal.any([stop, this.#signal]);
    while (!ended.aborted && this.#scarce(domain, prefix)) {
      try {
        await this.#claim(domain);
        backoff.reset();
      } catch (error) {
        if (ended.aborted) break;
        this.#log.warn("Could not claim the next IPBlock ahead, trying again", {
          vrf: domain.vrf,
          code: codeOf(error),
          error: messageOf(error),
        });
        await this.#clock.delay(backoff.next(), ended);
      }
    }
    if (!this.#scarce(domain, prefix) && this.#claimErrors.delete(domain.vrf)) this.#notify();
  }

  #scarce(domain: PoolDomain, prefix: BlockRange): boolean {
    return this.#room(domain, prefix) < claimThreshold(domain.blockLength);
  }

  /** Free addresses of a domain at hand, those of one block left out. */
  #room(domain: PoolDomain, prefix: BlockRange, without?: HeldBlock): number {
    let room = 0;
    for (const block of this.#held.usable(domain.vrf, prefix)) {
      if (block !== without) room += block.addresses.free;
    }
    return room;
  }

  #dispensable(block: HeldBlock, domain: PoolDomain | undefined): boolean {
    if (block.state === "releasing") return true;
    if (block.state !== "open" || block.addresses.given > 0) return false;
    if (domain === undefined) return true;
    let prefix: BlockRange;
    try {
      prefix = domainRange(domain);
    } catch {
      return false;
    }
    const room = this.#room(domain, prefix, block);
    // Twice what makes the next claim, so that a block is not released and claimed in turns.
    const enough = rangeContains(prefix, block.range) ? 2 * claimThreshold(domain.blockLength) : 1;
    return room >= enough;
  }

  async #releaseEach(
    blocks: readonly HeldBlock[],
    condition: (block: HeldBlock) => boolean,
    signal: AbortSignal,
  ): Promise<GarbageReport> {
    const released: string[] = [];
    let failed = 0;
    for (const block of blocks) {
      signal.throwIfAborted();
      if (!condition(block)) continue;
      try {
        if (await untilAborted(this.#claims.release(block), signal)) released.push(block.name);
        else failed++;
      } catch (error) {
        signal.throwIfAborted();
        failed++;
        this.#logReleaseFailure(block.name, error);
      }
    }
    return { released, failed };
  }

  #logReleaseFailure(name: string, error: unknown): void {
    this.#log.warn("Could not release an IPBlock", {
      block: name,
      code: codeOf(error),
      error: messageOf(error),
    });
  }

  #owns(object: IPBlock): boolean {
    return object.spec.nodeName === this.#nodeName;
  }

  #desiredStatus(name: string): BlockStatus | undefined {
    const block = this.#held.get(name);
    if (block === undefined || block.state === "releasing" || block.state === "disputed") {
      return undefined;
    }
    return statusOf(block.addresses);
  }

  #adopt(object: IPBlock, range: BlockRange): void {
    const { name, uid = "" } = object.metadata;
    const vrf = object.spec.vrfTable;
    this.#journal.saveBlock({ name, vrf, cidr: range.cidr, uid, releasing: false });
    let block = this.#held.get(name);
    if (block === undefined) {
      block = this.#held.add(vrf, range, uid, "open");
      this.#takeJournaled(block);
    }
    if (block.uid !== uid) block.seen = false;
    block.uid = uid;
    block.state = "open";
    block.dispute = "";
    // Holders that only the status knows are gone, most likely after a reboot; their addresses are given last.
    for (const address of Object.keys(object.status?.allocations ?? {})) {
      const number = tryAddress(address);
      if (number !== undefined) block.addresses.retire(number, this.#held.nextSequence());
    }
    this.#writer.observe(object);
    this.#writer.touch(name);
    this.#notify();
  }

  #takeJournaled(block: HeldBlock): void {
    for (const row of this.#journal.list()) {
      if (row.vrf !== block.vrf) continue;
      block.addresses.take(ipv4ToNumber(row.address), referenceOf(row));
    }
  }

  #drop(block: HeldBlock): void {
    this.#journal.deleteBlock(block.name);
    this.#held.remove(block.name);
    this.#writer.forget(block.name);
    this.#watch.buried(block.name, block.uid);
    this.#notify();
  }

  #close(block: HeldBlock): void {
    if (block.state === "releasing") return;
    const record: BlockRecord = {
      name: block.name,
      vrf: block.vrf,
      cidr: block.range.cidr,
      uid: block.uid,
      releasing: true,
    };
    this.#journal.saveBlock(record);
    block.state = "releasing";
    this.#notify();
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

function tryAddress(text: string): number | undefined {
  try {
    return ipv4ToNumber(text);
  } catch {
    return undefined;
  }
}

/** The task's outcome, or the signal's reason if that comes first; the task goes on then. */
async function untilAborted<T>(task: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([task, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
