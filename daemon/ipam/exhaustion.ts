/** Whether a node can give an address at all. Pure. */
import type { PoolBlock, PoolDomain, PoolProblem } from "./port.ts";

/**
 * Why no pod of any domain can get an address; empty while one domain can give one. A single domain without addresses is no
 * reason: the runtime would keep all pods off the node for it.
 *
 * @param domains Domains that the node carries
 * @param blocks Blocks that it holds
 * @param problems What its last claims met
 */
export function exhaustionOf(
  domains: readonly PoolDomain[],
  blocks: readonly PoolBlock[],
  problems: readonly PoolProblem[],
): readonly string[] {
  const reasons: string[] = [];
  for (const { name, vrf } of domains) {
    const problem = problems.find((each) => each.vrf === vrf && each.code === "BlocksExhausted");
    const room = blocks.some((each) => each.vrf === vrf && each.allocated < each.capacity);
    if (problem === undefined || room) return [];
    reasons.push(`VRFDomain "${name}": ${problem.message}`);
  }
  return reasons;
}
