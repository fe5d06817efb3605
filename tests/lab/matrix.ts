/** Measures who answers whom. */
import { z } from "zod";
import type { Lab } from "./lab.ts";
import { podNetns } from "./pods.ts";
import type { Answer, Question } from "./tcp_question.ts";
import { answerPort, type Cell } from "./topology.ts";

/** A cell with what was measured. */
export interface MeasuredCell extends Cell {
  /** Who answered; null for nobody. */
  readonly observed: string | null;
  /** The address that the one who answered saw as the caller's. */
  readonly seen: string | null;
}

const answers = z.array(z.union([z.null(), z.object({ name: z.string(), seen: z.string() })]));

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

/** Asks questions from a node. */
export async function askOn(
  lab: Lab,
  nodeName: string,
  questions: readonly Question[],
): Promise<Answer[]> {
  const node = lab.nodes.find(({ name }) => name === nodeName);
  if (node === undefined) throw new Error(`The lab has no node "${nodeName}"`);
  const script = new URL("./ask.ts", import.meta.url).pathname;
  const output = await node.holder.run(
    [Deno.execPath(), "run", "-A", "--no-check", "--quiet", script],
    { stdin: JSON.stringify(questions) },
  );
  return answers.parse(JSON.parse(output));
}

/** Cells whose measure is not what was expected. */
export function mismatches(cells: readonly MeasuredCell[]): MeasuredCell[] {
  return cells.filter(({ expected, observed }) => expected !== observed);
}
