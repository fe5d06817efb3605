/** What a cluster of a given size has at its API, as far as a node's daemon follows it. */
import { createResourceClient } from "../../daemon/kube/resource_client.ts";
import type { KubeConnection } from "../../daemon/kube/transport.ts";
import { podKind } from "../../daemon/resources/core.ts";
import { ipBlockKind, ipBlockName } from "../../daemon/resources/ip_block.ts";
import { vrfDomainKind } from "../../daemon/resources/vrf_domain.ts";
import { vrfDomainBindingKind } from "../../daemon/resources/vrf_domain_binding.ts";
import { concurrently } from "./concurrently.ts";

/** How much there is. */
export interface ClusterState {
  /** Its name in the table. */
  readonly name: string;
  /** Nodes, with one IPBlock each; the first is the one that is measured and claims its own. */
  readonly nodes: number;
  readonly domains: number;
  readonly bindings: number;
  /** Pods on the measured node, with their veth pairs. */
  readonly veths: number;
  /** Into how many domains, and so bridges, they go. */
  readonly bridges: number;
}

/** Name of the node that is measured. */
export const measuredNode = "node-0";

/** How many pods another node's block tells of. */
const podsPerBlock = 10;

/** VRF number of a domain. */
export function vrfOf(domain: number): number {
  return 1000 + domain;
}

/** A pod on the measured node: its namespace is bound to one of the domains in use. */
export function podOf(state: ClusterState, index: number): { namespace: string; name: string } {
  return { namespace: namespaceOf(index % state.bridges), name: `pod-${index}` };
}

function namespaceOf(index: number): string {
  return `ns-${index}`;
}

function domainName(index: number): string {
  return `domain-${index}`;
}

/** Makes all objects; blocks of other nodes have a status with their pods. */
export async function createObjects(
  connection: KubeConnection,
  state: ClusterState,
): Promise<void> {
  const domains = createResourceClient(connection, vrfDomainKind);
  await concurrently(state.domains, atOnce, (index) =>
    domains.create({
      metadata: { name: domainName(index) },
      spec: {
        vrf: vrfOf(index),
        table: 3000 + index,
        prefix: "10.0.0.0",
        prefixlen: 12,
        ipblocklen: 26,
        attachments: [{ type: "l3vni", vni: 60_000 + index, port: 4789 }],
      },
    }));
  const bindings = createResourceClient(connection, vrfDomainBindingKind);
  await concurrently(state.bindings, atOnce, (index) =>
    bindings.create({
      metadata: { name: `binding-${index}` },
      spec: {
        namespaceRef: { name: namespaceOf(index) },
        vrfDomainRef: { name: domainName(index % state.domains) },
      },
    }));
  await createBlocks(connection, state);
  const pods = createResourceClient(connection, podKind);
  await concurrently(state.veths + 1, atOnce, (index) =>
    pods.create({
      metadata: podOf(state, index),
      spec: { nodeName: measuredNode },
    }));
}

const atOnce = 10;

async function createBlocks(connection: KubeConnection, state: ClusterState): Promise<void> {
  const blocks = createResourceClient(connection, ipBlockKind);
  await concurrently(state.nodes - 1, atOnce, async (other) => {
    const start = other * 64;
    const base = `10.${Math.floor(start / 65_536)}.${Math.floor(start / 256) % 256}`;
    const cidr = `${base}.${start % 256}/26`;
    const vrf = vrfOf(other % state.domains);
    const name = ipBlockName(vrf, cidr);
    await blocks.create({
      metadata: { name },
      spec: { cidr, nodeName: `node-${other + 1}`, vrfTable: vrf },
    });
    const allocations = Object.fromEntries(
      Array.from(
        { length: podsPerBlock },
        (_, pod) => [`${base}.${start % 256 + 2 + pod}`, crypto.randomUUID()],
      ),
    );
    const status = { allocated: podsPerBlock + 1, capacity: 62, allocations };
    await blocks.patchStatus(name, { status });
  });
}
