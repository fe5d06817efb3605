/** Gives attachments their addresses: what is kept for them, what they wish for, or any that is free. */
import { formatAddress, type IpFamily } from "../../lib/net/address.ts";
import { type Choice, chooseAddress, keptReference } from "./allocator.ts";
import { type DomainRange, domainRanges } from "./block_candidates.ts";
import { gatewayOf } from "./block_range.ts";
import type { BlockSupply } from "./block_supply.ts";
import type { Clock } from "./clock.ts";
import { IpamError } from "./errors.ts";
import { type HeldBlock, type HeldBlocks, referenceOf } from "./held_blocks.ts";
import { hostIfnameOf } from "./host_ifname.ts";
import type { AttachmentStore } from "./journal.ts";
import { keeperOf, type KeptAddresses, sameKeeper } from "./kept_addresses.ts";
import type { KeptWishes } from "./kept_wishes.ts";
import type {
  Allocation,
  Attachment,
  AttachmentOwner,
  AttachmentWish,
  PoolDomain,
} from "./port.ts";
import type { StatusWriter } from "./status_writer.ts";
import { untilAborted } from "./until_aborted.ts";
import {
  addressKept,
  addressTaken,
  checkGivable,
  checkLength,
  checkMacFree,
  wishedAddresses,
} from "./wished_address.ts";

/** An address that may be given, and the range of the domain that it is for. */
interface RangeChoice extends Choice<HeldBlock> {
  readonly range: DomainRange;
}

/** How long a kept address stays a pod's after it has gone, where the domain does not say, in seconds. */
const defaultKeepSeconds = 604_800;

/** What reservations work with. */
export interface ReservationsOptions {
  /** Where attachments are kept. */
  readonly journal: AttachmentStore;
  /** The blocks of this node. */
  readonly held: HeldBlocks;
  /** Addresses in them that stay pods' over restarts. */
  readonly kept: KeptAddresses;
  /** Which of them a pod must have. */
  readonly keptWishes: KeptWishes;
  /** Gets blocks with room. */
  readonly supply: BlockSupply;
  /** Gets the block around an address. */
  readonly wishedBlock: (wanted: DomainRange, address: bigint) => Promise<void>;
  /** Told which blocks have changed. */
  readonly writer: Pick<StatusWriter, "touch" | "hurry">;
  /** For the rows' time. */
  readonly clock: Clock;
}

/** Reservations of this node; see the method of the same name in {@linkcode AddressPool}. */
export class Reservations {
  readonly #options: ReservationsOptions;

  /** Makes it. */
  constructor(options: ReservationsOptions) {
    this.#options = options;
  }

