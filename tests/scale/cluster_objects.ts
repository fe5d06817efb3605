/** The objects of a simulated cluster: nodes, their settings and tenants. Pure but for writing them. */
import { createResourceClient } from "../../daemon/kube/resource_client.ts";
import type { KubeConnection } from "../../daemon/kube/transport.ts";
import { nodeKind } from "../../daemon/resources/core.ts";
import { vrfDomainKind } from "../../daemon/resources/vrf_domain.ts";
import { vrfNodeConfigKind } from "../../daemon/resources/vrf_node_config.ts";

/** How large a cluster is. */
export interface ClusterSize {
  /** Nodes. */
  readonly nodes: number;
  /** Pods, spread evenly. */
  readonly pods: number;
  /** Tenants; each has pods on `tenantsPerNode` of `tenants` nodes. */
  readonly tenants: number;
  /** Tenants that have pods on a node. */
  readonly tenantsPerNode: number;
  /** Whether nodes peer with two route reflectors instead of with each other. */
  readonly reflectors: boolean;
}

/** A node of the cluster. */
export interface ClusterNode {
  /** Its name. */
  readonly name: string;
  /** Its VTEP address. */
  readonly address: string;
  /** Its pods by tenant. */
  readonly pods: ReadonlyMap<string, readonly string[]>;
}

/** Length of a node's blocks: 62 pods each. */
export const blockLength = 26;

/** Blocks in a tenant's prefix: a power of two, about four times as many as are needed. */
export function slotsOf({ nodes, tenants, tenantsPerNode }: ClusterSize): number {
  return 2 ** Math.min(10, Math.max(4, Math.ceil(Math.log2(4 * nodes * tenantsPerNode / tenants))));
}

/** VRF number of the tenant at an index. */
function vrfOf(index: number): number {
  return 1000 + index;
}

/** Nodes with their pods. */
export function clusterNodes(size: ClusterSize): readonly ClusterNode[] {
  return Array.from({ length: size.nodes }, (_, index) => {
    const count = share(size.pods, size.nodes, index);
    const pods = Array.from({ length: size.tenantsPerNode }, (_, at) => {
      const tenant = `tenant-${(index * size.tenantsPerNode + at) % size.tenants}`;
      const names = Array.from(
        { length: share(count, size.tenantsPerNode, at) },
        (_, pod) => `${tenant}-${index}-${pod}`,
      );
      return [tenant, names] as const;
    });
    return {
      name: `node-${index}`,
      address: `100.64.${index >> 8}.${index & 255}`,
      pods: new Map(pods),
    };
  });
}

function share(all: number, parts: number, index: number): number {
  return Math.floor((index + 1) * all / parts) - Math.floor(index * all / parts);
}

/** Creates everything, a few requests at a time. */
export async function createObjects(connection: KubeConnection, size: ClusterSize): Promise<void> {
  const nodes = createResourceClient(connection, nodeKind);
  const configs = createResourceClient(connection, vrfNodeConfigKind);
  const domains = createResourceClient(connection, vrfDomainKind);
  const prefixlen = blockLength - Math.log2(slotsOf(size));
  for (let index = 0; index < size.tenants; index++) {
    await domains.create({
      metadata: { name: `tenant-${index}` },
      spec: {
        vrf: vrfOf(index),
        table: 5000 + index,
        prefix: `10.${index}.0.0`,
        prefixlen,
        ipblocklen: blockLength,
        attachments: [{ type: "l3vni", vni: 60_000 + index, port: 4789 }],
      },
    });
  }
  await inTurns(clusterNodes(size), 16, async ({ name, address }) => {
    await nodes.create({ metadata: { name } });
    await nodes.patchStatus(name, { status: { addresses: [{ type: "InternalIP", address }] } });
    if (!size.reflectors) return;
    await configs.create({
      metadata: { name },
      spec: {
        nodeRef: { name },
        routeReflectors: ["100.127.255.1", "100.127.255.2"],
        interfaces: [{ name: "eth0", local: address }],
      },
    });
  });
}

/** Does something for each, so many at once. */
export async function inTurns<T>(
  items: readonly T[],
  atOnce: number,
  action: (item: T) => Promise<unknown>,
): Promise<void> {
  const waiting = items.values();
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (const item of waiting) await action(item);
  }));
}
