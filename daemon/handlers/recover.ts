import { messageOf } from "../../lib/errors.ts";
import type { Attachment } from "../ipam/port.ts";
import type { Logger } from "../log.ts";
import { type HandlerDeps, lockName, takeDown } from "./deps.ts";

/** What a recovery found. */
export interface Recovery {
  /** Attachments that stand. */
  readonly kept: number;
  /** Rows that were cleaned away. */
  readonly removed: number;
  /** Rows that could not be cleaned; DEL, GC or the next look tries again. */
  readonly failed: number;
}

/**
 * Brings journal and kernel together, before the first command and now and then after it: rows of interrupted commands are
 * cleaned, and attachments whose veth is gone (the pod's namespace went, and nobody said DEL) are released.
 *
 * @throws The signal's reason after an abort
 */
export async function recover(
  deps: HandlerDeps,
  log: Logger,
  signal: AbortSignal,
): Promise<Recovery> {
  const count = { kept: 0, removed: 0, failed: 0 };
  for (const seen of deps.pool.list()) {
    signal.throwIfAborted();
    try {
      using _turn = await deps.locks.acquire(lockName(seen), signal);
      // It may have gone, or have been made anew, while others were looked at.
      const row = deps.pool.find(seen);
      if (row === undefined || row.createdAt !== seen.createdAt) continue;
      if (row.state === "attached" && stands(deps, row)) {
        count.kept++;
        continue;
      }
      await takeDown(deps, row);
      count.removed++;
      log.info("Attachment without an interface released", {
        state: row.state,
        containerId: row.containerId,
        ifname: row.ifname,
        vrf: row.vrf,
      });
    } catch (thrown) {
      signal.throwIfAborted();
      count.failed++;
      log.error("Attachment without an interface not released", {
        error: messageOf(thrown),
        containerId: seen.containerId,
        ifname: seen.ifname,
        vrf: seen.vrf,
      });
    }
  }
  return count;
}

function stands(deps: HandlerDeps, row: Attachment): boolean {
  const there = deps.kernel.connection(row.vrf);
  // Without a place to look at nobody can tell: an address that a pod may still use is not given to another one.
  if (there === undefined || deps.network.hasHostEnd(there, row.hostIfname)) return true;
  return there !== deps.host && deps.network.hasHostEnd(deps.host, row.hostIfname);
}
