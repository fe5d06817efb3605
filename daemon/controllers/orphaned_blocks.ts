import { isKubeError } from "../kube/kube_error.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type { Node } from "../resources/core.ts";
import type { IPBlock } from "../resources/ip_block.ts";

/** What the release of orphaned blocks works with. */
export interface OrphanedBlocksOptions {
  /** Nodes. */
  readonly nodes: { readonly cache: ResourceCache<Node>; readonly client: ResourceClient<Node> };
  /** Blocks. */
  readonly blocks: {
    readonly cache: ResourceCache<IPBlock>;
    readonly client: ResourceClient<IPBlock>;
  };
  /** How long a node must be gone, in milliseconds: it may be registered anew. */
  readonly graceMs: number;
  /** For what is released. */
  readonly log: Logger;
  /** Milliseconds of a clock that never goes back; the process's own when absent. */
  readonly now?: () => number;
}

/** Releases IPBlocks of nodes whose Node object is gone: nobody else would. */
export interface OrphanedBlocks {
  /**
   * Looks once, and deletes what has been orphaned for the grace period.
   *
   * @returns Milliseconds until it is worth looking again; undefined when nothing is orphaned
   */
  release(signal: AbortSignal): Promise<number | undefined>;
}

/** Makes it. The grace period starts when a block is first seen without its node. */
export function createOrphanedBlocks(options: OrphanedBlocksOptions): OrphanedBlocks {
  const { nodes, blocks, graceMs, log, now: clock = () => performance.now() } = options;
  let seen: ReadonlyMap<string, number> = new Map();

  /** Deletes a block as it was seen; one that was written to meanwhile is somebody's, and is looked at again. */
  const released = async ({ metadata }: IPBlock, signal: AbortSignal): Promise<boolean> => {
    const { name, uid, resourceVersion } = metadata;
    try {
      await blocks.client.delete(name, {
        ...uid === undefined ? {} : { uid },
        ...resourceVersion === undefined ? {} : { resourceVersion },
      }, signal);
      return true;
    } catch (thrown) {
      if (isKubeError(thrown, "Conflict")) return false;
      throw thrown;
    }
  };

  return {
    async release(signal) {
      const now = clock();
      const orphaned = blocks.cache.list().filter(({ spec }) =>
        nodes.cache.get(spec.nodeName) === undefined
      );
      seen = new Map(orphaned.map((block) => {
        const key = block.metadata.uid ?? block.metadata.name;
        return [key, seen.get(key) ?? now];
      }));
      const missing = new Set<string>();
      for (const block of orphaned) {
        const since = seen.get(block.metadata.uid ?? block.metadata.name) ?? now;
        if (now - since < graceMs) continue;
        const { nodeName } = block.spec;
        // The cache may be behind: a block that is in use must never be given away.
        if (!missing.has(nodeName) && await nodes.client.get(nodeName, signal) !== undefined) {
          continue;
        }
        missing.add(nodeName);
        if (!await released(block, signal)) continue;
        log.info("Block of a node that is gone released", {
          block: block.metadata.name,
          node: nodeName,
        });
      }
      const waits = [...seen.values()].map((since) => graceMs - (now - since));
      return waits.length === 0 ? undefined : Math.max(graceMs / 10, Math.min(...waits));
    },
  };
}
