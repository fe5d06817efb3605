/** Measures who answers whom. */
import type { Lab } from "./lab.ts";
import { podNetns } from "./pods.ts";
import { askOn } from "./questions.ts";
import type { Question } from "./tcp_question.ts";
import { answerPort, type Cell } from "./topology.ts";

/** A cell with what was measured. */
export interface MeasuredCell extends Cell {
  /** Who answered; null for nobody. */
  readonly observed: string | null;
  /** The address that the one who answered saw as the caller's. */
  readonly seen: string | null;
}

/**
 * Measures all cells once, from within the sources' namespaces.
 *
 * @param home Node of each source, by the source's name
 */
export async function measure(
  lab: Lab,
  cells: readonly Cell[],
  home: ReadonlyMap<string, string>,
): Promise<MeasuredCell[]> {
  const perNode = await Promise.all(lab.nodes.map(async (node) => {
    const mine = cells.filter((cell) => home.get(cell.from) === node.name);
    const questions = mine.map((cell): Question => ({
      netns: cell.from === node.name ? null : podNetns({ name: cell.from }),
      address: cell.address,
      port: answerPort,
    }));
    const found = await askOn(lab, node.name, questions);
    return mine.map((cell, index): MeasuredCell => {
      const answer = found[index] ?? null;
      return { ...cell, observed: answer?.name ?? null, seen: answer?.seen ?? null };
    });
  }));
  return perNode.flat();
}

/** Cells whose measure is not what was expected. */
export function mismatches(cells: readonly MeasuredCell[]): MeasuredCell[] {
  return cells.filter(({ expected, observed }) => expected !== observed);
}
