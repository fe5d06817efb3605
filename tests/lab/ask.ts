/** Reads questions as JSON from stdin, asks them from where it was started, writes the answers as JSON. */
import { ask, type Question } from "./tcp_question.ts";

const questions: Question[] = JSON.parse(await new Response(Deno.stdin.readable).text());
console.log(JSON.stringify(await ask(questions)));
