/** The least client of a Kubernetes API that the case suite needs: it shows answers as they are, refusals too. */
import assert from "node:assert/strict";
import { parse } from "yaml";
import { z } from "zod";

/** A JSON object without a known form; cases look into it with {@linkcode at}. */
export type Json = Record<string, unknown>;

/** An answer as it came. */
export interface Answer {
  /** HTTP status. */
  readonly status: number;
  /** The body. */
  readonly body: Json;
  /** Warnings in the header. */
  readonly warnings: string;
}

/** How a request is made. */
export interface AskOptions {
  /** Body, sent as JSON; text is sent as it is. */
  readonly body?: unknown;
  /** Media type of the body. */
  readonly type?: string;
  /** Accept header. */
  readonly accept?: string;
}

/** A watch that is open. */
export interface OpenWatch extends AsyncDisposable {
  /** The next event; undefined at the end of the watch. */
  next(): Promise<Json | undefined>;
}

/** A Kubernetes API as the cases see it. */
export interface ApiClient extends Disposable {
  /** Makes a request and takes any answer. */
  ask(method: string, path: string, options?: AskOptions): Promise<Answer>;
  /** Opens a watch, which must be granted. */
  watch(path: string, accept?: string): Promise<OpenWatch>;
}

const kubeconfigSchema = z.object({
  clusters: z.array(z.object({
    cluster: z.object({ server: z.string(), "certificate-authority-data": z.string() }),
  })).min(1),
  users: z.array(z.object({
    user: z.object({
      token: z.string().optional(),
      "client-certificate-data": z.string().optional(),
      "client-key-data": z.string().optional(),
    }),
  })).min(1),
});

/** Connects with the first cluster and user of a kubeconfig. */
export async function connectByKubeconfig(path: string, token?: string): Promise<ApiClient> {
  const config = kubeconfigSchema.parse(parse(await Deno.readTextFile(path)));
  const [cluster, user] = [config.clusters[0]?.cluster, config.users[0]?.user];
  assert.ok(cluster !== undefined && user !== undefined);
  const [cert, key] = [user["client-certificate-data"], user["client-key-data"]];
  const client = Deno.createHttpClient({
    caCerts: [atob(cluster["certificate-authority-data"])],
    ...(cert === undefined || key === undefined ? {} : { cert: atob(cert), key: atob(key) }),
  });
  const bearer = token ?? user.token;
  const open = async (method: string, path: string, options: AskOptions, signal: AbortSignal) => {
    const headers = new Headers({ accept: options.accept ?? "application/json" });
    if (bearer !== undefined) headers.set("authorization", `Bearer ${bearer}`);
    const { body } = options;
    if (body !== undefined) headers.set("content-type", options.type ?? "application/json");
    return await fetch(`${cluster.server}${path}`, {
      method,
      headers,
      client,
      signal,
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  };
  return {
    ask: async (method, path, options = {}) => {
      const response = await open(method, path, options, AbortSignal.timeout(30_000));
      const text = await response.text();
      const body: unknown = text.startsWith("{") ? JSON.parse(text) : { text };
      assert.ok(isJson(body));
      return { status: response.status, body, warnings: response.headers.get("warning") ?? "" };
    },
    watch: async (path, accept) => {
      const abort = new AbortController();
      const options = accept === undefined ? {} : { accept };
      const response = await open("GET", path, options, abort.signal);
      if (response.status !== 200) assert.fail(`watch refused: ${await response.text()}`);
      assert.ok(response.body !== null);
      return openWatch(response.body, abort);
    },
    [Symbol.dispose]: () => client.close(),
  };
}

function openWatch(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  abort: AbortController,
): OpenWatch {
  const lines = readLines(body.pipeThrough(new TextDecoderStream()));
  // An event that never comes must fail the case, not hang it.
  const deadline = setTimeout(() => abort.abort(new Error("no event within 30 s")), 30_000);
  return {
    next: async () => {
      const { done, value } = await lines.next();
      if (done === true) return undefined;
      const event: unknown = JSON.parse(value);
      assert.ok(isJson(event));
      return event;
    },
    [Symbol.asyncDispose]: async () => {
      clearTimeout(deadline);
      abort.abort();
      await lines.return(undefined).catch(() => {});
    },
  };
}

async function* readLines(text: ReadableStream<string>): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const chunk of text) {
    const lines = `${rest}${chunk}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") yield line;
  }
  return undefined;
}

/** Whether a value is a JSON object. */
export function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value at a dotted path, such as `metadata.name` or `items.0.spec`. */
export function at(root: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((value, key) => {
    if (Array.isArray(value)) return value[Number(key)];
    return isJson(value) ? value[key] : undefined;
  }, root);
}

/** Text at a path, which must be there. */
export function textAt(root: unknown, path: string): string {
  const value = at(root, path);
  assert.equal(typeof value, "string", `expected text at "${path}" in ${JSON.stringify(root)}`);
  return String(value);
}

/** The list at a path, which must be there. */
export function listAt(root: unknown, path: string): readonly unknown[] {
  const value = at(root, path);
  assert.ok(Array.isArray(value), `expected a list at "${path}" in ${JSON.stringify(root)}`);
  return value;
}
