/** All nftables tables of a node: the host's own, and one in each network namespace that is a VRF. */
import { messageOf } from "../../lib/errors.ts";
import { renderFirewall, renderVrfFirewall, type VrfFirewallModel } from "./render.ts";
import type { FirewallModel } from "./model.ts";
import { createNftTable, type NftTable } from "./nft_table.ts";

/** A network namespace that is a VRF. */
export interface VrfNamespace extends VrfFirewallModel {
  /** Its path. */
  readonly path: string;
}

/** Keeps a node's tables in step. */
export interface NodeFirewall {
  /**
   * Makes the host's table as the model says, so that no packet meets a part of it.
   *
   * @throws {NftError} When nft refuses; packets then meet the rules as before, or as the model says
   * @throws {SysError | NetlinkError} When the namespace cannot be looked into
   */
  sync(model: FirewallModel, signal: AbortSignal): Promise<{ readonly changed: boolean }>;
  /** Makes the tables of the VRFs' namespaces. @returns What went wrong, in words; the others are made all the same */
  syncNamespaces(namespaces: readonly VrfNamespace[], signal: AbortSignal): Promise<string[]>;
  /** Whether the host's table is there. @throws {NftError} When nft cannot be run */
  stands(signal: AbortSignal): Promise<boolean>;
  /** Removes the host's table. @throws {NftError} */
  remove(signal: AbortSignal): Promise<void>;
}

/** How many programs are started at once. */
const parallel = 4;

/**
 * Makes a node's firewall.
 *
 * @param namespace Path of the host's network namespace; the caller's own by default
 */
export function createNodeFirewall(namespace?: string): NodeFirewall {
  const host = createNftTable({ ...namespace === undefined ? {} : { namespace }, shared: true });
  let tables = new Map<string, NftTable>();

  async function syncNamespace(namespace: VrfNamespace, signal: AbortSignal) {
    const { path } = namespace;
    const table = tables.get(path) ?? createNftTable({ namespace: path, shared: false });
    tables.set(path, table);
    await table.sync(renderVrfFirewall(namespace), signal);
  }

  return {
    sync: (model, signal) => host.sync(renderFirewall(model), signal),
    async syncNamespaces(namespaces, signal) {
      const paths = new Set(namespaces.map(({ path }) => path));
      tables = new Map([...tables].filter(([path]) => paths.has(path)));
      const problems: string[] = [];
      const queue = [...namespaces];
      const work = async () => {
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
          try {
            await syncNamespace(next, signal);
          } catch (error) {
            signal.throwIfAborted();
            problems.push(messageOf(error));
          }
        }
      };
      await Promise.all(Array.from({ length: parallel }, work));
      return problems;
    },
    stands: (signal) => host.stands(signal),
    remove: (signal) => host.remove(signal),
  };
}
