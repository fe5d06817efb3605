/** Remembers which peers are shut down for too many routes, in a file that a reboot takes away. */
import { z } from "zod";
import { messageOf } from "../../lib/errors.ts";
import type { Logger } from "../log.ts";
import type { ShutPeer, ShutPeers } from "../reconcile/prefix_limits.ts";

const shutPeer: z.ZodType<ShutPeer> = z.object({
  prefixes: z.number(),
  limit: z.object({
    limit: z.number(),
    warnOnly: z.boolean().optional(),
    restartSeconds: z.number().optional(),
  }),
  since: z.number(),
});
const fileSchema = z.record(z.string(), shutPeer);

/**
 * Opens the file; one that is missing or damaged is empty.
 *
 * @param path Path of the file, in a folder that others cannot write
 */
export function openKeptShutdowns(path: string, log: Logger): ShutPeers {
  let kept = new Map(Object.entries(read(path)));
  return {
    all: () => kept,
    replace(peers) {
      const text = JSON.stringify(Object.fromEntries(peers));
      if (text === JSON.stringify(Object.fromEntries(kept))) return;
      kept = new Map(peers);
      try {
        // Whole or not at all.
        Deno.writeTextFileSync(`${path}.new`, text, { mode: 0o600 });
        Deno.renameSync(`${path}.new`, path);
      } catch (error) {
        log.warn("Peers that are shut down not kept for the next start", {
          error: messageOf(error),
        });
      }
    },
  };
}

function read(path: string): Readonly<Record<string, ShutPeer>> {
  try {
    return fileSchema.parse(JSON.parse(Deno.readTextFileSync(path)));
  } catch {
    return {};
  }
}
