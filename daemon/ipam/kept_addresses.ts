/** Addresses that stay a pod's while it is not there: in memory and in the journal; the blocks' status tells the other nodes. */
import {
  addressFamily,
  formatAddress,
  type IpFamily,
  parseAddress,
} from "../../lib/net/address.ts";
import type { IPBlock, KeptAddressStatus } from "../resources/ip_block.ts";
import { keptReference } from "./allocator.ts";
import { rangeHolds } from "./block_range.ts";
import type { HeldBlock, HeldBlocks, KeptAddress } from "./held_blocks.ts";
import type { AttachmentStore } from "./journal.ts";
import type { KeptRecord } from "./journal_rows.ts";
import type { AttachmentOwner } from "./port.ts";

/** Whose an address is over restarts: the pod by its name, which a StatefulSet gives again, and its interface. */
export type Keeper = Pick<KeptAddress, "pod" | "ifname">;

/** The keeper that an attachment stands for. */
export function keeperOf(owner: Pick<AttachmentOwner, "namespace" | "pod" | "ifname">): Keeper {
  return { pod: `${owner.namespace}/${owner.pod}`, ifname: owner.ifname };
}

/** Whether both are the same. */
export function sameKeeper(a: Keeper, b: Keeper): boolean {
  return a.pod === b.pod && a.ifname === b.ifname;
}

/** What the addresses are kept in. */
export interface KeptAddressesOptions {
  /** The blocks of this node. */
  readonly held: HeldBlocks;
  /** Where they survive the process. */
  readonly journal: Pick<AttachmentStore, "saveKept" | "deleteKept">;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The kept addresses of this node. Each change is in the journal before it is in memory. */
export class KeptAddresses {
  readonly #options: KeptAddressesOptions;

  /** Makes it; the blocks hold what is kept. */
  constructor(options: KeptAddressesOptions) {
    this.#options = options;
  }

  /** The address of a family that is kept for somebody in a VRF. */
  find(
    vrf: number,
    family: IpFamily,
    keeper: Keeper,
  ): { readonly block: HeldBlock; readonly address: bigint } | undefined {
    for (const block of this.#options.held.ofVrf(vrf)) {
      if (block.range.family !== family) continue;
      for (const [address, kept] of block.kept) {
        if (sameKeeper(kept, keeper)) return { block, address };
      }
    }
    return undefined;
  }

  /** Whether this node holds a block. */
  holds(name: string): boolean {
    return this.#options.held.get(name) !== undefined;
  }

  /** Keeps an address that has just been given, until it is released and for some seconds after. */
  keep(block: HeldBlock, address: bigint, keeper: Keeper, seconds: number): void {
    this.#save(block, address, { ...keeper, seconds, until: undefined });
  }

  /** Notes that the keeper has gone: nobody else gets the address. False when it is not kept for it, and is free. */
  leave(block: HeldBlock, address: bigint, keeper: Keeper): boolean {
    const kept = block.kept.get(address);
    if (kept === undefined || !sameKeeper(kept, keeper)) return false;
    const until = this.#options.now() + kept.seconds * 1000;
    this.#save(block, address, { ...kept, until });
    block.addresses.hand(address, keptReference);
    return true;
  }

  /** Keeps an address no longer; it is free unless a pod has it. */
  forget(block: HeldBlock, address: bigint): void {
    const { journal, held } = this.#options;
    journal.deleteKept(block.vrf, formatAddress(block.range.family, address));
    block.kept.delete(address);
    if (block.addresses.holder(address) === keptReference) {
      block.addresses.release(address, held.nextSequence());
    }
  }

  /** Keeps nothing any more for somebody in a VRF. Gives the blocks that have changed. */
  withdraw(vrf: number, keeper: Keeper): readonly HeldBlock[] {
    return this.#forgetWhere((block, _, kept) => block.vrf === vrf && sameKeeper(kept, keeper));
  }

