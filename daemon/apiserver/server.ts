/** The embedded Kubernetes API as a running server. */
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { keepServing } from "../../lib/ipc/lasting_server.ts";
import { addressFamily } from "../../lib/net/address.ts";
import type { Logger } from "../log.ts";
import { namespaceKind } from "../resources/core.ts";
import { createApp } from "./app.ts";
import { ApiError } from "./api_error.ts";
import { loadCredentials, prepareDataDir, writeKubeconfig } from "./data_dir.ts";
import type { Presenter } from "./present.ts";
import { createResourceHandler } from "./resource_handler.ts";
import { servedKinds } from "./served_kinds.ts";
import { createResourceService } from "./service.ts";
import type { ResourceService } from "./verbs.ts";
import { openStore, type Store } from "./store.ts";
import { watchEvents, type WatchRequest } from "./watch_stream.ts";

/** How {@linkcode startApiServer} is set up. */
export interface ApiServerOptions {
  /** Directory of objects, certificates and token; made, and closed to other users. */
  readonly dataDir: string;
  /** Address to listen on, and on no other. */
  readonly host: string;
  /** TCP port; 0 takes a free one. */
  readonly port: number;
  /** Where the kubeconfig goes; `kubeconfig` in the data directory unless given. */
  readonly kubeconfigPath?: string | undefined;
  /** Address or name by which clients reach it, for the kubeconfig and the certificate; `host` unless given. */
  readonly advertise?: string | undefined;
  /** Stops the server. */
  readonly signal?: AbortSignal | undefined;
  /** Where the server says what it does. */
  readonly log: Logger;
  /** Changes that the history keeps at least: watchers further behind must list again. */
  readonly history?: number | undefined;
  /** Time between bookmarks of a watch, in milliseconds; a minute unless given. */
  readonly bookmarkInterval?: number | undefined;
}

/** A running server; disposing stops it. */
export interface ApiServer extends AsyncDisposable {
  /** `https://address:port`. */
  readonly url: string;
  /** Where the kubeconfig is. */
  readonly kubeconfigPath: string;
  /** Resolves once it has stopped and its files are closed. */
  readonly finished: Promise<void>;
}

/** How long a stop waits for requests under way, in milliseconds. */
const stopGrace = 2_000;
/** Age at which events are dropped, as a cluster does, in milliseconds. */
const eventLifetime = 3600_000;
const eventSweepInterval = 300_000;

/**
 * Starts the embedded API. A restart on the same directory keeps objects, versions, token and certificates.
 *
 * @throws {StoreError} `StoreUnavailable` when another server uses the directory
 * @throws {Deno.errors.AddrInUse} When the port is taken
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { dataDir, host, log } = options;
  const now = () => new Date();
  await prepareDataDir(dataDir);
  const reached = options.advertise ?? (["0.0.0.0", "::"].includes(host) ? "127.0.0.1" : host);
  const hosts = [...new Set([reached, ...certifiable(host), "localhost", "127.0.0.1"])];
  const credentials = await loadCredentials(dataDir, hosts, now());
  const store = openStore(join(dataDir, "objects.sqlite"), { history: options.history ?? 10_000 });
  const watches = new Set<AbortController>();
  try {
    const service = createResourceService({ store, now, randomUuid: () => crypto.randomUUID() });
    ensureDefaultNamespace(service);
    const resources = createResourceHandler({
      store,
      service,
      now,
      watch: (request, presenter) => watchResponse(store, request, presenter, watches, log),
      bookmarkInterval: options.bookmarkInterval ?? 60_000,
    });
    const kill = new AbortController();
    const app = createApp({ token: credentials.token, resources, log });
    const server = keepServing<Deno.NetAddr>({
      start: (signal, addr) =>
        Deno.serve({
          hostname: host,
          port: addr?.port ?? options.port,
          cert: credentials.server.certificate,
          key: credentials.server.key,
          signal: AbortSignal.any([signal, kill.signal]),
          onListen: () => {},
          onError: (error) => {
            log.warn("connection failed", { error: messageOf(error) });
            return new Response(null, { status: 500 });
          },
        }, app),
      ended: (cause) => log.error("embedded API is opened anew", { error: messageOf(cause) }),
    });
    const url = `https://${bracketed(reached)}:${server.addr.port}`;
    const kubeconfigPath = options.kubeconfigPath ?? join(dataDir, "kubeconfig");
    await writeKubeconfig(kubeconfigPath, url, credentials);
    const sweep = setInterval(() => dropOldEvents(store, service, now()), eventSweepInterval);
    log.info("embedded API serves", { url, dataDir });

    const finished = Promise.withResolvers<void>();
    let stopping: Promise<void> | undefined;
    const stop = (): Promise<void> =>
      stopping ??= (async () => {
        clearInterval(sweep);
        options.signal?.removeEventListener("abort", stop);
        for (const watch of watches) watch.abort();
        const timer = setTimeout(() => kill.abort(), stopGrace);
        await server.shutdown();
        clearTimeout(timer);
        store[Symbol.dispose]();
        log.info("embedded API stopped", { url });
        finished.resolve();
      })();
    options.signal?.addEventListener("abort", stop);
    if (options.signal?.aborted === true) void stop();
    return { url, kubeconfigPath, finished: finished.promise, [Symbol.asyncDispose]: stop };
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
}

function certifiable(host: string): readonly string[] {
  return ["0.0.0.0", "::"].includes(host) ? [] : [host];
}

function bracketed(host: string): string {
  return addressFamily(host) === 6 ? `[${host}]` : host;
}

function servedBy(plural: string) {
  return servedKinds.filter(({ kind }) => kind.group === "" && kind.plural === plural);
}

/** A cluster has it from the start, and kubectl uses it where none is named. */
function ensureDefaultNamespace(service: ResourceService): void {
  for (const served of servedBy(namespaceKind.plural)) {
    try {
      service.get({ served, namespace: "", name: "default", subresource: "" });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      service.create(
        { served, namespace: "", subresource: "" },
        { metadata: { name: "default" } },
        { dryRun: false, fieldValidation: "Ignore", warn: () => {} },
      );
    }
  }
}

function dropOldEvents(store: Store, service: ResourceService, now: Date): void {
  for (const served of servedBy("events")) {
    for (const { metadata } of store.list(served.resource, "").items) {
      if (now.getTime() - Date.parse(metadata.creationTimestamp) < eventLifetime) continue;
      const { name, namespace = "" } = metadata;
      service.delete({ served, namespace, name, subresource: "" }, { dryRun: false });
    }
  }
}

function watchResponse(
  store: Store,
  request: WatchRequest,
  presenter: Presenter,
  watches: Set<AbortController>,
  log: Logger,
): Response {
  const abort = new AbortController();
  watches.add(abort);
  const events = watchEvents(store, request, presenter.object, presenter.bookmark, abort.signal);
  const encoder = new TextEncoder();
  let gone = false;
  const end = async () => {
    watches.delete(abort);
    abort.abort();
    await events.return();
  };
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    // Nothing is read ahead of the client.
    async pull(controller) {
      try {
        const { done, value } = await events.next();
        if (gone) return;
        if (done !== true) controller.enqueue(encoder.encode(JSON.stringify(value) + "\n"));
        else {
          await end();
          controller.close();
        }
      } catch (error) {
        log.error("watch failed", { error: messageOf(error) });
        await end();
        controller.error(error);
      }
    },
    cancel: async () => {
      gone = true;
      await end();
    },
  }, { highWaterMark: 0 });
  return new Response(body, { headers: { "content-type": "application/json" } });
}