  /** Gives addresses and journals them, or throws an {@linkcode IpamError}. */
  async reserve(
    domain: PoolDomain,
    owner: AttachmentOwner & { readonly netnsPath: string },
    signal: AbortSignal,
    wish: AttachmentWish = { addresses: [] },
  ): Promise<Attachment> {
    const ranges = domainRanges(domain);
    const named = wishedAddresses(ranges, wish);
    if (wish.keep === undefined) this.#withdraw(domain, owner);
    for (;;) {
      signal.throwIfAborted();
      const existing = this.#existing(domain, owner, wish);
      const wished = existing === undefined
        ? this.#options.keptWishes(ranges, named, keeperOf(owner), wish.keep)
        : named;
      const choices = existing === undefined
        ? ranges.map((range) => this.#choose(range, wished.get(range.prefix.family), owner))
        : [];
      const row = existing ?? this.#give(domain, owner, wish, choices);
      if (row !== undefined) {
        for (const range of ranges) this.#options.supply.claimAhead(range);
        return row;
      }
      const missing = ranges.filter((_, index) => choices[index] === undefined);
      await untilAborted(Promise.all(missing.map((range) => this.#more(range, wished))), signal);
    }
  }

  #existing(
    domain: PoolDomain,
    owner: AttachmentOwner & { readonly netnsPath: string },
    wish: AttachmentWish,
  ): Attachment | undefined {
    const row = this.#options.journal.find(owner);
    if (row === undefined) return undefined;
    if (row.vrf !== domain.vrf || row.domain !== domain.name) {
      throw new IpamError(
        "KeyInOtherDomain",
        `Expected the interface "${owner.ifname}" of the container "${owner.containerId}" in the VRFDomain ` +
          `"${domain.name}", found it in "${row.domain}"; delete the container's network first`,
      );
    }
    const has = row.allocations.map(({ address }) => address);
    const asWished = wish.addresses.every(({ address }) => has.includes(address)) &&
      (wish.mac === undefined || wish.mac === row.mac);
    if (!asWished) {
      throw new IpamError(
        "AddressInUse",
        `Expected the interface "${owner.ifname}" of the container "${owner.containerId}" as it is wished, found it with ` +
          `"${
            has.join(", ")
          }" and the MAC "${row.mac}" already; delete the container's network first`,
      );
    }
    if (row.state === "attached") return row;
    this.#options.journal.update(owner, { state: "reserved", netnsPath: owner.netnsPath });
    return { ...row, state: "reserved", netnsPath: owner.netnsPath };
  }

  /** The address to give and its block; undefined when no block at hand has room, or none has the wished address. */
  #choose(
    range: DomainRange,
    wished: bigint | undefined,
    owner: AttachmentOwner,
  ): RangeChoice | undefined {
    const { domain, prefix } = range;
    if (wished === undefined) {
      const blocks = this.#options.held.usable(domain.vrf, prefix);
      const choice = chooseAddress(blocks, referenceOf(owner));
      return choice && { ...choice, range };
    }
    const block = this.#options.held.at(domain.vrf, { family: prefix.family, value: wished });
    if (block?.state !== "open" || block.dispute !== "") return undefined;
    checkGivable(block.range, wished);
    const holder = block.addresses.holder(wished);
    const kept = holder === keptReference ? block.kept.get(wished) : undefined;
    if (holder !== undefined && (kept === undefined || !sameKeeper(kept, keeperOf(owner)))) {
      const text = formatAddress(prefix.family, wished);
      throw kept === undefined
        ? addressTaken(text, domain, this.#options.journal.list())
        : addressKept(text, domain, kept);
    }
    return { block, address: wished, range };
  }

  /** Gets a block to choose from: one with room, or the one around the wished address. */
  #more(range: DomainRange, wished: ReadonlyMap<IpFamily, bigint>): Promise<void> {
    const address = wished.get(range.prefix.family);
    return address === undefined
      ? this.#options.supply.claim(range)
      : this.#options.wishedBlock(range, address);
  }

  /** Gives the chosen addresses; undefined, and none given, when one is missing. */
  #give(
    domain: PoolDomain,
    owner: AttachmentOwner & { readonly netnsPath: string },
    wish: AttachmentWish,
    choices: readonly (RangeChoice | undefined)[],
  ): Attachment | undefined {
    const chosen = choices.filter((choice) => choice !== undefined);
    if (chosen.length < choices.length) return undefined;
    if (wish.mac !== undefined) checkMacFree(wish.mac, domain, this.#options.journal.list());
    const allocations = chosen.map(allocationOf);
    for (const wished of wish.addresses) checkLength(wished, allocations);
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
      allocations,
      state: "reserved",
      hostIfname: hostIfnameOf(owner),
      mac: wish.mac ?? "",
      createdAt: this.#options.clock.now(),
    };
    this.#options.journal.insert(row);
    for (const { block, address } of chosen) {
      const reference = referenceOf(owner);
      if (!block.addresses.take(address, reference)) block.addresses.hand(address, reference);
      this.#options.writer.touch(block.name);
    }
    if (wish.keep !== undefined) this.#keep(domain, owner, chosen);
    return row;
  }

  /** Notes for whom the addresses stay: only these, whatever stayed before. */
  #keep(domain: PoolDomain, owner: AttachmentOwner, chosen: readonly RangeChoice[]): void {
    const keeper = keeperOf(owner);
    this.#withdraw(domain, owner);
    for (const { block, address } of chosen) {
      this.#options.kept.keep(block, address, keeper, domain.keepSeconds ?? defaultKeepSeconds);
      // What is not yet at the API is lost with the machine.
      this.#options.writer.hurry(block.name);
    }
  }

  #withdraw(domain: PoolDomain, owner: AttachmentOwner): void {
    if (owner.pod === "") return;
    for (const block of this.#options.kept.withdraw(domain.vrf, keeperOf(owner))) {
      this.#options.writer.touch(block.name);
    }
  }
}

function allocationOf({ range, block, address }: RangeChoice): Allocation {
  return {
    address: formatAddress(block.range.family, address),
    // Where pods have their block's length, a block of an earlier length keeps its own.
    prefixLength: range.addressLength === range.blockLength
      ? block.range.length
      : range.addressLength,
    gateway: gatewayOf(block.range),
    block: block.range.cidr,
  };
}
