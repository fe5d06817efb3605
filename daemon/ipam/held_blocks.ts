/** The blocks that this node holds, in memory. No I/O. */
import { ipBlockName } from "../resources/ip_block.ts";
import { BlockAddresses } from "./allocator.ts";
import {
  type AddressValue,
  type BlockRange,
  capacityOf,
  compareSpans,
  gatewayOf,
  rangeContains,
  rangeHolds,
  rangesOverlap,
} from "./block_range.ts";
import type { Attachment, PoolBlock } from "./port.ts";

/**
 * What a block may be used for: `open` gives addresses; `suspect` waits for the API to say whose it is; `disputed` is
 * another node's while attachments of ours are in it; `releasing` is being deleted.
 */
export type BlockState = "open" | "suspect" | "disputed" | "releasing";

/** An address that stays a pod's over restarts. */
export interface KeptAddress {
  /** The pod, `namespace/name`. */
  readonly pod: string;
  /** Its interface. */
  readonly ifname: string;
  /** How long it is kept after the pod has gone, in seconds. */
  readonly seconds: number;
  /** When it is free again, in milliseconds since 1970; undefined while the pod has it. */
  readonly until: number | undefined;
}

/** A block that this node holds. */
export interface HeldBlock {
  /** Name of the IPBlock object. */
  readonly name: string;
  /** VRF number. */
  readonly vrf: number;
  /** Its range. */
  readonly range: BlockRange;
  /** Who has which address. */
  readonly addresses: BlockAddresses;
  /** Which addresses stay whose over restarts. */
  readonly kept: Map<bigint, KeptAddress>;
  /** UID of the object; empty while unknown. */
  uid: string;
  /** What it may be used for. */
  state: BlockState;
  /** Whether the cache is known to have had the object, so that its absence there means something. */
  seen: boolean;
  /** Why no address is given from it: another node has it, or holds a block that overlaps it. Empty when none does. */
  dispute: string;
}

/** Reference of an attachment in a block's status: the pod's UID, or the container's id where there is none. */
export function referenceOf(owner: Pick<Attachment, "podUid" | "containerId">): string {
  return owner.podUid === "" ? owner.containerId : owner.podUid;
}

/** The blocks of this node by name, and the sequence of releases in them. */
export class HeldBlocks {
  readonly #byName = new Map<string, HeldBlock>();
  #sequence = 0;

  /** Adds a block in the given state. */
  add(vrf: number, range: BlockRange, uid: string, state: BlockState): HeldBlock {
    const addresses = new BlockAddresses(range);
    const name = ipBlockName(vrf, range.cidr);
    const kept = new Map<bigint, KeptAddress>();
    const block = { name, vrf, range, addresses, kept, uid, state, seen: false, dispute: "" };
    this.#byName.set(name, block);
    return block;
  }

  /** Forgets a block. */
  remove(name: string): void {
    this.#byName.delete(name);
  }

  /** The block of a name. */
  get(name: string): HeldBlock | undefined {
    return this.#byName.get(name);
  }

  /** All blocks. */
  all(): Iterable<HeldBlock> {
    return this.#byName.values();
  }

  /** Blocks of a VRF, IPv4 before IPv6, then the lowest first. */
  ofVrf(vrf: number): HeldBlock[] {
    return [...this.#byName.values()].filter((block) => block.vrf === vrf)
      .sort((a, b) => compareSpans(a.range, b.range));
  }

  /** Blocks that addresses of a prefix may be given from, the lowest first. */
  usable(vrf: number, prefix: BlockRange): HeldBlock[] {
    return this.ofVrf(vrf).filter((block) =>
      block.state === "open" && block.dispute === "" && rangeContains(prefix, block.range)
    );
  }

  /** The block of a VRF in which an address lies. */
  at(vrf: number, address: AddressValue): HeldBlock | undefined {
    for (const block of this.#byName.values()) {
      if (block.vrf === vrf && rangeHolds(block.range, address)) return block;
    }
    return undefined;
  }

  /** The number of the next release. */
  nextSequence(): number {
    return ++this.#sequence;
  }

  /** A block of another VRF on this node that overlaps the range. */
  overlapping(vrf: number, range: BlockRange): HeldBlock | undefined {
    for (const block of this.#byName.values()) {
      if (block.vrf !== vrf && rangesOverlap(block.range, range)) return block;
    }
    return undefined;
  }
}

/** What others see of a block. */
export function poolBlockOf(block: HeldBlock): PoolBlock {
  return {
    name: block.name,
    vrf: block.vrf,
    cidr: block.range.cidr,
    gateway: gatewayOf(block.range),
    allocated: block.addresses.given + 1,
    capacity: capacityOf(block.range),
  };
}
