import { KubeConfig, type KubernetesObject, ListWatch, type Watch } from "@kubernetes/client-node";
import { z } from "zod";
import { messageOf } from "../../lib/errors.ts";
import type { Logger } from "../log.ts";
import type { ResourceKind } from "../resources/kind.ts";
import { type Backoff, createBackoff } from "./backoff.ts";
import { type ContactLog, createContactLog } from "./contact_log.ts";
import { isKubeError, KubeError } from "./kube_error.ts";
import type { KubeObject, ResourceCache } from "./port.ts";
import {
  collectionPath,
  describeIssues,
  keyOf,
  listRaw,
  type ListScope,
  splitKey,
  withType,
} from "./resource_client.ts";
import type { KubeConnection } from "./transport.ts";
import { type Wait, wait } from "./wait.ts";
import { shortestLife, WatchEnded, WatchStream } from "./watch_stream.ts";

/** Timing of a cache. */
export interface CacheTiming {
  /** First delay before the next attempt, in milliseconds. */
  readonly retryBaseMs?: number;
  /** Longest delay before the next attempt, in milliseconds. */
  readonly retryMaxMs?: number;
  /** A watch that lived this long forgets earlier failures, in milliseconds. */
  readonly healthyAfterMs?: number;
  /** How long the server keeps a watch open, in milliseconds. */
  readonly lifetimeMs?: number;
  /** Silence after which a watch's connection counts as dead, in milliseconds. */
  readonly silenceMs?: number;
  /** The clock's wait; a test records it. */
  readonly wait?: Wait;
  /** Milliseconds to wait besides, where all nodes begin anew at the same moment; none when absent. */
  readonly turn?: () => number;
}

/** What to keep a copy of. */
export interface StartCacheOptions<T extends KubeObject> extends ListScope {
  /** The way to the server. */
  readonly connection: KubeConnection;
  /** Which resource. */
  readonly resource: ResourceKind<T>;
  /** For objects that are not valid, and for contact that is lost and regained. */
  readonly log: Logger;
  /** Where lost and regained contact is told, if not in the log by itself. */
  readonly contact?: ContactLog;
  /** Reduces an object to what is needed of it, to save memory. */
  readonly trim?: (object: T) => T;
  /** Timing. */
  readonly timing?: CacheTiming;
}

/** A cache that is being fed. It goes on until it is disposed of, through every kind of failure. */
export interface RunningCache<T> extends ResourceCache<T>, AsyncDisposable {
  /** Whether list and watch work at present. The content stays either way. */
  readonly connected: boolean;
  /** When the server was last heard for this resource, in milliseconds since 1970. */
  readonly lastContact: number | undefined;
  /** Why list or watch failed last; undefined while connected. */
  readonly lastError: KubeError | undefined;
  /** How often list and watch were started again. */
  readonly restarts: number;
  /** Resolves once the first list has arrived. */
  whenSynced(signal: AbortSignal): Promise<void>;
}

/** An object as the informer holds it: its own type wants mutable metadata. */
interface Held<T> extends KubernetesObject {
  readonly object: T;
}

/** What an object needs so that it can be told apart, whatever else is wrong with it. */
const identitySchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string().exactOptional(),
    resourceVersion: z.string().exactOptional(),
  }),
});

/**
 * Starts to keep a local copy of a resource. Returns at once; `synced` tells when the first list has arrived.
 */
export function startCache<T extends KubeObject>(options: StartCacheOptions<T>): RunningCache<T> {
  return new InformerCache(options);
}

/** The informer looks at `watch` alone; its type has the configuration of client-node's own watch, too. */
function asWatch(stream: WatchStream): Watch {
  return {
    config: new KubeConfig(),
    watch: (path, query, callback, done) => stream.watch(path, query, callback, done),
  };
}

class InformerCache<T extends KubeObject> implements RunningCache<T> {
  readonly #options: StartCacheOptions<T>;
  readonly #stop = new AbortController();
  readonly #subscribers = new Set<() => void>();
  readonly #invalid = new Map<string, string>();
  readonly #contactLog: ContactLog;
  readonly #firstList = Promise.withResolvers<void>();
  readonly #backoff: Backoff;
  readonly #turn: () => number;
  readonly #lifetimeMs: number;
  readonly #stream: WatchStream;
  readonly #informer: ListWatch<Held<T>>;
  readonly #supervision: Promise<void>;
  #listed = false;
  #synced = false;
  #connected = false;
  #lastContact: number | undefined;
  #lastError: KubeError | undefined;
  #openedAt: number | undefined;
  #restarts = 0;
  #notifying = false;
  #failed: (error: unknown) => void = () => {};

