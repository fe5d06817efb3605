/** From the objects that the daemon watches to what a run of the reconciler reads. Pure. */
import type { PoolBlock } from "../ipam/port.ts";
import type { PodPort } from "../kernel/port.ts";
import type { Node } from "../resources/core.ts";
import { prefixesOf, type VRFDomain } from "../resources/vrf_domain.ts";
import type { VRFNodeConfig } from "../resources/vrf_node_config.ts";
import type { VRFRoutingPolicy } from "../resources/vrf_routing_policy.ts";
import type { DomainIdentity } from "./domain_report.ts";
import type { Gathered } from "./node_reconciler.ts";
import type { PlanDomain } from "./plan_input.ts";
import type { ResolvedPasswords } from "./peers.ts";
import type { OtherNode } from "./reach.ts";

/** The objects and the pool as they are at the start of a run. */
export interface GatherInput {
  /** This node's name. */
  readonly node: string;
  /** The installation's AS number. */
  readonly asn: number;
  /** Tables below it are of service VRFs. */
  readonly serviceVrfMax: number;
  /** Whether IPv6 that leaves the node is masqueraded; off when absent. */
  readonly nat66?: boolean | undefined;
  /** Bits of packet marks that are ours; all but kube-proxy's when absent. */
  readonly markMask?: number | undefined;
  /** Addresses of Kubernetes Services, in CIDR form. */
  readonly serviceCidrs?: readonly string[] | undefined;
  /** Domains that no other one contradicts, those that are being deleted included. */
  readonly domains: readonly VRFDomain[];
  /** Nodes of the cluster. */
  readonly nodes: readonly Node[];
  /** Settings of all nodes. */
  readonly nodeConfigs: readonly VRFNodeConfig[];
  /** Those of this node, if it has any that it can use; else the default route tells the interface. */
  readonly ownConfig: VRFNodeConfig | undefined;
  /** Passwords of the peers that these settings name; none when absent. */
  readonly passwords?: ResolvedPasswords | undefined;
  /** Routing policies. */
  readonly policies: readonly VRFRoutingPolicy[];
  /** Blocks that this node holds. */
  readonly blocks: readonly PoolBlock[];
  /** How many domains exist that cannot be read. */
  readonly unreadable: number;
  /** Number of attachments on this node by VRF. */
  readonly attachments: ReadonlyMap<number, number>;
  /** The attached pods, by VRF. */
  readonly ports: ReadonlyMap<number, readonly PodPort[]>;
}

/** Computes what a run reads. */
export function gather(input: GatherInput): Gathered {
  const own = input.ownConfig;
  const local = own?.spec.interfaces[0];
  const deleting = (domain: VRFDomain) => domain.metadata.deletionTimestamp !== undefined;
  const held = (domain: VRFDomain) => input.attachments.get(domain.spec.vrf) ?? 0;
  const carried = input.domains.filter((domain) => !deleting(domain) || held(domain) > 0);
  const configs = Map.groupBy(input.nodeConfigs, ({ spec }) => spec.nodeRef.name);
  return {
    input: {
      node: input.node,
      asn: input.asn,
      ...own?.spec.asn === undefined ? {} : { nodeAsn: own.spec.asn },
      extraConfig: own?.spec.extraConfig,
      domains: carried.map(planDomain),
      blocks: input.blocks,
      ports: input.ports,
      policies: input.policies.map(({ metadata, spec }) => ({
        name: metadata.name,
        domain: spec.vrfDomainRef.name,
        match: spec.match,
      })),
      serviceVrfMax: input.serviceVrfMax,
      nat66: input.nat66,
      markMask: input.markMask,
      serviceCidrs: input.serviceCidrs,
    },
    reach: {
      node: input.node,
      routerId: own?.spec.routerId,
      asn: input.asn,
      config: own?.spec,
      passwordOf: input.passwords?.passwordOf,
      others: input.nodes.filter(({ metadata }) => metadata.name !== input.node)
        .map((node) => otherNode(node, configs.get(node.metadata.name) ?? [])),
    },
    ...local === undefined ? {} : { underlay: { ifname: local.name, address: local.local } },
    carried: carried.map((domain) =>
      identityOf(domain, deleting(domain) ? held(domain) : undefined)
    ),
    going: input.domains.filter((domain) => deleting(domain) && held(domain) === 0)
      .map((domain) => identityOf(domain)),
    policies: input.policies.map(({ metadata, spec }) => ({
      name: metadata.name,
      uid: metadata.uid ?? "",
      generation: metadata.generation ?? 0,
      domain: spec.vrfDomainRef.name,
    })),
    passwordProblems: input.passwords?.problems ?? [],
    keepAll: input.unreadable > 0,
    held: new Set([...input.attachments].filter(([, count]) => count > 0).map(([vrf]) => vrf)),
  };
}

function otherNode(node: Node, configs: readonly VRFNodeConfig[]): OtherNode {
  const { name } = node.metadata;
  const spec = configOf(configs)?.spec;
  const of = (wanted: string) =>
    (node.status?.addresses ?? []).filter(({ type }) => type === wanted);
  return {
    name,
    local: spec?.interfaces[0]?.local,
    routerId: spec?.routerId,
    asn: spec?.asn,
    addresses: [...of("InternalIP"), ...of("ExternalIP")].map(({ address }) => address),
  };
}

/** The settings of another node: the oldest of those that name it, unless the node says that it does not use them. */
function configOf(configs: readonly VRFNodeConfig[]): VRFNodeConfig | undefined {
  const [oldest] = configs.toSorted((a, b) => order(a) < order(b) ? -1 : 1);
  return oldest?.status?.accepted === false ? undefined : oldest;
}

function order({ metadata }: VRFNodeConfig): string {
  return `${metadata.creationTimestamp ?? ""} ${metadata.name}`;
}

function planDomain({ metadata, spec }: VRFDomain): PlanDomain {
  const { vrf, table, attachments, routeTargets, routeFilters, extraConfig, mtu, egress } = spec;
  const prefixes = prefixesOf(spec).map(({ prefix }) => prefix);
  return {
    name: metadata.name,
    vrf,
    table,
    prefixes,
    attachments,
    routeTargets,
    routeFilters,
    extraConfig,
    mtu,
    egress,
  };
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
