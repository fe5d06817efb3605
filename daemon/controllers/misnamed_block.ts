/** What the manager says of an IPBlock that claims nothing. Pure. */
import { nameProblem } from "../ipam/block_conditions.ts";
import { type Condition, setCondition } from "../resources/conditions.ts";
import type { IPBlock, IPBlockStatus } from "../resources/ip_block.ts";

/** The status of a block whose name is not that of its spec; undefined for one that a node can hold and tell of. */
export function misnamedBlockStatus(block: IPBlock, now: Date): IPBlockStatus | undefined {
  const problem = nameProblem(block);
  if (problem === undefined) return undefined;
  const { message } = problem;
  const conditions = [
    { type: "Accepted", status: "False" as const, ...problem },
    { type: "Ready", status: "False" as const, reason: "Refused", message },
  ];
  return {
    ...block.status,
    conditions: conditions.reduce<readonly Condition[]>(
      (set, next) =>
        setCondition(set, { ...next, observedGeneration: block.metadata.generation }, now),
      block.status?.conditions ?? [],
    ),
  };
}
