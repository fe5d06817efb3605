/** What a node says of its own blocks, and what is wrong with objects that claim nothing. Pure. */
import type { Condition } from "../resources/conditions.ts";
import { type IPBlock, ipBlockName } from "../resources/ip_block.ts";
import { specRange } from "./block_claims.ts";
import type { PoolProblem } from "./port.ts";

/** A condition before it is known since when it holds. */
export type Verdict = Omit<Condition, "lastTransitionTime">;

/**
 * The conditions of a block that this node holds: whether addresses are given from it, and whether they are their pods' alone on
 * this node.
 *
 * @param name Name of the IPBlock
 * @param problems What is wrong with the node's blocks
 */
export function blockConditions(name: string, problems: readonly PoolProblem[]): Verdict[] {
  const mine = problems.filter(({ block }) => block === name);
  const verdict = (type: string, holds: string, code: string): Verdict => {
    const problem = mine.find((each) => each.code === code);
    return problem === undefined
      ? { type, status: "True", reason: holds, message: "" }
      : { type, status: "False", reason: code, message: problem.message };
  };
  return [verdict("Ready", "Held", "BlockDisputed"), verdict("Unique", "Unique", "BlockOverlap")];
}

/** Why an IPBlock claims nothing, whatever its spec says; undefined where its name is that of its spec. */
export function nameProblem(
  object: IPBlock,
): { readonly reason: string; readonly message: string } | undefined {
  const { metadata, spec } = object;
  const range = specRange(object);
  if (range === undefined) return undefined;
  const name = ipBlockName(spec.vrfTable, range.cidr);
  if (name === metadata.name) return undefined;
  return {
    reason: "NameMismatch",
    message: `Expected the name "${name}" for "${spec.cidr}" of VRF ${spec.vrfTable}, found ` +
      `"${metadata.name}": the name is the claim, so that no node uses this object; create it anew`,
  };
}
