import { CniError } from "../../lib/cni/errors.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Attachment } from "../ipam/port.ts";
import type { CniHandlers } from "../server/cni_api.ts";
import { type HandlerDeps, lockName, takeDown } from "./deps.ts";

/**
 * Makes the handler of GC: attachments of this network that the runtime does not list are taken down. One that fails does
 * not keep the others, and all failures are told (SPEC, section 2, "GC").
 */
export function createGcHandler(deps: HandlerDeps): CniHandlers["gc"] {
  return async (call, signal) => {
    const { validAttachments, name } = call.config;
    if (validAttachments === undefined) {
      throw new CniError(
        "InvalidConfig",
        'Expected "cni.dev/valid-attachments" in the network configuration for "GC", found none; the container runtime adds it',
      );
    }
    const valid = new Set(validAttachments.map((item) => `${item.containerId}/${item.ifname}`));
    const stale = deps.pool.list().filter((row) =>
      row.network === name && !valid.has(`${row.containerId}/${row.ifname}`)
    );
    const failures: string[] = [];
    for (const row of stale) {
      signal.throwIfAborted();
      try {
        await collect(deps, row, signal);
        call.log.info("Stale attachment removed", { stale: row.containerId, vrf: row.vrf });
      } catch (thrown) {
        failures.push(`"${row.containerId}/${row.ifname}": ${messageOf(thrown)}`);
      }
    }
    if (failures.length === 0) return;
    throw new CniError(
      "DetachFailed",
      `Expected to remove ${stale.length} stale attachments, found ${failures.length} that could not be removed; the next "GC" tries again`,
      { details: failures.join("; ") },
    );
  };
}

async function collect(deps: HandlerDeps, seen: Attachment, signal: AbortSignal): Promise<void> {
  using _turn = await deps.locks.acquire(lockName(seen), signal);
  // It may have gone, or have been made anew, while others were collected.
  const row = deps.pool.find(seen);
  if (row !== undefined && row.createdAt === seen.createdAt) await takeDown(deps, row);
}
