/** Looks at everything once and compares it with what must be. */
import type { Lab, RunningNode } from "../lab/lab.ts";
import { compareFacts, type Difference, differenceLines } from "./compare.ts";
import { claimProblems, expectApi, expectJournal } from "./expect_claims.ts";
import { expectFrr } from "./expect_frr.ts";
import { expectHost } from "./expect_host.ts";
import { expectPods, expectVrfs } from "./expect_vrf.ts";
import { observeNode } from "./observe.ts";
import { observeApi, observeJournal } from "./observe_claims.ts";
import { toleratedFacts } from "./tolerated.ts";
import type { World } from "./world.ts";

/** What must be and what is, of one node. */
async function compareNode(world: World, node: RunningNode): Promise<readonly string[]> {
  const [facts, journal] = await Promise.all([observeNode(node), observeJournal(node)]);
  const tolerated = toleratedFacts(world, node);
  const parts: readonly Difference[] = [
    compareFacts(expectHost(world, node.name), facts.host),
    compareFacts(expectVrfs(world, node), facts.vrfs, tolerated),
    compareFacts(expectPods(world, node), facts.pods),
    compareFacts(expectFrr(world, node), facts.frr, tolerated),
    compareFacts(expectJournal(world, node.name), journal),
  ];
  return parts.flatMap(differenceLines).map((line) => `${node.name}: ${line}`);
}

/**
 * Everything that differs from what must be, in lines; none when all agrees. Which blocks there are is taken from the API.
 *
 * @param wanted All but the blocks
 * @throws {Error} When something cannot be looked at
 */
export async function compareLab(
  lab: Lab,
  wanted: Omit<World, "blocks">,
): Promise<readonly string[]> {
  const { blocks, facts } = await observeApi(lab);
  const world: World = { ...wanted, blocks };
  const nodes = await Promise.all(lab.nodes.map((node) => compareNode(world, node)));
  return [
    ...differenceLines(compareFacts(expectApi(world), facts)).map((line) => `API: ${line}`),
    ...claimProblems(world).map((problem) => `addresses: ${problem}`),
    ...nodes.flat(),
  ];
}
