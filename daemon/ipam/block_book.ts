/** Keeps the blocks in memory and those in the journal the same. */
import { parseAddress } from "../../lib/net/address.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import { type BlockRange, parseRange, rangeHolds } from "./block_range.ts";
import { type HeldBlock, HeldBlocks, referenceOf } from "./held_blocks.ts";
import type { AttachmentStore } from "./journal.ts";
import { KeptAddresses } from "./kept_addresses.ts";

/** Changes of the blocks that this node holds; each is in the journal before it is in memory. */
export interface BlockBook {
  /** The blocks. */
  readonly held: HeldBlocks;
  /** The addresses in them that stay pods' over restarts. */
  readonly kept: KeptAddresses;
  /** Opens a block whose object the API has confirmed as this node's. */
  adopt(object: IPBlock, range: BlockRange): void;
  /** Notes that the block's deletion begins: nothing is given from it any more, not even after a restart. */
  close(block: HeldBlock): void;
  /** Forgets a block. */
  drop(block: HeldBlock): void;
}

/**
 * Opens the book: blocks and addresses, kept ones too, as the journal has them. A row whose block the journal does not know makes the
 * block suspect: its addresses are protected, and it gives none until the API has been asked.
 *
 * @param journal The journal
 * @param now Milliseconds since 1970
 * @param findLost Enters attachments into the journal that stand in a block which the journal does not know; a throw keeps the block
 *   from being opened
 * @throws {IpamError} `JournalUnavailable`, `JournalCorrupt`, also from each change
 */
export function openBlockBook(
  journal: AttachmentStore,
  now: () => number,
  findLost: (object: IPBlock) => void,
): BlockBook {
  const held = new HeldBlocks();
  const kept = new KeptAddresses({ held, journal, now });
  for (const record of journal.blocks()) {
    const state = record.releasing ? "releasing" : "open";
    held.add(record.vrf, parseRange(record.cidr), record.uid, state).seen = true;
  }
  for (const row of journal.list()) {
    for (const allocation of row.allocations) {
      const address = parseAddress(allocation.address);
      const block = held.at(row.vrf, address) ??
        held.add(row.vrf, parseRange(allocation.block), "", "suspect");
      block.addresses.take(address.value, referenceOf(row));
    }
  }

  for (const record of journal.kept()) kept.reopen(record);

  const addWithRows = (vrf: number, range: BlockRange, uid: string): HeldBlock => {
    const block = held.add(vrf, range, uid, "open");
    for (const row of journal.list()) {
      if (row.vrf !== vrf) continue;
      for (const allocation of row.allocations) {
        const address = parseAddress(allocation.address);
        if (rangeHolds(range, address)) block.addresses.take(address.value, referenceOf(row));
      }
    }
    return block;
  };

  return {
    held,
    kept,
    adopt: (object, range) => {
      const { name, uid = "" } = object.metadata;
      const vrf = object.spec.vrfTable;
      if (held.get(name) === undefined) findLost(object);
      journal.saveBlock({ name, vrf, cidr: range.cidr, uid, releasing: false });
      const known = held.get(name);
      const block = known ?? addWithRows(vrf, range, uid);
      // Of a block that the journal knows, the journal knows better.
      if (known === undefined) kept.restore(block, object);
      if (block.uid !== uid) block.seen = false;
      block.uid = uid;
      block.state = "open";
      block.dispute = "";
      retireStrangers(block, object, held);
    },
    close: (block) => {
      if (block.state === "releasing") return;
      const { name, vrf, range, uid } = block;
      journal.saveBlock({ name, vrf, cidr: range.cidr, uid, releasing: true });
      block.state = "releasing";
    },
    drop: (block) => {
      kept.forgetBlock(block);
      journal.deleteBlock(block.name);
      held.remove(block.name);
    },
  };
}

/** Holders that only the status knows are gone, most likely by a reboot: their addresses are given last to others, and to them first. */
function retireStrangers(block: HeldBlock, object: IPBlock, held: HeldBlocks): void {
  for (const [address, reference] of Object.entries(object.status?.allocations ?? {})) {
    try {
      const parsed = parseAddress(address);
      if (!rangeHolds(block.range, parsed)) continue;
      block.addresses.retire(parsed.value, held.nextSequence(), reference);
    } catch { /* A status may hold any text. */ }
  }
}
