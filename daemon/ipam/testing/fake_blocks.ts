/** A linearizable IPBlock API in memory, with caches that lag and requests that fail on demand. For tests. */
import { isDeepStrictEqual } from "node:util";
import { KubeError } from "../../kube/kube_error.ts";
import type { ResourceCache, ResourceClient } from "../../kube/port.ts";
import type { IPBlock } from "../../resources/ip_block.ts";
import type { ManualClock } from "../../testing/manual_clock.ts";

/**
 * What happens to a request: `none` lets it through; `down` never reaches the server; `lost` is executed and its
 * answer lost; `late` is executed only after the caller has given up; `conflict` is refused.
 */
export type Fault = "none" | "down" | "lost" | "late" | "conflict";

/** The verbs that are counted. */
export type Verb = "get" | "list" | "create" | "replace" | "patch" | "patchStatus" | "delete";

/** The server. */
export class FakeBlockApi {
  /** Requests that reached the client, by verb. */
  readonly requests = new Map<Verb, number>();
  /** Decides the fate of each request. */
  fault: (verb: Verb, name: string, node: string) => Fault = () => "none";
  /** Decides how many turns of the event loop a request takes, so that requests interleave. */
  turns: () => number = () => 1;
  readonly #objects = new Map<string, IPBlock>();
  #late: (() => void)[] = [];
  #version = 0;
  #uid = 0;

