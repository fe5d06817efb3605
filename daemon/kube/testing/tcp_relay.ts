/** A TCP relay in front of a server, which a test can break as networks break. It knows nothing of TLS. */

/** How a relay is started. */
export interface TcpRelayOptions {
  /** Address of the server, such as `https://127.0.0.1:6443`. */
  readonly server: string;
  /** Address to listen at; the server's when absent. */
  readonly hostname?: string;
}

/** A relay that listens; disposing of it cuts everything. */
export interface TcpRelay extends AsyncDisposable {
  /** Address of the relay, with the server's scheme. */
  readonly url: string;
  /** Connections that are open now. */
  readonly open: number;
  /** Connections that the test cut so far, those that were not admitted among them. */
  readonly cuts: number;
  /** Cuts every connection that is open. */
  cut(): void;
  /** From now on cuts each connection once it has passed so many bytes from the server; undefined for none. */
  cutAfter(bytes: number | undefined): void;
  /** Whether connections are taken from now on; otherwise each is cut at once. */
  admit(admits: boolean): void;
}

/** Starts a relay on a free port. */
export function startTcpRelay(options: TcpRelayOptions): TcpRelay {
  return new Relay(options);
}

interface Pair {
  readonly client: Deno.TcpConn;
  readonly server: Deno.TcpConn;
  /** Bytes that went to the client. */
  passed: number;
}

class Relay implements TcpRelay {
  readonly url: string;
  readonly #listener: Deno.TcpListener;
  readonly #server: { readonly hostname: string; readonly port: number };
  readonly #pairs = new Set<Pair>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #accepting: Promise<void>;
  #limit: number | undefined;
  #admits = true;
  #cuts = 0;

  constructor(options: TcpRelayOptions) {
    const server = new URL(options.server);
    const hostname = options.hostname ?? server.hostname;
    this.#server = { hostname: server.hostname, port: Number(server.port) };
    this.#listener = Deno.listen({ hostname, port: 0 });
    this.url = `${server.protocol}//${hostname}:${this.#listener.addr.port}`;
    this.#accepting = this.#accept();
  }

  get open(): number {
    return this.#pairs.size;
  }

  get cuts(): number {
    return this.#cuts;
  }

  cut(): void {
    for (const pair of [...this.#pairs]) if (this.#end(pair)) this.#cuts += 1;
  }

  cutAfter(bytes: number | undefined): void {
    this.#limit = bytes;
  }

  admit(admits: boolean): void {
    this.#admits = admits;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    this.cut();
    await Promise.all(this.#running);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) this.#track(this.#serve(client));
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    if (!this.#admits) return this.#turnAway(client);
    let server: Deno.TcpConn;
    try {
      server = await Deno.connect(this.#server);
    } catch {
      return close(client);
    }
    const pair = { client, server, passed: 0 };
    this.#pairs.add(pair);
    await Promise.all([
      this.#pass(pair, client, server, () => Infinity),
      this.#pass(pair, server, client, (passed) => {
        const left = (this.#limit ?? Infinity) - pair.passed;
        pair.passed += passed;
        return left;
      }),
    ]);
  }

  async #pass(
    pair: Pair,
    from: Deno.TcpConn,
    to: Deno.TcpConn,
    left: (passed: number) => number,
  ): Promise<void> {
    const buffer = new Uint8Array(16 * 1024);
    try {
      for (;;) {
        const read = await from.read(buffer);
        if (read === null) break;
        const allowed = Math.max(0, left(read));
        await writeAll(to, buffer.subarray(0, Math.min(read, allowed)));
        if (read <= allowed) continue;
        this.#cuts += 1;
        break;
      }
    } catch {
      // Cut, by either side or by the test.
    }
    this.#end(pair);
  }

  #turnAway(client: Deno.TcpConn): void {
    this.#cuts += 1;
    close(client);
  }

  #end(pair: Pair): boolean {
    if (!this.#pairs.delete(pair)) return false;
    close(pair.client);
    close(pair.server);
    return true;
  }
}

async function writeAll(to: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // The other direction was quicker.
  }
}
