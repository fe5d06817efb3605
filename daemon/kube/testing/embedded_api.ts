/** The embedded API for tests, with clients of what the tests use. */
import { randomBytes } from "node:crypto";
import { loadCredentials } from "../../apiserver/data_dir.ts";
import { type ApiServer, startApiServer } from "../../apiserver/server.ts";
import { createLogger, type Logger } from "../../log.ts";
import { leaseKind } from "../../resources/core.ts";
import { loadKube } from "../connect.ts";
import { createResourceClient } from "../resource_client.ts";
import type { KubeConnection } from "../transport.ts";
import type { ClientCaseApi } from "./case_api.ts";
import { randomLoopback } from "./loopback.ts";

/** A logger that says nothing. */
export const quiet: Logger = createLogger("error", () => {});

/** A server in a folder of its own; it can be stopped and started again on the same port. */
export class EmbeddedApi implements ClientCaseApi, AsyncDisposable {
  /** The way to it. */
  readonly connection: KubeConnection;
  /** Its certificate authority in PEM. */
  readonly authority: string;
  readonly #directory: string;
  #token: string;
  #server: ApiServer | undefined;

  private constructor(directory: string, server: ApiServer, authority: string, token: string) {
    this.#directory = directory;
    this.#server = server;
    this.authority = authority;
    this.#token = token;
    this.connection = loadKube({ kubeconfigPath: server.kubeconfigPath });
  }

  /** Starts one. */
  static async start(): Promise<EmbeddedApi> {
    const directory = Deno.makeTempDirSync({ prefix: "pr2t-" });
    const host = randomLoopback();
    const server = await run(directory, host, 0);
    const { ca, token } = await loadCredentials(directory, [host], new Date());
    return new EmbeddedApi(directory, server, ca, token);
  }

  /** The bearer token that it takes now. */
  get token(): string {
    return this.#token;
  }

  /** Stops the server; its data and port stay for {@linkcode EmbeddedApi.restart}. */
  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  /** Starts it again on the same port, with the same data; keeps as many changes as it is told, at least. */
  async restart(history?: number): Promise<void> {
    await this.stop();
    const { hostname, port } = new URL(this.connection.server);
    this.#server = await run(this.#directory, hostname, Number(port), history);
  }

  /** Makes it forget the history, by a restart and a few changes. */
  async forgetHistory(): Promise<void> {
    await this.restart(1);
    const leases = createResourceClient(this.connection, leaseKind);
    const name = `filler-${randomBytes(4).toString("hex")}`;
    await leases.create({ metadata: { name, namespace: "default" }, spec: {} });
    await leases.patch(`default/${name}`, { metadata: { labels: { filler: "yes" } } });
    await leases.delete(`default/${name}`);
  }

  /** Gives it another token, by a restart. */
  async renewToken(): Promise<string> {
    await this.stop();
    this.#token = randomBytes(32).toString("base64url");
    Deno.writeTextFileSync(`${this.#directory}/token`, this.#token);
    await this.restart();
    return this.#token;
  }

  /** Stops it and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.connection[Symbol.dispose]();
    await this.stop();
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

function run(
  dataDir: string,
  host: string,
  port: number,
  history?: number,
): Promise<ApiServer> {
  return startApiServer({ dataDir, host, port, log: quiet, history });
}
