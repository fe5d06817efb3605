/** Sees that a domain has addresses to give: claims its next block before the last one is full. */
import { messageOf } from "../../lib/errors.ts";
import { createBackoff } from "../kube/backoff.ts";
import type { Logger } from "../log.ts";
import { claimThreshold } from "./allocator.ts";
import type { DomainRange } from "./block_candidates.ts";
import type { BlockClaims } from "./block_claims.ts";
import type { Clock } from "./clock.ts";
import { codeOf } from "./errors.ts";
import type { HeldBlock, HeldBlocks } from "./held_blocks.ts";
import type { ClaimFailure } from "./pool_problems.ts";

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
  readonly #options: BlockSupplyOptions;
  /** By range, as are the others: each IP version of a domain has claims of its own. */
  readonly #failures = new Map<string, ClaimFailure>();
  readonly #claiming = new Map<string, { readonly vrf: number; readonly claim: Promise<void> }>();
  readonly #ahead = new Map<string, { readonly vrf: number; readonly stop: AbortController }>();

  /** Makes a supply that claims nothing yet. */
  constructor(options: BlockSupplyOptions) {
    this.#options = options;
  }

  /** The claims that failed last, and have not succeeded since. */
  failures(): Iterable<ClaimFailure> {
    return this.#failures.values();
  }

  /** Whether a claim of the VRF is under way. */
  claiming(vrf: number): boolean {
    return [...this.#claiming.values()].some((running) => running.vrf === vrf);
  }

  /**
   * Gets one more block. A range has one claim at a time, and all who need it share it.
   *
   * @throws {IpamError} `BlocksExhausted`, `ClaimFailed`, or the journal's errors
   */
  claim(range: DomainRange): Promise<void> {
    const key = keyOf(range);
    const running = this.#claiming.get(key);
    if (running !== undefined) return running.claim;
    const claim = this.#claimAndNote(range);
    this.#claiming.set(key, { vrf: range.domain.vrf, claim });
    return claim;
  }

  /** Claims in the background when few addresses are left, until there are enough. */
  claimAhead(range: DomainRange): void {
    const key = keyOf(range);
    if (this.#ahead.has(key) || this.#options.signal.aborted) return;
    if (!this.#scarce(range)) return;
    const stop = new AbortController();
    this.#ahead.set(key, { vrf: range.domain.vrf, stop });
    this.#claimUntilAmple(range, stop.signal).finally(() => this.#ahead.delete(key));
  }

  /** Claims nothing more for a VRF until it is asked again; resolves when no claim is under way. */
  async stop(vrf: number): Promise<void> {
    const ofVrf = (each: { readonly vrf: number }) => each.vrf === vrf;
    for (const { stop } of [...this.#ahead.values()].filter(ofVrf)) stop.abort();
    const running = [...this.#claiming.values()].filter(ofVrf);
    await Promise.allSettled(running.map(({ claim }) => claim));
    for (const [key, failure] of [...this.#failures]) {
      if (failure.vrf === vrf) this.#failures.delete(key);
    }
  }

  /** Free addresses of a range at hand, those of one block left out. */
  room({ domain: { vrf }, prefix }: DomainRange, without?: HeldBlock): number {
    let room = 0;
    for (const block of this.#options.held.usable(vrf, prefix)) {
      if (block !== without) room += block.addresses.free;
    }
    return room;
  }

  async #claimAndNote(range: DomainRange): Promise<void> {
    const key = keyOf(range);
    try {
      await this.#options.claims.claim(range);
      this.#failures.delete(key);
    } catch (error) {
      this.#failures.set(key, { vrf: range.domain.vrf, error });
      throw error;
    } finally {
      this.#claiming.delete(key);
      this.#options.changed();
    }
  }

  async #claimUntilAmple(range: DomainRange, stop: AbortSignal): Promise<void> {
    const { log, clock, random, signal, changed } = this.#options;
    const backoff = createBackoff({ baseMs: 500, maxMs: 60_000, random });
    const ended = AbortSignal.any([stop, signal]);
    let told: string | undefined;
    while (!ended.aborted && this.#scarce(range)) {
      try {
        await this.claim(range);
        backoff.reset();
      } catch (error) {
        if (ended.aborted) return;
        const code = codeOf(error);
        if (code !== told) {
          log.warn("Could not claim the next IPBlock ahead, trying again", {
            vrf: range.domain.vrf,
            prefix: range.prefix.cidr,
            code,
            error: messageOf(error),
          });
        }
        told = code;
        await clock.delay(backoff.next(), ended);
      }
    }
    if (!this.#scarce(range) && this.#failures.delete(keyOf(range))) changed();
  }

  #scarce(range: DomainRange): boolean {
    return this.room(range) < claimThreshold(range.blockLength, range.prefix.family);
  }
}

function keyOf({ domain, prefix }: DomainRange): string {
  return `${domain.vrf}/${prefix.family}`;
}
