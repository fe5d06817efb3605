import type { CniHandlers } from "../server/cni_api.ts";
import { type HandlerDeps, keyOf, lockName, takeDown, translate } from "./deps.ts";

/**
 * Makes the handler of DEL. It works without the container's namespace, and an attachment that is not known is gone already
 * (SPEC, section 2, "DEL": plugins complete without error even if resources are missing).
 */
export function createDelHandler(deps: HandlerDeps): CniHandlers["del"] {
  return async (call, signal) => {
    const key = keyOf(call);
    using _turn = await deps.locks.acquire(lockName(key), signal);
    const row = deps.pool.find(key);
    if (row === undefined) return;
    try {
      await takeDown(deps, row);
    } catch (thrown) {
      throw translate(thrown, "DetachFailed", signal);
    }
    call.log.info("Pod detached", {
      vrf: row.vrf,
      addresses: row.allocations.map(({ address }) => address),
    });
  };
}
