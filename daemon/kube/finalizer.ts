import { isKubeError, KubeError } from "./kube_error.ts";
import type { KubeObject, ResourceClient } from "./port.ts";
import { keyOf } from "./resource_client.ts";

const attempts = 5;

/**
 * Adds a finalizer to an object, unless it has it or is being deleted: a server takes none then.
 *
 * @param client Client of its resource
 * @param object The object as last seen
 * @param finalizer Name of the finalizer
 * @param signal Aborts
 * @returns Whether the object has it now
 * @throws {KubeError} `Conflict` when others keep changing the object
 */
export function addFinalizer<T extends KubeObject>(
  client: ResourceClient<T>,
  object: T,
  finalizer: string,
  signal?: AbortSignal,
): Promise<boolean> {
  return change(client, object, signal, (present, finalizers) => {
    if (finalizers.includes(finalizer)) return true;
    if (present.metadata.deletionTimestamp !== undefined) return false;
    return [...finalizers, finalizer];
  });
}

/**
 * Removes a finalizer from an object; nothing is done when the object or the finalizer is gone.
 *
 * @param client Client of its resource
 * @param object The object as last seen
 * @param finalizer Name of the finalizer
 * @param signal Aborts
 * @throws {KubeError} `Conflict` when others keep changing the object
 */
export async function removeFinalizer<T extends KubeObject>(
  client: ResourceClient<T>,
  object: T,
  finalizer: string,
  signal?: AbortSignal,
): Promise<void> {
  await change(
    client,
    object,
    signal,
    (_, finalizers) =>
      finalizers.includes(finalizer) ? finalizers.filter((name) => name !== finalizer) : true,
  );
}

/** Applies a change of the finalizers, with the object's version as the guard; `decide` may say that none is needed. */
async function change<T extends KubeObject>(
  client: ResourceClient<T>,
  object: T,
  signal: AbortSignal | undefined,
  decide: (present: T, finalizers: readonly string[]) => readonly string[] | boolean,
): Promise<boolean> {
  const key = keyOf(object);
  let present: T | undefined = object;
  for (let attempt = 1; attempt <= attempts; attempt++) {
    if (present === undefined || present.metadata.uid !== object.metadata.uid) return false;
    const finalizers = decide(present, present.metadata.finalizers ?? []);
    if (typeof finalizers === "boolean") return finalizers;
    const { uid, resourceVersion } = present.metadata;
    try {
      await client.patch(key, { metadata: { uid, resourceVersion, finalizers } }, signal);
      return true;
    } catch (thrown) {
      if (isKubeError(thrown, "NotFound")) return false;
      if (!isKubeError(thrown, "Conflict")) throw thrown;
    }
    present = await client.get(key, signal);
  }
  throw new KubeError(
    "Conflict",
    `The finalizers of "${key}" were changed by others ${attempts} times in a row; repeat it later`,
  );
}
