/** How often nodes can meet at the same block when they claim. Pure. */
import { startOf } from "../../daemon/ipam/block_candidates.ts";

/** A block that a node has claimed. */
export interface Claim {
  /** The node. */
  readonly node: string;
  /** VRF number. */
  readonly vrf: number;
}

/**
 * The most claims that can be refused because another node has the block, if no node ever hears of another's blocks: each begins at a
 * place that its name tells and goes on to the next. That is hashing with linear probing, whose probes in total do not depend on who
 * comes first (Knuth, The Art of Computer Programming, volume 3, section 6.4).
 *
 * @param claims All blocks that are held
 * @param slots Blocks in each VRF's prefix
 */
export function mostConflicts(claims: readonly Claim[], slots: number): number {
  let conflicts = 0;
  for (const [vrf, ofVrf] of Map.groupBy(claims, (claim) => claim.vrf)) {
    const taken = new Set<number>();
    for (const { node } of ofVrf) {
      let slot = startOf(node, vrf) % slots;
      while (taken.has(slot)) {
        conflicts += 1;
        slot = (slot + 1) % slots;
      }
      taken.add(slot);
    }
  }
  return conflicts;
}