  constructor(options: StartCacheOptions<T>) {
    this.#options = options;
    const { timing = {}, resource } = options;
    this.#contactLog = options.contact ?? createContactLog(options.log);
    this.#backoff = createBackoff({
      baseMs: timing.retryBaseMs ?? 200,
      maxMs: timing.retryMaxMs ?? 15_000,
    });
    this.#turn = timing.turn ?? (() => 0);
    this.#lifetimeMs = timing.lifetimeMs ?? 600_000;
    this.#stream = new WatchStream(
      options.connection,
      { lifetimeMs: this.#lifetimeMs, silenceMs: timing.silenceMs ?? 180_000 },
      {
        started: () => this.#started(),
        opened: () => {
          this.#openedAt = performance.now();
          this.#contact();
        },
        alive: () => this.#lastContact = Date.now(),
        admit: (object) => this.#admit(object),
        gone: (object) => this.#gone(object),
      },
      this.#stop.signal,
    );
    this.#informer = new ListWatch(
      collectionPath(resource, options.namespace),
      asWatch(this.#stream),
      () => this.#list(),
      false,
      options.labelSelector,
      options.fieldSelector,
    );
    this.#informer.on("change", () => this.#changed());
    this.#informer.on("error", (error: unknown) => this.#failed(error));
    this.#supervision = this.#supervise();
  }

  get synced(): boolean {
    return this.#synced;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get lastContact(): number | undefined {
    return this.#lastContact;
  }

  get lastError(): KubeError | undefined {
    return this.#lastError;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get(key: string): T | undefined {
    const { namespace, name } = splitKey(key);
    return this.#informer.get(name, namespace)?.object;
  }

  list(): readonly T[] {
    return this.#informer.list().map((held) => held.object);
  }

  subscribe(changed: () => void): () => void {
    const subscriber = () => changed();
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  invalid(): ReadonlyMap<string, string> {
    return this.#invalid;
  }

  async whenSynced(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", abort);
    try {
      await Promise.race([this.#firstList.promise, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscribers.clear();
    this.#stop.abort(new DOMException("The cache was stopped", "AbortError"));
    await this.#informer.stop();
    await this.#supervision;
    await this.#stream.idle();
  }

  /** Starts list and watch again after each end, until the cache is disposed of. */
  async #supervise(): Promise<void> {
    const { signal } = this.#stop;
    const pause = this.#options.timing?.wait ?? wait;
    while (!signal.aborted) {
      const ended = Promise.withResolvers<unknown>();
      this.#failed = ended.resolve;
      this.#openedAt = undefined;
      await this.#informer.start().catch(ended.resolve);
      const error = await ended.promise;
      if (signal.aborted) return;
      this.#restarts += 1;
      await pause(this.#delayAfter(error), signal).catch(() => {});
    }
  }

  #delayAfter(error: unknown): number {
    const lived = this.#openedAt === undefined ? -1 : performance.now() - this.#openedAt;
    const healthy = lived >= (this.#options.timing?.healthyAfterMs ?? 5_000);
    if (healthy) this.#backoff.reset();
    if (error instanceof WatchEnded) {
      if (!healthy) return Math.min(1_000, this.#backoff.next());
      // Sooner than any watch was asked to end: the server goes, and with it the watches of all nodes.
      return lived < this.#lifetimeMs * shortestLife ? this.#turn() : 0;
    }
    const failure = error instanceof KubeError
      ? error
      : new KubeError("Unavailable", messageOf(error), { cause: error });
    if (isKubeError(failure, "Gone") && this.#backoff.failures === 0) {
      // An outdated version is no fault: list again soon.
      this.#backoff.next();
      return this.#turn();
    }
    // A connection that is cut after a while is no fault either, unless the next one fails as well.
    const cut = healthy && isKubeError(failure, "Unavailable", "Timeout");
    if (!cut) this.#lost(failure);
    return Math.max(this.#backoff.next(), failure.retryAfterMs ?? 0) + this.#turn();
  }

  #lost(error: KubeError): void {
    this.#connected = false;
    this.#lastError = error;
    this.#contactLog.lost(this.#options.resource.plural, error);
  }

  #contact(): void {
    this.#contactLog.regained(this.#options.resource.plural);
    this.#connected = true;
    this.#lastError = undefined;
    this.#lastContact = Date.now();
  }

  async #list(): Promise<{ items: Held<T>[]; metadata: { resourceVersion: string } }> {
    const { connection, resource } = this.#options;
    const { signal } = this.#stop;
    const { items, resourceVersion } = await listRaw(connection, resource, this.#options, signal);
    this.#invalid.clear();
    const held = items.flatMap((item) => this.#admit(item) ?? []);
    this.#listed = true;
    return { items: held, metadata: { resourceVersion } };
  }

  #started(): void {
    if (!this.#listed) return;
    this.#listed = false;
    this.#lastContact = Date.now();
    this.#synced = true;
    this.#firstList.resolve();
    this.#changed();
  }

  #gone(object: unknown): void {
    const identity = identitySchema.safeParse(object).data;
    if (identity !== undefined && this.#invalid.delete(keyOf(identity))) this.#changed();
  }

  /** Validates an object; undefined, with the reason noted, where it is not valid. */
  #admit(object: unknown): Held<T> | undefined {
    const { resource, log, trim } = this.#options;
    const identity = identitySchema.safeParse(object).data;
    const key = identity === undefined ? "?" : keyOf(identity);
    const parsed = resource.schema.safeParse(withType(resource, object));
    if (!parsed.success || identity === undefined) {
      const reason = parsed.success ? "it has no name" : describeIssues(parsed.error.issues);
      if (this.#invalid.get(key) !== reason) {
        log.warn("Object is not valid", { resource: resource.plural, key, error: reason });
      }
      this.#invalid.set(key, reason);
      this.#changed();
      return undefined;
    }
    if (this.#invalid.delete(key)) this.#changed();
    return {
      metadata: identity.metadata,
      object: trim === undefined ? parsed.data : trim(parsed.data),
    };
  }

  /** Tells the subscribers once for all the changes of one turn. */
  #changed(): void {
    if (this.#notifying) return;
    this.#notifying = true;
    queueMicrotask(() => {
      this.#notifying = false;
      for (const subscriber of this.#subscribers) {
        try {
          subscriber();
        } catch (error) {
          this.#options.log.error("A cache's subscriber failed", { error: messageOf(error) });
        }
      }
    });
  }
}
