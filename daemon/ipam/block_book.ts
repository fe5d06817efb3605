/** Keeps the blocks in memory and those in the journal the same. */
import { ipv4ToNumber } from "../../lib/net/address.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import { type BlockRange, parseRange } from "./block_range.ts";
import { type HeldBlock, HeldBlocks, referenceOf } from "./held_blocks.ts";
import type { AttachmentStore } from "./journal.ts";

/** Changes of the blocks that this node holds; each is in the journal before it is in memory. */
export interface BlockBook {
  /** The blocks. */
  readonly held: HeldBlocks;
  /** Opens a block whose object the API has confirmed as this node's. */
  adopt(object: IPBlock, range: BlockRange): void;
  /** Notes that the block's deletion begins: nothing is given from it any more, not even after a restart. */
  close(block: HeldBlock): void;
  /** Forgets a block. */
  drop(block: HeldBlock): void;
}

/**
 * Opens the book: blocks and addresses as the journal has them. A row whose block the journal does not know makes the
 * block suspect: its addresses are protected, and it gives none until the API has been asked.
 *
 * @throws {IpamError} `JournalUnavailable`, `JournalCorrupt`, also from each change
 */
export function openBlockBook(journal: AttachmentStore): BlockBook {
  const held = new HeldBlocks();
  for (const record of journal.blocks()) {
    const state = record.releasing ? "releasing" : "open";
    held.add(record.vrf, parseRange(record.cidr), record.uid, state).seen = true;
  }
  for (const row of journal.list()) {
    const address = ipv4ToNumber(row.address);
    const block = held.at(row.vrf, address) ??
      held.add(row.vrf, parseRange(row.block), "", "suspect");
    block.addresses.take(address, referenceOf(row));
  }

  const addWithRows = (vrf: number, range: BlockRange, uid: string): HeldBlock => {
    const block = held.add(vrf, range, uid, "open");
    for (const row of journal.list()) {
      if (row.vrf === vrf) block.addresses.take(ipv4ToNumber(row.address), referenceOf(row));
    }
    return block;
  };

  return {
    held,
    adopt: (object, range) => {
      const { name, uid = "" } = object.metadata;
      const vrf = object.spec.vrfTable;
      journal.saveBlock({ name, vrf, cidr: range.cidr, uid, releasing: false });
      const block = held.get(name) ?? addWithRows(vrf, range, uid);
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
      journal.deleteBlock(block.name);
      held.remove(block.name);
    },
  };
}

/** Holders that only the status knows are gone, most likely by a reboot: their addresses are given last. */
function retireStrangers(block: HeldBlock, object: IPBlock, held: HeldBlocks): void {
  for (const address of Object.keys(object.status?.allocations ?? {})) {
    try {
      block.addresses.retire(ipv4ToNumber(address), held.nextSequence());
    } catch { /* A status may hold any text. */ }
  }
}