  /** Objects as they are now. */
  objects(): readonly IPBlock[] {
    return [...this.#objects.values()];
  }

  /** One object as it is now. */
  object(name: string): IPBlock | undefined {
    return this.#objects.get(name);
  }

  /** All requests so far. */
  total(): number {
    return [...this.requests.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Executes the requests whose callers have given up. */
  executeLate(): void {
    const late = this.#late;
    this.#late = [];
    for (const execute of late) {
      try {
        execute();
      } catch { /* Its caller is gone. */ }
    }
  }

  /** Puts an object as another would. */
  put(
    object: Pick<IPBlock, "spec" | "status"> & { readonly metadata: { readonly name: string } },
  ): void {
    this.#objects.delete(object.metadata.name);
    this.#create({ ...object, metadata: { name: object.metadata.name } });
  }

  /** Deletes an object as another would. */
  remove(name: string): void {
    this.#objects.delete(name);
  }

  /** A node's way to the server. Once `cut`, no answer comes back any more. */
  client(node: string): { client: ResourceClient<IPBlock>; cut: () => void } {
    let severed = false;
    const call = async <T>(verb: Verb, name: string, execute: () => T): Promise<T> => {
      if (severed) return await new Promise<T>(() => {});
      this.requests.set(verb, (this.requests.get(verb) ?? 0) + 1);
      const fault = this.fault(verb, name, node);
      await pass(this.turns());
      try {
        return this.#outcome(fault, verb, execute);
      } finally {
        await pass(this.turns());
        if (severed) await new Promise(() => {});
      }
    };
    const client: ResourceClient<IPBlock> = {
      get: (name) => call("get", name, () => this.#objects.get(name)),
      list: () => call("list", "", () => this.objects()),
      create: (object) => call("create", object.metadata.name, () => this.#create(object)),
      replace: (object) => call("replace", object.metadata.name, () => this.#replace(object)),
      patch: (name, patch) =>
        call("patch", name, () => this.#patch(name, patch, ["metadata", "spec"])),
      patchStatus: (name, patch) =>
        call("patchStatus", name, () => this.#patch(name, patch, ["status"])),
      delete: (name, preconditions) =>
        call("delete", name, () => this.#delete(name, preconditions)),
    };
    return { client, cut: () => severed = true };
  }

  #outcome<T>(fault: Fault, verb: Verb, execute: () => T): T {
    switch (fault) {
      case "none":
        return execute();
      case "down":
        throw new KubeError("Unavailable", "The API server is down");
      case "conflict":
        if (verb === "get" || verb === "list" || verb === "create") return execute();
        throw new KubeError("Conflict", "The object was changed");
      case "lost":
        execute();
        throw new KubeError("Timeout", "No answer came");
      case "late":
        this.#late.push(() => void execute());
        throw new KubeError("Timeout", "No answer came");
    }
  }

  #create(object: IPBlock): IPBlock {
    const { name } = object.metadata;
    if (this.#objects.has(name)) throw new KubeError("AlreadyExists", `"${name}" exists`);
    const uid = `uid-${++this.#uid}`;
    return this.#store({ ...object, metadata: { ...object.metadata, uid } });
  }

  #replace(object: IPBlock): IPBlock {
    const found = this.#found(object.metadata.name, object.metadata.resourceVersion);
    return this.#store({ ...found, spec: object.spec });
  }

  #patch(
    name: string,
    patch: unknown,
    parts: readonly ("metadata" | "spec" | "status")[],
  ): IPBlock {
    const change = recordOf(patch);
    const version = recordOf(change["metadata"])["resourceVersion"];
    const found = this.#found(name, typeof version === "string" ? version : undefined);
    const merged: Record<string, unknown> = { ...found };
    for (const part of parts) if (part in change) merged[part] = merge(merged[part], change[part]);
    // As at a real server: a write that changes nothing gives no new version.
    if (isDeepStrictEqual(merged, found)) return found;
    return this.#store({ ...found, ...merged });
  }

  #delete(name: string, seen: { uid?: string; resourceVersion?: string } = {}): void {
    const { uid, resourceVersion } = seen;
    const found = this.#objects.get(name);
    if (found === undefined) return;
    if (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion) {
      throw new KubeError("Conflict", "The version in the precondition is another");
    }
    if (uid !== undefined && uid !== found.metadata.uid) {
      throw new KubeError("Conflict", "The UID in the precondition is another");
    }
    this.#objects.delete(name);
  }

  #found(name: string, version: string | undefined): IPBlock {
    const found = this.#objects.get(name);
    if (found === undefined) throw new KubeError("NotFound", `"${name}" does not exist`);
    if (version !== undefined && version !== found.metadata.resourceVersion) {
      throw new KubeError("Conflict", "The object was changed");
    }
    return found;
  }

  #store(object: IPBlock): IPBlock {
    const resourceVersion = String(++this.#version);
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion } };
    this.#objects.set(object.metadata.name, stored);
    return stored;
  }
}

/** A cache that shows the server's objects as they were when {@linkcode FakeBlockCache.deliver} was last called. */
export class FakeBlockCache implements ResourceCache<IPBlock> {
  /** Whether the first list has arrived. */
  synced = false;
  readonly #api: FakeBlockApi;
  readonly #subscribers = new Set<() => void>();
  #objects = new Map<string, IPBlock>();

  /** Makes an empty cache that has not synced. */
  constructor(api: FakeBlockApi) {
    this.#api = api;
  }

  /** Brings the cache up to date and tells its subscribers. */
  deliver(): void {
    this.synced = true;
    this.#objects = new Map(this.#api.objects().map((object) => [object.metadata.name, object]));
    this.stir();
  }

  /** Tells its subscribers of some change while it stays as it is, as one does that is behind. */
  stir(): void {
    for (const subscriber of [...this.#subscribers]) subscriber();
  }

  /** The object as last delivered. */
  get(key: string): IPBlock | undefined {
    return this.#objects.get(key);
  }

  /** All objects as last delivered. */
  list(): readonly IPBlock[] {
    return [...this.#objects.values()];
  }

  /** Adds a subscriber. */
  subscribe(changed: () => void): () => void {
    this.#subscribers.add(changed);
    return () => this.#subscribers.delete(changed);
  }

  /** Nothing is invalid here. */
  invalid(): ReadonlyMap<string, string> {
    return new Map();
  }
}

/** Lets other tasks run for some turns of the microtask queue. */
export async function pass(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await Promise.resolve();
}

/** Lets everything run that is ready, and everything that follows from it. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Waits for a task, moving the clock as long as it needs that. */
export async function drive<T>(clock: ManualClock, task: Promise<T>, stepMs = 2000): Promise<T> {
  let done = false;
  const mark = () => void (done = true);
  task.then(mark, mark);
  await settle();
  for (let step = 0; !done; step++) {
    if (step === 1000) {
      throw new Error("Expected the task to end, found it waiting after 1000 steps");
    }
    clock.advance(stepMs);
    await settle();
  }
  return await task;
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/** JSON merge patch (RFC 7396). */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const merged = recordOf(target);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key], value);
  }
  return merged;
}
