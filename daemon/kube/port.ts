/** The narrow Kubernetes client that the rest of the daemon sees. Only `daemon/kube` imports client-node. */

/** The least that every object has. */
export interface KubeObject {
  /** API group and version, such as `cni.pyroute2.org/v1alpha1`. */
  readonly apiVersion?: string | undefined;
  /** Kind. */
  readonly kind?: string | undefined;
  /** Object metadata. */
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string | undefined;
    readonly uid?: string | undefined;
    readonly resourceVersion?: string | undefined;
    readonly generation?: number | undefined;
    readonly creationTimestamp?: string | undefined;
    readonly deletionTimestamp?: string | undefined;
    readonly finalizers?: readonly string[] | undefined;
    readonly labels?: Readonly<Record<string, string>> | undefined;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
  };
}

/** A local, eventually consistent copy of one resource, fed by list and watch. Keys are `name`, or `namespace/name`. */
export interface ResourceCache<T> {
  /** Whether the first list has arrived. */
  readonly synced: boolean;
  /** The object as last seen. */
  get(key: string): T | undefined;
  /** All objects as last seen. */
  list(): readonly T[];
  /** Calls `changed` after any change (a hint only: look at the cache). Returns the way to stop. */
  subscribe(changed: () => void): () => void;
  /** Objects that failed validation, by key, with the reason: they are kept out of the cache. */
  invalid(): ReadonlyMap<string, string>;
}

/** Requests on one resource. Each throws {@linkcode KubeError}; `signal` aborts. */
export interface ResourceClient<T> {
  /** Reads one object from the server; undefined when there is none. */
  get(key: string, signal?: AbortSignal): Promise<T | undefined>;
  /** Lists from the server. */
  list(signal?: AbortSignal): Promise<readonly T[]>;
  /** Creates. @throws {KubeError} `AlreadyExists` */
  create(object: T, signal?: AbortSignal): Promise<T>;
  /** Replaces; the resourceVersion in it guards. @throws {KubeError} `Conflict`, `NotFound` */
  replace(object: T, signal?: AbortSignal): Promise<T>;
  /** JSON merge patch of the object. */
  patch(key: string, patch: unknown, signal?: AbortSignal): Promise<T>;
  /** JSON merge patch of the status subresource. */
  patchStatus(key: string, patch: unknown, signal?: AbortSignal): Promise<T>;
  /** Deletes; resolves also when it is already gone. */
  delete(
    key: string,
    preconditions?: { uid?: string; resourceVersion?: string },
    signal?: AbortSignal,
  ): Promise<void>;
}
