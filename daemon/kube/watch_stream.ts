import { z } from "zod";
import { errorOfStatus, errorOfTransport, isKubeError, KubeError } from "./kube_error.ts";
import type { KubeConnection } from "./transport.ts";

/** What a {@linkcode WatchStream} tells besides the events themselves. */
export interface WatchHooks {
  /** The informer has taken over the list, if it made one, and asks for a watch. */
  readonly started: () => void;
  /** The server accepted the watch. */
  readonly opened: () => void;
  /** Something arrived: an event or a bookmark. */
  readonly alive: () => void;
  /** Prepares an event's object for the informer; undefined takes it out of the cache. */
  readonly admit: (object: unknown) => unknown;
  /** An object is gone. */
  readonly gone: (object: unknown) => void;
}

/** Limits of one watch. */
export interface WatchLimits {
  /** How long the server keeps a watch open, in milliseconds. */
  readonly lifetimeMs: number;
  /** Silence after which the connection counts as dead, in milliseconds. Servers send a bookmark about once a minute. */
  readonly silenceMs: number;
}

/** The server ended the watch in the ordinary way. */
export class WatchEnded extends Error {}

/** The least share of its lifetime after which a server is asked to end a watch. */
export const shortestLife = 0.5;

/** Longest event, in characters; etcd's limit for an object is 1.5 MiB. */
const longestLine = 32 * 1024 * 1024;

/** A server that lost its data may refuse our version in its own way: after so many failures the list is made anew. */
const failuresBeforeList = 3;

const eventSchema = z.object({ type: z.string(), object: z.unknown() });
const versionSchema = z.object({ metadata: z.object({ resourceVersion: z.string() }) });
const statusSchema = z.object({ code: z.number().catch(500) });

/**
 * The watch that client-node's informer uses, over our connection.
 *
 * client-node 1.4.0's own cannot be aborted before the server answers (the socket stays for good), waits for ever on a
 * dead connection, drops every ERROR event but 410, connects again at once however often it fails, and opens a TLS
 * connection each time. This one ends each watch with an error, so that the informer stops and its supervisor decides.
 */
export class WatchStream {
  readonly #connection: KubeConnection;
  readonly #limits: WatchLimits;
  readonly #hooks: WatchHooks;
  readonly #stop: AbortSignal;
  #failures = 0;
  readonly #running = new Set<Promise<void>>();

  /**
   * Makes it; nothing is sent yet.
   *
   * @param connection The way to the server
   * @param limits Limits of each watch
   * @param hooks What to tell
   * @param stop Ends the watch that runs, and keeps later ones from starting
   */
  constructor(
    connection: KubeConnection,
    limits: WatchLimits,
    hooks: WatchHooks,
    stop: AbortSignal,
  ) {
    this.#connection = connection;
    this.#limits = limits;
    this.#hooks = hooks;
    this.#stop = stop;
  }

  /** Starts a watch and returns at once; `done` is called once, always with an error. */
  watch(
    path: string,
    query: Record<string, string | number | boolean | undefined>,
    callback: (phase: string, object: unknown) => void,
    done: (error: unknown) => void,
  ): Promise<AbortController> {
    this.#hooks.started();
    const controller = new AbortController();
    const run = this.#run(path, query, callback, controller).then(
      () => done(new WatchEnded("The server ended the watch")),
      (thrown) => {
        this.#failures += 1;
        // Given 410 as the end, the informer would list again at once, for ever. Given as an event it forgets its
        // version, and the supervisor decides when to go on. The same helps where watching fails again and again.
        if (isKubeError(thrown, "Gone") || this.#failures >= failuresBeforeList) {
          this.#failures = 0;
          callback("ERROR", { code: 410 });
        }
        done(thrown);
      },
    ).finally(() => this.#running.delete(run));
    this.#running.add(run);
    return Promise.resolve(controller);
  }

  /** Resolves once no watch runs. */
  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #run(
    path: string,
    query: Record<string, string | number | boolean | undefined>,
    callback: (phase: string, object: unknown) => void,
    controller: AbortController,
  ): Promise<void> {
    const stop = () => controller.abort(this.#stop.reason);
    const dead = () =>
      controller.abort(
        new KubeError(
          "Timeout",
          `The watch of "${path}" was silent for ${this.#limits.silenceMs} ms; ` +
            "the connection is taken for dead and made anew",
        ),
      );
    let silence = setTimeout(dead, this.#limits.silenceMs);
    this.#stop.addEventListener("abort", stop);
    try {
      this.#stop.throwIfAborted();
      const chunks = await this.#connection.stream({
        path,
        query: { ...strings(query), ...this.#parameters() },
        about: `watch ${path}`,
        signal: controller.signal,
      });
      this.#hooks.opened();
      const splitter = new LineSplitter();
      for await (const chunk of chunks) {
        clearTimeout(silence);
        silence = setTimeout(dead, this.#limits.silenceMs);
        // All of a chunk in one turn, so that its changes are told as one.
        for (const line of splitter.push(chunk)) this.#take(line, path, callback);
      }
    } catch (thrown) {
      if (controller.signal.aborted) throw controller.signal.reason;
      throw errorOfTransport(thrown, `watch ${path}`, this.#connection.server);
    } finally {
      clearTimeout(silence);
      this.#stop.removeEventListener("abort", stop);
    }
  }

  #parameters(): Record<string, string> {
    // Shortened at random, so that watches opened together do not end together.
    const lifetime = this.#limits.lifetimeMs *
      (shortestLife + Math.random() * (1 - shortestLife));
    return {
      watch: "true",
      allowWatchBookmarks: "true",
      timeoutSeconds: String(Math.max(1, Math.round(lifetime / 1000))),
    };
  }

  #take(line: string, path: string, callback: (phase: string, object: unknown) => void): void {
    const event = eventSchema.parse(JSON.parse(line));
    if (event.type === "ERROR") {
      const { code } = statusSchema.parse(event.object);
      throw errorOfStatus(code, event.object, `watch ${path}`);
    }
    // The informer goes on from this version; without one it would list again.
    versionSchema.parse(event.object);
    this.#failures = 0;
    this.#hooks.alive();
    if (event.type === "DELETED") this.#hooks.gone(event.object);
    if (event.type === "BOOKMARK" || event.type === "DELETED") {
      return callback(event.type, event.object);
    }
    const admitted = this.#hooks.admit(event.object);
    if (admitted === undefined) return callback("DELETED", event.object);
    callback(event.type, admitted);
  }
}

function strings(
  query: Record<string, string | number | boolean | undefined>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => [name, value?.toString()]),
  );
}

/** Cuts a stream of bytes into lines. What follows the last line end is incomplete and is never given out. */
class LineSplitter {
  readonly #decoder = new TextDecoder();
  #rest = "";

  *push(chunk: Uint8Array): Generator<string> {
    const lines = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") yield line;
    if (this.#rest.length > longestLine) {
      throw new Error(`An event is longer than ${longestLine} characters`);
    }
  }
}
