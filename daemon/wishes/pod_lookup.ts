/** Finds the Pod object of a container: in the node's cache, and only where that has not seen it yet at the API. */
import type { PodReference } from "../../lib/cni/args.ts";
import { CniError } from "../../lib/cni/errors.ts";
import { messageOf } from "../../lib/errors.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import type { Pod } from "../resources/core.ts";
import { annotationPrefix } from "./pod_annotations.ts";

/** Milliseconds that an ADD waits for the API to tell a pod. */
const lookupTimeoutMs = 2_000;

/**
 * Annotations by which the kubelet ties a static pod to its mirror at the API, whose own UID is another (kubernetes,
 * pkg/kubelet/types): their value is the static pod's UID, the one that runtimes know.
 */
const staticPodKeys = ["kubernetes.io/config.hash", "kubernetes.io/config.mirror"] as const;

/** Names that the API can have: those of a DNS subdomain. */
const objectName = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** Where a pod was found, for the metrics. */
export type PodSource = "cache" | "api" | "none";

/** What the lookup works with. */
export interface PodLookupOptions {
  /** Pods of this node as last seen. */
  readonly cache: Pick<ResourceCache<Pod>, "get">;
  /** Requests on pods. */
  readonly client: Pick<ResourceClient<Pod>, "get">;
  /** Counts where pods are found. */
  readonly found: (source: PodSource) => void;
}

/**
 * Finds a container's pod; undefined when the API has none of that name, so that nobody can have wished anything for it: a container
 * that a person started by the runtime's own means, or a static pod without a mirror.
 *
 * It throws {@linkcode CniError} `TryAgainLater` when the API gives no answer, or knows another pod of that name.
 */
export type PodLookup = (reference: PodReference, signal: AbortSignal) => Promise<Pod | undefined>;

/** Makes a lookup. */
export function createPodLookup({ cache, client, found }: PodLookupOptions): PodLookup {
  return async (reference, signal) => {
    const { namespace, name, uid } = reference;
    if (!objectName.test(namespace) || !objectName.test(name)) return undefined;
    const key = `${namespace}/${name}`;
    const known = cache.get(key);
    if (known !== undefined && isPod(known, uid)) {
      found("cache");
      return known;
    }
    const pod = await ask(client, key, signal);
    found(pod === undefined ? "none" : "api");
    if (pod === undefined || isPod(pod, uid)) return pod;
    throw new CniError(
      "TryAgainLater",
      `Expected the pod "${key}" with the UID "${uid}" at the API, found one with "${pod.metadata.uid}"; ` +
        "the container's pod has been deleted and another made",
    );
  };
}

/** The least of a pod that wishes are read from, so that the cache stays small. */
export function trimPod({ metadata }: Pod): Pod {
  const { name, namespace, uid, annotations = {}, ownerReferences = [] } = metadata;
  const kept = Object.entries(annotations).filter(([key]) =>
    key.startsWith(annotationPrefix) || staticPodKeys.some((each) => each === key)
  );
  return {
    metadata: {
      name,
      namespace,
      uid,
      annotations: Object.fromEntries(kept),
      ownerReferences: ownerReferences.filter(({ controller }) => controller === true)
        .map(({ apiVersion, kind, name, uid }) => ({
          apiVersion,
          kind,
          name,
          uid,
          controller: true,
        })),
    },
  };
}

async function ask(
  client: PodLookupOptions["client"],
  key: string,
  signal: AbortSignal,
): Promise<Pod | undefined> {
  try {
    return await client.get(key, AbortSignal.any([signal, AbortSignal.timeout(lookupTimeoutMs)]));
  } catch (cause) {
    signal.throwIfAborted();
    throw new CniError(
      "TryAgainLater",
      `Expected to know the annotations of the pod "${key}", which this node has not seen yet, found "${
        messageOf(cause)
      }"; it is not attached before they are known`,
      { cause },
    );
  }
}

/** Whether an object is the pod that the runtime means; it may not tell a UID. */
function isPod({ metadata }: Pod, uid: string): boolean {
  return uid === "" || metadata.uid === uid ||
    staticPodKeys.some((key) => metadata.annotations?.[key] === uid);
}
