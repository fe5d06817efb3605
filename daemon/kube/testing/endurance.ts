/** A client that is watched from outside while its connections are cut: see endurance_client.ts. */
import { z } from "zod";
import type { EnduranceState } from "./endurance_client.ts";

const stateSchema: z.ZodType<EnduranceState> = z.object({
  connected: z.boolean(),
  restarts: z.number(),
  descriptors: z.number(),
  content: z.array(z.string()),
});

const snapshotSchema = z.object({
  snapshot: z.object({
    meta: z.object({
      node_fields: z.array(z.string()),
      node_types: z.tuple([z.array(z.string())]).rest(z.unknown()),
    }),
  }),
  nodes: z.array(z.number()),
  strings: z.array(z.string()),
});

/** How many objects and closures of each name live in a heap. */
export type Census = ReadonlyMap<string, number>;

/** A client in a process of its own. */
export class EnduranceClient implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: AsyncIterator<string>;
  readonly #directory: string;

  /** Starts it. @param kubeconfigPath What it connects by */
  constructor(kubeconfigPath: string) {
    this.#directory = Deno.makeTempDirSync({ prefix: "pr2t-" });
    const script = new URL("./endurance_client.ts", import.meta.url).pathname;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--quiet", "--no-check", script, kubeconfigPath],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.#lines = linesOf(this.#child.stdout);
  }

  /** Asks how it stands. */
  state(): Promise<EnduranceState> {
    return this.#ask("");
  }

  /** Counts what lives in its heap after everything that can be collected has been. */
  async census(): Promise<Census> {
    const path = `${this.#directory}/heap`;
    await this.#ask(path);
    const text = await Deno.readTextFile(path);
    await Deno.remove(path);
    return censusOf(text);
  }

  /** Ends it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stdin.close().catch(() => {});
    await this.#lines.return?.();
    await this.#child.status;
    await Deno.remove(this.#directory, { recursive: true });
  }

  async #ask(question: string): Promise<EnduranceState> {
    await this.#stdin.write(new TextEncoder().encode(`${question}\n`));
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("The client has ended");
    return stateSchema.parse(JSON.parse(value));
  }
}

/** What V8 writes of a heap: each node a run of numbers (v8/src/profiler/heap-snapshot-generator.cc). */
function censusOf(text: string): Census {
  const { snapshot: { meta }, nodes, strings } = snapshotSchema.parse(JSON.parse(text));
  const width = meta.node_fields.length;
  const typeAt = meta.node_fields.indexOf("type");
  const nameAt = meta.node_fields.indexOf("name");
  const census = new Map<string, number>();
  for (let node = 0; node < nodes.length; node += width) {
    const type = meta.node_types[0][nodes[node + typeAt] ?? 0];
    // All else is the engine's own: code and its like come and go with how hot a function is.
    if (type !== "object" && type !== "closure") continue;
    const key = `${type} ${strings[nodes[node + nameAt] ?? 0]}`;
    census.set(key, (census.get(key) ?? 0) + 1);
  }
  return census;
}

/** What there is more of than before, by at least `least`. */
export function grown(before: Census, after: Census, least: number): string[] {
  return [...after].map(([name, count]) => ({ name, by: count - (before.get(name) ?? 0) }))
    .filter(({ by }) => by >= least).map(({ name, by }) => `${by} × ${name}`);
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
