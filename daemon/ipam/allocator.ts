/** Chooses addresses in the blocks of one VRF on this node. Pure: no I/O, no clock. */
import type { KeptAddressStatus } from "../resources/ip_block.ts";
import { formatAddress, type IpFamily } from "../../lib/net/address.ts";
import { type BlockRange, capacityOf, gatewayOf, lastUsable, rangeAt } from "./block_range.ts";

/** Stands for the holder of an address that is kept for a pod that is not there. */
export const keptReference = "kept";

/** Since when an address is free again. */
interface Released {
  /** The release's sequence number. */
  readonly sequence: number;
  /** Reference of who had it. */
  readonly reference: string;
}

/**
 * Which addresses of one block are given, and to whom.
 *
 * Network address, gateway and, of IPv4, broadcast address are never given. What is kept is what is given and what was
 * released: how large the block is costs nothing. A released address goes to the end of the queue, so
 * that peers' neighbour entries and conntrack of its last holder have aged before another gets it.
 */
export class BlockAddresses {
  /** The block's range. */
  readonly range: BlockRange;
  readonly #given = new Map<bigint, string>();
  /** Free addresses that had a holder, the longest free first. */
  readonly #released = new Map<bigint, Released>();
  /** Of those the one that a holder had last, by its reference: it gets that one again. */
  readonly #earlier = new Map<string, bigint>();
  /** Every address below it is given or released. */
  #fresh: bigint;

  /**
   * Begins with all addresses free.
   *
   * @param range The block's range; one longer than `longestBlock` has no address to give
   */
  constructor(range: BlockRange) {
    this.range = range;
    this.#fresh = range.first + 2n;
  }

  /** How many addresses are held, or kept for pods; the gateway does not count. */
  get given(): number {
    return this.#given.size;
  }

  /** Whether pods hold addresses, not counting what is kept for them. */
  get attached(): boolean {
    for (const reference of this.#given.values()) if (reference !== keptReference) return true;
    return false;
  }

  /** How many addresses may still be given. */
  get free(): number {
    return Math.max(capacityOf(this.range) - 1, 0) - this.#given.size;
  }

  /** Holder of an address, when it is given. */
  holder(address: bigint): string | undefined {
    return this.#given.get(address);
  }

  /** Given addresses and the references of their holders. */
  entries(): Iterable<[bigint, string]> {
    return this.#given.entries();
  }

  /** The lowest free address that had no holder yet. */
  nextFresh(): bigint | undefined {
    const last = lastUsable(this.range);
    while (
      this.#fresh <= last &&
      (this.#given.has(this.#fresh) || this.#released.has(this.#fresh))
    ) this.#fresh++;
    return this.#fresh <= last ? this.#fresh : undefined;
  }

  /** The free address released longest ago, and the release's sequence number. */
  oldestReleased(): { readonly address: bigint; readonly sequence: number } | undefined {
    for (const [address, { sequence }] of this.#released) return { address, sequence };
    return undefined;
  }

  /** The free address that a holder had last. */
  earlierOf(reference: string): bigint | undefined {
    return this.#earlier.get(reference);
  }

  /** Notes that an address is given. False when it cannot be: outside the usable range, or another's. */
  take(address: bigint, reference: string): boolean {
    if (!this.#usable(address) || this.#given.has(address)) return false;
    this.#takeFromQueue(address);
    this.#given.set(address, reference);
    return true;
  }

  /** Notes that a given address has another holder. False when it was not given. */
  hand(address: bigint, reference: string): boolean {
    if (!this.#given.has(address)) return false;
    this.#given.set(address, reference);
    return true;
  }

  /** Notes that an address is free again. False when it was not given. */
  release(address: bigint, sequence: number): boolean {
    const reference = this.#given.get(address);
    if (reference === undefined) return false;
    this.#given.delete(address);
    this.#queue(address, { sequence, reference });
    return true;
  }

  /** Puts a free address to the end of the queue, because someone may have held it until a moment ago. */
  retire(address: bigint, sequence: number, reference: string): void {
    if (!this.#usable(address) || this.#given.has(address)) return;
    this.#takeFromQueue(address);
    this.#queue(address, { sequence, reference });
  }

  #queue(address: bigint, released: Released): void {
    this.#released.set(address, released);
    if (released.reference !== keptReference) this.#earlier.set(released.reference, address);
  }

  #takeFromQueue(address: bigint): void {
    const reference = this.#released.get(address)?.reference ?? "";
    this.#released.delete(address);
    if (this.#earlier.get(reference) === address) this.#earlier.delete(reference);
  }

  #usable(address: bigint): boolean {
    return address > this.range.first + 1n && address <= lastUsable(this.range);
  }
}

/** An address that may be given, and the block that it is from. */
export interface Choice<B> {
  /** The block. */
  readonly block: B;
  /** The address, in host order. */
  readonly address: bigint;
}

/**
 * Chooses the next address: the one that the same holder had before, else the lowest one without an earlier holder, blocks taken in
 * their order, and only when there is none the one that has been free for longest. Nothing is noted: call
 * {@linkcode BlockAddresses.take}.
 *
 * @param blocks The blocks
 * @param reference For whom: a pod whose ADD was interrupted and is tried again stays with its address
 */
export function chooseAddress<B extends { readonly addresses: BlockAddresses }>(
  blocks: Iterable<B>,
  reference = "",
): Choice<B> | undefined {
  for (const block of blocks) {
    const address = block.addresses.earlierOf(reference);
    if (address !== undefined) return { block, address };
  }
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
  /** Addresses that stay a pod's over restarts; absent when there are none. */
  readonly kept?: Readonly<Record<string, KeptAddressStatus>>;
}

/** The status that tells the truth about a block. */
export function statusOf(addresses: BlockAddresses): BlockStatus {
  const { range } = addresses;
  const allocations: Record<string, string> = { [gatewayOf(range)]: "gateway" };
  for (const [address, reference] of addresses.entries()) {
    allocations[formatAddress(range.family, address)] = reference;
  }
  return {
    allocated: addresses.given + 1,
    capacity: capacityOf(range),
    allocations,
  };
}

/** How many free addresses are too few, so that the next block is claimed: a quarter of a block, at least two. */
export function claimThreshold(blockLength: number, family: IpFamily = 4): number {
  const pods = capacityOf(rangeAt({ family, value: 0n }, blockLength)) - 1;
  return Math.min(Math.max(Math.floor(pods / 4), 2), Math.max(pods, 1));
}