  /** Keeps nothing any more that no pod has: of the VRFs that are not wanted, and what has been kept for long enough. */
  expire(wanted: (vrf: number) => boolean): readonly HeldBlock[] {
    const now = this.#options.now();
    return this.#forgetWhere((block, address, { until }) =>
      block.addresses.holder(address) === keptReference &&
      (!wanted(block.vrf) || until !== undefined && until <= now)
    );
  }

  /** Keeps nothing any more in a block that is another node's now. */
  forgetBlock(lost: HeldBlock): void {
    this.#forgetWhere((block) => block === lost);
  }

  /** Takes over what the journal says of the process before this one. */
  reopen({ vrf, address: text, ...kept }: KeptRecord): void {
    const { held, journal } = this.#options;
    const address = parseAddress(text);
    const block = held.at(vrf, address);
    const free = block?.addresses.take(address.value, keptReference) === true;
    if (block === undefined || !free && block.addresses.holder(address.value) === undefined) {
      return journal.deleteKept(vrf, text);
    }
    block.kept.set(address.value, kept);
    if (free && kept.until === undefined) this.leave(block, address.value, kept);
  }

  /** Takes over what a block's status says of the time before this node lost its journal. */
  restore(block: HeldBlock, object: IPBlock): void {
    for (const [text, kept] of Object.entries(object.status?.kept ?? {})) {
      const address = addressIn(block, text);
      if (address === undefined) continue;
      const now = this.#options.now();
      const parsed = Date.parse(kept.until ?? "");
      const until = Number.isNaN(parsed) ? now + kept.seconds * 1000 : parsed;
      if (until <= now) continue;
      if (!block.addresses.take(address, keptReference)) continue;
      this.#save(block, address, {
        pod: kept.pod,
        ifname: kept.interface,
        seconds: kept.seconds,
        until,
      });
    }
  }

  #forgetWhere(
    chosen: (block: HeldBlock, address: bigint, kept: KeptAddress) => boolean,
  ): readonly HeldBlock[] {
    const changed = new Set<HeldBlock>();
    for (const block of this.#options.held.all()) {
      for (const [address, kept] of [...block.kept]) {
        if (!chosen(block, address, kept)) continue;
        this.forget(block, address);
        changed.add(block);
      }
    }
    return [...changed];
  }

  #save(block: HeldBlock, address: bigint, kept: KeptAddress): void {
    const text = formatAddress(block.range.family, address);
    this.#options.journal.saveKept({ vrf: block.vrf, address: text, ...kept });
    block.kept.set(address, kept);
  }
}

/** What a block's status says about the addresses kept in it; undefined when there are none. */
export function keptStatus(
  block: HeldBlock,
): Readonly<Record<string, KeptAddressStatus>> | undefined {
  if (block.kept.size === 0) return undefined;
  const entries = [...block.kept].map(([address, { pod, ifname, seconds, until }]) =>
    [formatAddress(block.range.family, address), {
      pod,
      interface: ifname,
      seconds,
      ...(until === undefined ? {} : { until: new Date(until).toISOString() }),
    }] as const
  );
  return Object.fromEntries(entries);
}

/** What is kept for somebody in the blocks that the API knows, and not over yet. */
export function keptAtApi(
  objects: readonly IPBlock[],
  wanted: { readonly vrf: number; readonly family: IpFamily; readonly keeper: Keeper },
  now: number,
): readonly { readonly object: IPBlock; readonly address: string; readonly until: string }[] {
  return objects.filter(({ spec }) => spec.vrfTable === wanted.vrf).flatMap((object) =>
    Object.entries(object.status?.kept ?? {}).filter(([address, kept]) =>
      sameKeeper({ pod: kept.pod, ifname: kept.interface }, wanted.keeper) &&
      addressFamily(address) === wanted.family && !(Date.parse(kept.until ?? "") <= now)
    ).map(([address, { until = "" }]) => ({ object, address, until }))
  );
}

function addressIn(block: HeldBlock, text: string): bigint | undefined {
  try {
    const address = parseAddress(text);
    return rangeHolds(block.range, address) ? address.value : undefined;
  } catch {
    // A status may hold any text.
    return undefined;
  }
}
