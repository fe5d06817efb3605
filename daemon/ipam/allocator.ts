/** Chooses addresses in the blocks of one VRF on this node. Pure: no I/O, no clock. */
import { numberToIpv4 } from "../../lib/net/address.ts";
import { type BlockRange, capacityOf } from "./block_range.ts";

/**
 * Which addresses of one block are given, and to whom.
 *
 * Network address, gateway and broadcast address are never given. A released address goes to the end of the queue, so
 * that peers' neighbour entries and conntrack of its last holder have aged before it is given again.
 */
export class BlockAddresses {
  /** The block's range. */
  readonly range: BlockRange;
  readonly #given = new Map<number, string>();
  /** Free addresses that had a holder, the longest free first; the value is the release's sequence number. */
  readonly #released = new Map<number, number>();
  /** Every address below it is given or released. */
  #fresh: number;

  /**
   * Begins with all addresses free.
   *
   * @param range The block's range; one longer than /30 has no address to give
   */
  constructor(range: BlockRange) {
    this.range = range;
    this.#fresh = range.first + 2;
  }

  /** How many addresses pods hold; the gateway does not count. */
  get given(): number {
    return this.#given.size;
  }

  /** How many addresses may still be given. */
  get free(): number {
    return Math.max(capacityOf(this.range) - 1, 0) - this.#given.size;
  }

  /** Holder of an address, when it is given. */
  holder(address: number): string | undefined {
    return this.#given.get(address);
  }

  /** Given addresses and the references of their holders. */
  entries(): Iterable<[number, string]> {
    return this.#given.entries();
  }

  /** The lowest free address that had no holder yet. */
  nextFresh(): number | undefined {
    while (
      this.#fresh < this.range.last &&
      (this.#given.has(this.#fresh) || this.#released.has(this.#fresh))
    ) this.#fresh++;
    return this.#fresh < this.range.last ? this.#fresh : undefined;
  }

  /** The free address released longest ago, and the release's sequence number. */
  oldestReleased(): { readonly address: number; readonly sequence: number } | undefined {
    for (const [address, sequence] of this.#released) return { address, sequence };
    return undefined;
  }

  /** Notes that an address is given. False when it cannot be: outside the usable range, or another's. */
  take(address: number, reference: string): boolean {
    if (!this.#usable(address) || this.#given.has(address)) return false;
    this.#released.delete(address);
    this.#given.set(address, reference);
    return true;
  }

  /** Notes that an address is free again. False when it was not given. */
  release(address: number, sequence: number): boolean {
    if (!this.#given.delete(address)) return false;
    this.#released.set(address, sequence);
    return true;
  }

  /** Puts a free address to the end of the queue, because someone may have held it until a moment ago. */
  retire(address: number, sequence: number): void {
    if (!this.#usable(address) || this.#given.has(address)) return;
    this.#released.delete(address);
    this.#released.set(address, sequence);
  }

  #usable(address: number): boolean {
    return Number.isInteger(address) && address > this.range.first + 1 && address < this.range.last;
  }
}

/** An address that may be given, and the block that it is from. */
export interface Choice<B> {
  /** The block. */
  readonly block: B;
  /** The address. */
  readonly address: number;
}

/**
 * Chooses the next address: the lowest one without an earlier holder, blocks taken in their order, and only when there
 * is none the one that has been free for longest. Nothing is noted: call {@linkcode BlockAddresses.take}.
 */
export function chooseAddress<B extends { readonly addresses: BlockAddresses }>(
  blocks: Iterable<B>,
): Choice<B> | undefined {
  let best: (Choice<B> & { readonly sequence: number }) | undefined;
  for (const block of blocks) {
    const fresh = block.addresses.nextFresh();
    if (fresh !== undefined) return { block, address: fresh };
    const oldest = block.addresses.oldestReleased();
    if (oldest !== undefined && (best === undefined || oldest.sequence < best.sequence)) {
      best = { block, ...oldest };
    }
  }
  return best && { block: best.block, address: best.address };
}

/** What an IPBlock's status says. */
export interface BlockStatus {
  /** Addresses given, the gateway included. */
  readonly allocated: number;
  /** Usable addresses, the gateway included. */
  readonly capacity: number;
  /** Reference of the holder by address; the gateway's is `gateway`. */
  readonly allocations: Readonly<Record<string, string>>;
}

/** The status that tells the truth about a block. */
export function statusOf(addresses: BlockAddresses): BlockStatus {
  const allocations: Record<string, string> = {
    [numberToIpv4(addresses.range.first + 1)]: "gateway",
  };
  for (const [address, reference] of addresses.entries()) {
    allocations[numberToIpv4(address)] = reference;
  }
  return {
    allocated: addresses.given + 1,
    capacity: capacityOf(addresses.range),
    allocations,
  };
}

/** How many free addresses are too few, so that the next block is claimed: a quarter of a block, at least two. */
export function claimThreshold(blockLength: number): number {
  const pods = 2 ** (32 - blockLength) - 3;
  return Math.min(Math.max(Math.floor(pods / 4), 2), Math.max(pods, 1));
}
