/** Asking over TCP from the lab's machines and the pods on them. */
import { z } from "zod";
import { connectIfListening } from "../../lib/ipc/connect_if_listening.ts";
import { writeAll } from "../../lib/ipc/write_all.ts";
import type { Holder } from "./holder.ts";
import type { Lab } from "./lab.ts";
import { patience } from "./patience.ts";
import { until } from "./process.ts";
import { readText } from "./read_text.ts";
import type { Answer, Question } from "./tcp_question.ts";

const said = z.object({
  answers: z.array(z.union([z.null(), z.object({ name: z.string(), seen: z.string() })]))
    .optional(),
  error: z.string().optional(),
});

/** Asks questions from a node. */
export async function askOn(
  lab: Lab,
  nodeName: string,
  questions: readonly Question[],
): Promise<Answer[]> {
  const node = lab.nodes.find(({ name }) => name === nodeName);
  if (node === undefined) throw new Error(`The lab has no node "${nodeName}"`);
  return await askFrom(lab, node.holder, questions);
}

/**
 * Asks questions from any machine, by a program that stays there.
 *
 * @throws {Error} When they cannot be asked, such as from a namespace that is not there
 */
export async function askFrom(
  lab: { readonly directory: string },
  machine: Holder,
  questions: readonly Question[],
): Promise<Answer[]> {
  const path = `${lab.directory}/${machine.name}-asker.sock`;
  // A machine's programs end when it is rebooted, and leave their sockets.
  using connection = await connectIfListening(path) ?? await startAsker(lab, machine, path);
  await writeAll(connection, new TextEncoder().encode(JSON.stringify(questions)));
  await connection.closeWrite();
  const { answers, error } = said.parse(JSON.parse(await readText(connection)));
  if (answers === undefined) throw new Error(`"${machine.name}" could not ask: ${error}`);
  return answers;
}

async function startAsker(
  lab: { readonly directory: string },
  machine: Holder,
  path: string,
): Promise<Deno.UnixConn> {
  const script = new URL("./asker.ts", import.meta.url).pathname;
  machine.start([Deno.execPath(), "run", "-A", "--no-check", "--quiet", script, path], {
    log: `${lab.directory}/${machine.name}-asker.log`,
  });
  return await until(
    `somebody to ask on "${machine.name}"`,
    patience,
    () => connectIfListening(path),
  );
}
