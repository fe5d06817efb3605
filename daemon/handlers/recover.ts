import { messageOf } from "../../lib/errors.ts";
import type { Attachment } from "../ipam/port.ts";
import type { Logger } from "../log.ts";
import { type HandlerDeps, lockName, takeDown, vrfConnection } from "./deps.ts";

/** What a recovery found. */
export interface Recovery {
  /** Attachments that stand. */
  readonly kept: number;
  /** Rows that were cleaned away. */
  readonly removed: number;
  /** Rows that could not be cleaned; DEL, GC or the next start tries again. */
  readonly failed: number;
}

/**
 * Brings journal and kernel together after a start, before the first command: rows of interrupted commands are cleaned, and
 * attachments whose veth is gone (the pod's namespace went while the daemon was away) are released.
 */
export async function recover(
  deps: HandlerDeps,
  log: Logger,
  signal: AbortSignal,
): Promise<Recovery> {
  const count = { kept: 0, removed: 0, failed: 0 };
  for (const row of deps.pool.list()) {
    signal.throwIfAborted();
    try {
      using _turn = await deps.locks.acquire(lockName(row), signal);
      if (row.state === "attached" && stands(deps, row)) {
        count.kept++;
        continue;
      }
      await takeDown(deps, row);
      count.removed++;
      log.info("Attachment of an earlier run released", {
        state: row.state,
        containerId: row.containerId,
        ifname: row.ifname,
        vrf: row.vrf,
      });
    } catch (thrown) {
      count.failed++;
      log.error("Attachment of an earlier run not released", {
        error: messageOf(thrown),
        containerId: row.containerId,
        ifname: row.ifname,
        vrf: row.vrf,
      });
    }
  }
  return count;
}

function stands(deps: HandlerDeps, row: Attachment): boolean {
  const there = vrfConnection(deps.kernel, row.vrf);
  // Without the VRF's bridge nobody can tell: an address that a pod may still use is not given to another one.
  if (there === undefined || deps.network.hasHostEnd(there, row.hostIfname)) return true;
  return there !== deps.host && deps.network.hasHostEnd(deps.host, row.hostIfname);
}
