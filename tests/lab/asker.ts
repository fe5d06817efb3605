/**
 * Asks what it is told to, from where it was started, until it is ended: where programs are emulated, the start of one costs a hundred times as
 * much as its question. Argument: path of its UNIX socket, on which each connection brings questions as JSON and takes the answers.
 */
import { messageOf } from "../../lib/errors.ts";
import { writeAll } from "../../lib/ipc/write_all.ts";
import { readText } from "./read_text.ts";
import { ask, type Question } from "./tcp_question.ts";

async function serve(accepted: Deno.Conn): Promise<void> {
  using connection = accepted;
  const questions: Question[] = JSON.parse(await readText(connection));
  const said = await ask(questions).then(
    (answers) => ({ answers }),
    (error) => ({ error: messageOf(error) }),
  );
  await writeAll(connection, new TextEncoder().encode(JSON.stringify(said)));
}

const [path = ""] = Deno.args;
// Two may start at once: the path always leads to one that listens.
const own = `${path}.${Deno.pid}`;
const listener = Deno.listen({ transport: "unix", path: own });
await Deno.rename(own, path);
for await (const connection of listener) {
  // Whoever asked is gone: nobody waits for an answer.
  serve(connection).catch(() => undefined);
}
