/** What is wrong with a node's blocks, in words for conditions. Pure. */
import { messageOf } from "../../lib/errors.ts";
import { compareSpans, rangesOverlap } from "./block_range.ts";
import { codeOf } from "./errors.ts";
import type { HeldBlock } from "./held_blocks.ts";
import type { PoolProblem } from "./port.ts";

/** Codes of problems that wait for a person; a claim that failed otherwise is repeated. */
const lasting: ReadonlySet<string> = new Set([
  "BlocksExhausted",
  "BlockDisputed",
  "BlockOverlap",
  "InvalidDomain",
]);

/** Whether a problem of this code stays until somebody acts. */
export function isLastingProblem(code: string): boolean {
  return lasting.has(code);
}

/** The last claim of a range that failed. */
export interface ClaimFailure {
  /** VRF number. */
  readonly vrf: number;
  /** What the claim threw. */
  readonly error: unknown;
}

/**
 * Lists the problems of the blocks held and of the claims that failed last.
 *
 * @param blocks Blocks of this node
 * @param claims The claims that failed last
 */
export function problemsOf(
  blocks: Iterable<HeldBlock>,
  claims: Iterable<ClaimFailure>,
): PoolProblem[] {
  const problems: PoolProblem[] = [];
  for (const { vrf, error } of claims) {
    problems.push({ vrf, code: codeOf(error) || "ClaimFailed", message: messageOf(error) });
  }
  const sorted = [...blocks].sort((a, b) => compareSpans(a.range, b.range));
  for (const block of sorted) {
    if (block.dispute === "") continue;
    const message = `The block "${block.name}" ${block.dispute}; no address is given from it`;
    problems.push({ vrf: block.vrf, code: "BlockDisputed", message, block: block.name });
  }
  for (const [a, b] of overlaps(sorted)) {
    for (const [block, other] of [[a, b], [b, a]] as const) {
      const message =
        `The block "${block.name}" overlaps "${other.name}" on this node, so that their pods' ` +
        "addresses are not unique here; give the domains different prefixes";
      problems.push({ vrf: block.vrf, code: "BlockOverlap", message, block: block.name });
    }
  }
  return problems;
}

/** Pairs of blocks of different VRFs that overlap. */
function overlaps(sorted: readonly HeldBlock[]): [HeldBlock, HeldBlock][] {
  const pairs: [HeldBlock, HeldBlock][] = [];
  let open: HeldBlock[] = [];
  for (const block of sorted) {
    open = open.filter((earlier) => rangesOverlap(earlier.range, block.range));
    for (const earlier of open) if (earlier.vrf !== block.vrf) pairs.push([earlier, block]);
    open.push(block);
  }
  return pairs;
}
