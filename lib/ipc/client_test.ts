import assert from "node:assert/strict";
import { join } from "node:path";
import { IpcError, JsonConnection } from "./client.ts";
import { maxBodyBytes } from "./messages.ts";

const never = new AbortController().signal;

/** A server that answers each connection with fixed bytes, in pieces of a given size, and then closes it. */
class Script implements AsyncDisposable {
  readonly path: string = join(Deno.makeTempDirSync({ prefix: "pr2t-ipc-" }), "socket");
  readonly #listener: Deno.UnixListener = Deno.listen({ transport: "unix", path: this.path });
  readonly #done: Promise<void>;

  constructor(answer: string, pieceBytes = 1_000_000) {
    this.#done = this.#serve(new TextEncoder().encode(answer), pieceBytes);
  }

  async #serve(answer: Uint8Array, pieceBytes: number): Promise<void> {
    for await (const connection of this.#listener) {
      await connection.read(new Uint8Array(4_096));
      for (let at = 0; at < answer.length; at += pieceBytes) {
        await connection.write(answer.subarray(at, at + pieceBytes)).catch(() => {});
      }
      connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#done;
    Deno.removeSync(join(this.path, ".."), { recursive: true });
  }
}

async function failure(answer: string): Promise<string> {
  await using script = new Script(answer);
  using connection = await JsonConnection.open(script.path);
  try {
    await connection.post("/", "{}", never);
  } catch (thrown) {
    if (thrown instanceof IpcError) return thrown.code;
    throw thrown;
  }
  return "";
}

Deno.test("Nobody at the socket is a typed error that names it", async () => {
  await assert.rejects(
    JsonConnection.open("/nowhere/api"),
    (thrown: unknown) =>
      thrown instanceof IpcError && thrown.code === "DaemonUnreachable" &&
      thrown.message.includes('"/nowhere/api"'),
  );
});

Deno.test("Answers that are no HTTP/1.1 with a JSON body are typed errors", async () => {
  const cases: [string, string][] = [
    ["", "ConnectionLost"],
    ["HTTP/1.1 200 OK\r\n", "ConnectionLost"],
    ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}", "ConnectionLost"],
    ["SSH-2.0-x\r\n\r\n", "MalformedAnswer"],
    ["HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", "MalformedAnswer"],
    ["HTTP/1.1 200 OK\r\n\r\n{}", "MalformedAnswer"],
    ["HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", "MalformedAnswer"],
    ["HTTP/1.1 200 OK\r\nContent-Length: 1e1\r\n\r\n{}", "MalformedAnswer"],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}", "MalformedAnswer"],
    ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{", "MalformedAnswer"],
    [`HTTP/1.1 200 OK\r\nX: ${"x".repeat(40_000)}`, "MalformedAnswer"],
    [`HTTP/1.1 200 OK\r\nContent-Length: ${maxBodyBytes + 1}\r\n\r\n`, "AnswerTooLarge"],
  ];
  for (const [answer, code] of cases) {
    assert.equal(await failure(answer), code, JSON.stringify(answer.slice(0, 80)));
  }
});

Deno.test("An answer may come in any pieces, and its body may be empty", async () => {
  const body = JSON.stringify({ text: "ä€" });
  const length = new TextEncoder().encode(body).length;
  for (const pieceBytes of [1, 2, 7, 1_000]) {
    await using script = new Script(
      `HTTP/1.1 201 Created\r\ncontent-length: ${length}\r\n\r\n${body}`,
      pieceBytes,
    );
    using connection = await JsonConnection.open(script.path);
    assert.deepEqual(await connection.post("/", "{}", never), {
      status: 201,
      body: { text: "ä€" },
    });
  }
  await using script = new Script("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
  using connection = await JsonConnection.open(script.path);
  assert.deepEqual(await connection.post("/", "", never), { status: 204, body: undefined });
});

Deno.test("An abort ends a request that gets no answer", async () => {
  const path = join(Deno.makeTempDirSync({ prefix: "pr2t-ipc-" }), "socket");
  using _listener = Deno.listen({ transport: "unix", path });
  try {
    using connection = await JsonConnection.open(path);
    const controller = new AbortController();
    const posting = connection.post("/", "{}", controller.signal);
    controller.abort(new Error("enough"));
    await assert.rejects(posting, /enough/);
    await assert.rejects(connection.post("/", "{}", controller.signal), /enough/);
  } finally {
    Deno.removeSync(join(path, ".."), { recursive: true });
  }
});
