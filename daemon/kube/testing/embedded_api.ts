/** The embedded API for tests, with clients of what the tests use. */
import { type ApiServer, startApiServer } from "../../apiserver/server.ts";
import { createLogger, type Logger } from "../../log.ts";
import { loadKube } from "../connect.ts";
import type { KubeConnection } from "../transport.ts";

/** A logger that says nothing. */
export const quiet: Logger = createLogger("error", () => {});

/** A server in a folder of its own; it can be stopped and started again on the same port. */
export class EmbeddedApi implements AsyncDisposable {
  /** The way to it. */
  readonly connection: KubeConnection;
  readonly #directory: string;
  #server: ApiServer | undefined;

  private constructor(directory: string, server: ApiServer) {
    this.#directory = directory;
    this.#server = server;
    this.connection = loadKube({ kubeconfigPath: server.kubeconfigPath });
  }

  /** Starts one. */
  static async start(): Promise<EmbeddedApi> {
    const directory = Deno.makeTempDirSync({ prefix: "pr2t-" });
    return new EmbeddedApi(directory, await run(directory, 0));
  }

  /** Stops the server; its data and port stay for {@linkcode EmbeddedApi.restart}. */
  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  /** Starts it again on the same port, with the same data. */
  async restart(): Promise<void> {
    await this.stop();
    this.#server = await run(this.#directory, Number(new URL(this.connection.server).port));
  }

  /** Stops it and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.connection[Symbol.dispose]();
    await this.stop();
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

function run(dataDir: string, port: number): Promise<ApiServer> {
  return startApiServer({ dataDir, host: "127.0.0.1", port, log: quiet });
}
