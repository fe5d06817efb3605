/** Who answers whom over TCP, all questions at once and without a process for each. */
import { ask, type Question } from "../lab/tcp_question.ts";
import { Answerer, type Namespace } from "./segment.ts";

/** TCP port of whoever answers. */
export const answerPort = 8080;

/** Answers in a namespace with a name and the caller's address, over both IP versions; with `keep` connections stay open. */
export function answerAs(name: string, namespace: Namespace, keep = false): Answerer {
  const withoutMapping = (peer: string) => peer.replace(/^::ffff:(?=[0-9.]+$)/, "");
  const answer = (peer: string) => `${name} ${withoutMapping(peer)}`;
  return new Answerer(namespace, answerPort, answer, "::", keep);
}

/** Somebody who asks, whom, and at which port if it is not the usual one. */
export type Asking = readonly [Namespace, string, number?];

/** Answers as `name address`, with the address that was seen as the caller's; undefined for silence or refusal. */
export async function answersTo(...asking: readonly Asking[]): Promise<(string | undefined)[]> {
  const questions = asking.map(([{ path: netns }, address, port = answerPort]): Question => ({
    netns,
    address,
    port,
  }));
  const answers = await ask(questions);
  return answers.map((answer) => answer === null ? undefined : `${answer.name} ${answer.seen}`);
}
