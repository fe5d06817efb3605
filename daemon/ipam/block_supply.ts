/** Sees that a domain has addresses to give: claims its next block before the last one is full. */
import { messageOf } from "../../lib/errors.ts";
import { createBackoff } from "../kube/backoff.ts";
import type { Logger } from "../log.ts";
import { claimThreshold } from "./allocator.ts";
import type { BlockClaims } from "./block_claims.ts";
import type { BlockRange } from "./block_range.ts";
import type { Clock } from "./clock.ts";
import { codeOf } from "./errors.ts";
import type { HeldBlock, HeldBlocks } from "./held_blocks.ts";
import type { PoolDomain } from "./port.ts";

/** What the supply needs. */
export interface BlockSupplyOptions {
  /** The blocks of this node. */
  readonly held: HeldBlocks;
  /** Claims at the API. */
  readonly claims: BlockClaims;
  /** Where failures go. */
  readonly log: Logger;
  /** For the waits between attempts. */
  readonly clock: Clock;
  /** For the waits between attempts, from 0 to 1. */
  readonly random: () => number;
  /** Ends all claims. */
  readonly signal: AbortSignal;
  /** Called when a claim has ended, well or not. */
  readonly changed: () => void;
}

/** The supply of blocks. */
export class BlockSupply {
  /** What the last claim of a VRF threw, by VRF. */
  readonly errors: ReadonlyMap<number, unknown>;
  readonly #options: BlockSupplyOptions;
  readonly #errors = new Map<number, unknown>();
  readonly #claiming = new Map<number, Promise<void>>();
  readonly #ahead = new Map<number, AbortController>();

  /** Makes a supply that claims nothing yet. */
  constructor(options: BlockSupplyOptions) {
    this.#options = options;
    this.errors = this.#errors;
  }

  /** Whether a claim of the VRF is under way. */
  claiming(vrf: number): boolean {
    return this.#claiming.has(vrf);
  }

  /**
   * Gets one more block. A VRF has one claim at a time, and all who need it share it.
   *
   * @throws {IpamError} `BlocksExhausted`, `ClaimFailed`, `InvalidDomain`, or the journal's errors
   */
  claim(domain: PoolDomain): Promise<void> {
    const running = this.#claiming.get(domain.vrf);
    if (running !== undefined) return running;
    const claim = this.#claimAndNote(domain);
    this.#claiming.set(domain.vrf, claim);
    return claim;
  }

  /** Claims in the background when few addresses are left, until there are enough. */
  claimAhead(domain: PoolDomain, prefix: BlockRange): void {
    if (this.#ahead.has(domain.vrf) || this.#options.signal.aborted) return;
    if (!this.#scarce(domain, prefix)) return;
    const stop = new AbortController();
    this.#ahead.set(domain.vrf, stop);
    this.#claimUntilAmple(domain, prefix, stop.signal)
      .finally(() => this.#ahead.delete(domain.vrf));
  }

  /** Claims nothing more for a VRF until it is asked again; resolves when no claim is under way. */
  async stop(vrf: number): Promise<void> {
    this.#ahead.get(vrf)?.abort();
    await this.#claiming.get(vrf)?.catch(() => {});
    this.#errors.delete(vrf);
  }

  /** Free addresses of a domain at hand, those of one block left out. */
  room(domain: PoolDomain, prefix: BlockRange, without?: HeldBlock): number {
    let room = 0;
    for (const block of this.#options.held.usable(domain.vrf, prefix)) {
      if (block !== without) room += block.addresses.free;
    }
    return room;
  }

  async #claimAndNote(domain: PoolDomain): Promise<void> {
    try {
      await this.#options.claims.claim(domain);
      this.#errors.delete(domain.vrf);
    } catch (error) {
      this.#errors.set(domain.vrf, error);
      throw error;
    } finally {
      this.#claiming.delete(domain.vrf);
      this.#options.changed();
    }
  }

  async #claimUntilAmple(domain: PoolDomain, prefix: BlockRange, stop: AbortSignal): Promise<void> {
    const { log, clock, random, signal, changed } = this.#options;
    const backoff = createBackoff({ baseMs: 500, maxMs: 60_000, random });
    const ended = AbortSignal.any([stop, signal]);
    while (!ended.aborted && this.#scarce(domain, prefix)) {
      try {
        await this.claim(domain);
        backoff.reset();
      } catch (error) {
        if (ended.aborted) return;
        log.warn("Could not claim the next IPBlock ahead, trying again", {
          vrf: domain.vrf,
          code: codeOf(error),
          error: messageOf(error),
        });
        await clock.delay(backoff.next(), ended);
      }
    }
    if (!this.#scarce(domain, prefix) && this.#errors.delete(domain.vrf)) changed();
  }

  #scarce(domain: PoolDomain, prefix: BlockRange): boolean {
    return this.room(domain, prefix) < claimThreshold(domain.blockLength);
  }
}
