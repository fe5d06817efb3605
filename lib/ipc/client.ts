/**
 * HTTP/1.1 over a UNIX socket, as much of it as the plugin needs: written by hand because `fetch` with a client for the socket
 * costs every start 15 ms more.
 */
import { CodedError } from "../errors.ts";
import { maxBodyBytes } from "./messages.ts";
import { writeAll } from "./write_all.ts";

/**
 * The exchange with the daemon failed.
 *
 * Codes: `DaemonUnreachable` (nobody listens at the socket), `ConnectionLost`, `MalformedAnswer`, `AnswerTooLarge`.
 */
export class IpcError extends CodedError {}

/** An answer: status and parsed JSON body. */
export interface JsonAnswer {
  /** HTTP status code. */
  readonly status: number;
  /** Parsed body; undefined when it is empty. */
  readonly body: unknown;
}

const maxHeadBytes = 16 * 1024;

/** One connection to the daemon, for several requests one after another. */
export class JsonConnection implements Disposable {
  readonly #connection: Deno.Conn;
  readonly #path: string;
  #rest: Uint8Array<ArrayBuffer> = new Uint8Array();

  private constructor(connection: Deno.Conn, path: string) {
    this.#connection = connection;
    this.#path = path;
  }

  /**
   * Connects to the socket at `path`.
   *
   * @throws {IpcError} `DaemonUnreachable`
   */
  static async open(path: string): Promise<JsonConnection> {
    try {
      return new JsonConnection(await Deno.connect({ transport: "unix", path }), path);
    } catch (cause) {
      throw new IpcError(
        "DaemonUnreachable",
        `Expected the daemon to listen on "${path}", found nobody there; check that the daemon runs on this node`,
        { cause },
      );
    }
  }

  /**
   * Sends a POST with a JSON text and waits for the answer. One at a time.
   *
   * An abort closes the connection, which tells the daemon that nobody waits any more.
   *
   * @throws {IpcError} `ConnectionLost`, `MalformedAnswer`, `AnswerTooLarge`
   * @throws The signal's reason after an abort
   */
  async post(target: string, json: string, signal: AbortSignal): Promise<JsonAnswer> {
    signal.throwIfAborted();
    const close = () => this[Symbol.dispose]();
    signal.addEventListener("abort", close, { once: true });
    try {
      await this.#send(target, json);
      return await this.#receive();
    } catch (thrown) {
      signal.throwIfAborted();
      if (thrown instanceof IpcError) throw thrown;
      throw this.#lost({ cause: thrown });
    } finally {
      signal.removeEventListener("abort", close);
    }
  }

  /** Closes the connection; does nothing the second time. */
  [Symbol.dispose](): void {
    try {
      this.#connection.close();
    } catch (thrown) {
      if (!(thrown instanceof Deno.errors.BadResource)) throw thrown;
    }
  }

  async #send(target: string, json: string): Promise<void> {
    const body = new TextEncoder().encode(json);
    const head = new TextEncoder().encode(
      `POST ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n`,
    );
    await writeAll(this.#connection, concat(head, body));
  }

  async #receive(): Promise<JsonAnswer> {
    let end = endOfHead(this.#rest);
    while (end < 0) {
      if (this.#rest.length > maxHeadBytes) throw malformed("a header of more than 16 KiB");
      await this.#fill();
      end = endOfHead(this.#rest);
    }
    const head = parseHead(new TextDecoder().decode(this.#rest.subarray(0, end)));
    this.#rest = this.#rest.subarray(end);
    while (this.#rest.length < head.contentLength) await this.#fill();
    const body = new TextDecoder().decode(this.#rest.subarray(0, head.contentLength));
    this.#rest = this.#rest.subarray(head.contentLength);
    return { status: head.status, body: parseBody(body) };
  }

  async #fill(): Promise<void> {
    const chunk = new Uint8Array(16 * 1024);
    const count = await this.#connection.read(chunk);
    if (count === null) throw this.#lost();
    this.#rest = concat(this.#rest, chunk.subarray(0, count));
  }

  #lost(options?: ErrorOptions): IpcError {
    return new IpcError(
      "ConnectionLost",
      `Expected an answer of the daemon at "${this.#path}", found the connection closed; the daemon may have been restarted`,
      options,
    );
  }
}

function parseHead(head: string): { status: number; contentLength: number } {
  const lines = head.split("\r\n");
  const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(lines[0] ?? "")?.[1];
  if (status === undefined) throw malformed("no HTTP/1.1 status line");
  let contentLength: number | undefined;
  for (const line of lines.slice(1)) {
    const at = line.indexOf(":");
    const name = line.slice(0, at).toLowerCase();
    if (name === "transfer-encoding") throw malformed("a body in chunks");
    if (name === "content-length") {
      const value = line.slice(at + 1).trim();
      if (!/^\d{1,15}$/.test(value)) throw malformed("a content length that is no number");
      contentLength = Number(value);
    }
  }
  if (contentLength === undefined) throw malformed("no content length");
  if (contentLength > maxBodyBytes) {
    throw new IpcError(
      "AnswerTooLarge",
      `Expected an answer of at most ${maxBodyBytes} bytes, found one of ${contentLength}`,
    );
  }
  return { status: Number(status), contentLength };
}

function parseBody(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw malformed("a body that is no JSON", { cause });
  }
}

function endOfHead(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(13); at >= 0; at = bytes.indexOf(13, at + 1)) {
    if (bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) return at + 4;
  }
  return -1;
}

function concat(left: Uint8Array, right: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(left.length + right.length);
  both.set(left);
  both.set(right, left.length);
  return both;
}

function malformed(found: string, options?: ErrorOptions): IpcError {
  return new IpcError(
    "MalformedAnswer",
    `Expected an HTTP/1.1 answer of the daemon, found ${found}; check that the socket is the daemon's`,
    options,
  );
}
