/** From the objects that the daemon watches to what a run of the reconciler reads. Pure. */
import type { PoolBlock } from "../ipam/port.ts";
import type { Node } from "../resources/core.ts";
import type { VRFDomain } from "../resources/vrf_domain.ts";
import type { VRFNodeConfig } from "../resources/vrf_node_config.ts";
import type { VRFRoutingPolicy } from "../resources/vrf_routing_policy.ts";
import type { DomainIdentity } from "./domain_report.ts";
import type { Gathered } from "./node_reconciler.ts";
import type { PlanDomain } from "./plan.ts";

/** The objects and the pool as they are at the start of a run. */
export interface GatherInput {
  /** This node's name. */
  readonly node: string;
  /** Autonomous system number. */
  readonly asn: number;
  /** Tables below it are of service VRFs. */
  readonly serviceVrfMax: number;
  /** Domains that no other one contradicts, those that are being deleted included. */
  readonly domains: readonly VRFDomain[];
  /** Nodes of the cluster. */
  readonly nodes: readonly Node[];
  /** Settings of all nodes. */
  readonly nodeConfigs: readonly VRFNodeConfig[];
  /** Those of this node, if it has any that it can use; else the default route tells the interface. */
  readonly ownConfig: VRFNodeConfig | undefined;
  /** Routing policies. */
  readonly policies: readonly VRFRoutingPolicy[];
  /** Blocks that this node holds. */
  readonly blocks: readonly PoolBlock[];
  /** How many domains exist that cannot be read. */
  readonly unreadable: number;
  /** Number of attachments on this node by VRF. */
  readonly attachments: ReadonlyMap<number, number>;
  /** Names of the attached pods' host ends, by VRF. */
  readonly ports: ReadonlyMap<number, readonly string[]>;
}

/** Computes what a run reads. */
export function gather(input: GatherInput): Gathered {
  const own = input.ownConfig;
  const local = own?.spec.interfaces[0];
  const deleting = (domain: VRFDomain) => domain.metadata.deletionTimestamp !== undefined;
  const held = (domain: VRFDomain) => input.attachments.get(domain.spec.vrf) ?? 0;
  const carried = input.domains.filter((domain) => !deleting(domain) || held(domain) > 0);
  return {
    input: {
      node: input.node,
      asn: input.asn,
      ...own?.spec.routerId === undefined ? {} : { routerId: own.spec.routerId },
      peers: peersOf(input, own),
      domains: carried.map(planDomain),
      blocks: input.blocks,
      ports: input.ports,
      policies: input.policies.map(({ spec }) => ({
        domain: spec.vrfDomainRef.name,
        match: spec.match,
      })),
      serviceVrfMax: input.serviceVrfMax,
    },
    ...local === undefined ? {} : { underlay: { ifname: local.name, address: local.local } },
    carried: carried.map((domain) =>
      identityOf(domain, deleting(domain) ? held(domain) : undefined)
    ),
    going: input.domains.filter((domain) => deleting(domain) && held(domain) === 0)
      .map((domain) => identityOf(domain)),
    keepAll: input.unreadable > 0,
    held: new Set([...input.attachments].filter(([, count]) => count > 0).map(([vrf]) => vrf)),
  };
}

/** The node's route reflectors, or all other nodes. */
function peersOf(input: GatherInput, own: VRFNodeConfig | undefined): readonly string[] {
  const reflectors = own?.spec.routeReflectors ?? [];
  if (reflectors.length > 0) return [...new Set(reflectors)];
  const addresses = input.nodes.filter(({ metadata }) => metadata.name !== input.node)
    .map((node) => vtepOf(input, node)).filter((address) => address !== undefined);
  return [...new Set(addresses)];
}

function vtepOf(input: GatherInput, node: Node): string | undefined {
  const config = configOf(input, node.metadata.name);
  const address = (type: string) =>
    node.status?.addresses?.find((entry) => entry.type === type)?.address;
  return config?.spec.interfaces[0]?.local ?? config?.spec.routerId ?? address("InternalIP") ??
    address("ExternalIP");
}

/** The settings of another node: the oldest that name it, unless the node says that it does not use them. */
function configOf(input: GatherInput, node: string): VRFNodeConfig | undefined {
  const [oldest] = input.nodeConfigs.filter(({ spec }) => spec.nodeRef.name === node)
    .toSorted((a, b) => order(a) < order(b) ? -1 : 1);
  return oldest?.status?.accepted === false ? undefined : oldest;
}

function order({ metadata }: VRFNodeConfig): string {
  return `${metadata.creationTimestamp ?? ""} ${metadata.name}`;
}

function planDomain({ metadata, spec }: VRFDomain): PlanDomain {
  const { vrf, table, prefix, prefixlen, attachments } = spec;
  return { name: metadata.name, vrf, table, prefix, prefixlen, attachments };
}

function identityOf({ metadata, spec }: VRFDomain, heldBy?: number): DomainIdentity {
  return {
    name: metadata.name,
    uid: metadata.uid ?? "",
    generation: metadata.generation ?? 0,
    vrf: spec.vrf,
    ...heldBy === undefined ? {} : { heldBy },
  };
}
