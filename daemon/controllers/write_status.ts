import { isDeepStrictEqual } from "node:util";
import { isKubeError } from "../kube/kube_error.ts";
import type { KubeObject, ResourceClient } from "../kube/port.ts";

/**
 * Writes an object's status where it differs from what is there. An object that is gone needs none.
 *
 * @param client Client of its resource
 * @param object The object as last seen
 * @param before Its status as last seen
 * @param status The status that it shall have
 * @param signal Aborts
 * @throws {KubeError} When the API refuses
 */
export async function writeStatus<T extends KubeObject>(
  client: ResourceClient<T>,
  object: KubeObject,
  before: unknown,
  status: unknown,
  signal: AbortSignal,
): Promise<void> {
  if (isDeepStrictEqual(plain(before), plain(status))) return;
  try {
    await client.patchStatus(object.metadata.name, { status }, signal);
  } catch (thrown) {
    if (!isKubeError(thrown, "NotFound")) throw thrown;
  }
}

/** As it is on the wire: without fields that are undefined. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}
