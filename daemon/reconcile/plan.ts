/**
 * What a node shall be: the whole desired state, computed from the objects that the node sees.
 *
 * Pure: no I/O and no clock, so that a restart, a missed event and a hand-made change all end in the same place.
 */
import type { FrrModel, FrrVrf } from "../../frr/model.ts";
import { contains, parsePrefix } from "../../lib/net/prefix.ts";
import type { PoolBlock } from "../ipam/port.ts";
import type { OverlaySpec, RuleSpec, Underlay, VrfSpec } from "../kernel/port.ts";
import { bridgeMac, bridgeName, vrfName, vxlanName } from "../kernel/names.ts";

/** An overlay attachment of a domain, as its resource says it. */
export interface PlanAttachment {
  /** Whether the VNI routes or stretches a subnet. */
  readonly type: "l3vni" | "l2vni";
  /** VXLAN network identifier. */
  readonly vni: number;
  /** UDP port of the VXLAN device. */
  readonly port: number;
  /** VTEP address; the underlay's where absent. */
  readonly local?: string | undefined;
}

/** A domain that this node shall carry: accepted, and not being deleted. */
export interface PlanDomain {
  /** Name of the VRFDomain. */
  readonly name: string;
  /** VRF number. */
  readonly vrf: number;
  /** Routing table id. */
  readonly table: number;
  /** Network address of the prefix. */
  readonly prefix: string;
  /** Prefix length. */
  readonly prefixlen: number;
  /** Overlay attachments; at most one of each type counts. */
  readonly attachments: readonly PlanAttachment[];
}

/** A routing policy for a domain. */
export interface PlanPolicy {
  /** Name of the VRFDomain. */
  readonly domain: string;
  /** One rule each. */
  readonly match: readonly {
    readonly dst?: string | undefined;
    readonly src?: string | undefined;
    readonly iifname?: string | undefined;
    readonly oifname?: string | undefined;
  }[];
}

/** All that the plan depends on. */
export interface PlanInput {
  /** This node's name: bridge MACs are derived from it. */
  readonly node: string;
  /** This node's underlay. */
  readonly underlay: Underlay;
  /** Autonomous system number. */
  readonly asn: number;
  /** BGP identifier of this node. */
  readonly routerId: string;
  /** Addresses of the EVPN peers: the other nodes, or the route reflectors. */
  readonly peers: readonly string[];
  /** Domains to carry. */
  readonly domains: readonly PlanDomain[];
  /** Blocks that this node holds. */
  readonly blocks: readonly PoolBlock[];
  /** Names of the attached pods' host ends, by VRF number. */
  readonly ports: ReadonlyMap<number, readonly string[]>;
  /** Routing policies. */
  readonly policies: readonly PlanPolicy[];
  /** VRFs whose table is below this one are service VRFs: their prefix is reachable from the host and every VRF. */
  readonly serviceVrfMax: number;
}

/** What the node shall be. */
export interface NodePlan {
  /** VRFs with their overlays and blocks, by VRF number. */
  readonly vrfs: readonly VrfSpec[];
  /** RPDB rules. */
  readonly rules: readonly RuleSpec[];
  /** BGP configuration. */
  readonly frr: FrrModel;
}

/** VXLAN over IPv4 adds this many bytes: Ethernet 14, IPv4 20, UDP 8, VXLAN 8 (RFC 7348, section 5). */
export const vxlanOverhead = 50;

/** Priorities of our RPDB rules. */
export const rulePriority = { policy: 11_000, service: 12_000, lookup: 32_000 } as const;

/** Computes the node's whole desired state. */
export function planNode(input: PlanInput): NodePlan {
  const domains = input.domains.toSorted((a, b) => a.vrf - b.vrf);
  return {
    vrfs: domains.map((domain) => planVrf(input, domain)),
    rules: domains.flatMap((domain) => planRules(input, domain)),
    frr: {
      asn: input.asn,
      routerId: input.routerId,
      neighbors: input.peers.toSorted().map((address) => ({ address, remoteAs: "internal" })),
      vrfs: domains.map((domain) => planFrrVrf(input, domain)),
    },
  };
}

/** The domain's prefix in CIDR form. */
export function domainCidr(
  domain: { readonly prefix: string; readonly prefixlen: number },
): string {
  return `${domain.prefix}/${domain.prefixlen}`;
}

/** What is inside a VRF: its prefix, and blocks of an earlier prefix that pods of this node still use. */
export function insidePrefixes(spec: Pick<VrfSpec, "prefix" | "blocks">): readonly string[] {
  const prefix = parsePrefix(spec.prefix);
  return [spec.prefix, ...spec.blocks.filter((block) => !contains(prefix, parsePrefix(block)))];
}

/** The attachment by which pods attach: the l2vni where there is one, else the l3vni. */
export function podAttachment(
  attachments: readonly PlanAttachment[],
): PlanAttachment | undefined {
  return attachments.find(({ type }) => type === "l2vni") ??
    attachments.find(({ type }) => type === "l3vni");
}

function planVrf(input: PlanInput, domain: PlanDomain): VrfSpec {
  const blocks = blocksOf(input, domain);
  const forPods = podAttachment(domain.attachments);
  const rest = domain.attachments.filter((attachment, index, all) =>
    attachment.type !== forPods?.type &&
    all.findIndex(({ type }) => type === attachment.type) === index
  );
  const overlays = [...forPods === undefined ? [] : [forPods], ...rest].map((attachment) =>
    attachment === forPods
      ? planOverlay(input, domain, attachment, blocks, input.ports.get(domain.vrf) ?? [])
      : planOverlay(input, domain, attachment, [], [])
  );
  return {
    vrf: domain.vrf,
    name: vrfName(domain.vrf),
    table: domain.table,
    overlays,
    prefix: domainCidr(domain),
    blocks: blocks.map(({ cidr }) => cidr),
  };
}

function planOverlay(
  input: PlanInput,
  domain: PlanDomain,
  attachment: PlanAttachment,
  blocks: readonly PoolBlock[],
  ports: readonly string[],
): OverlaySpec {
  return {
    type: attachment.type,
    vni: attachment.vni,
    port: attachment.port,
    local: attachment.local ?? input.underlay.address,
    bridge: bridgeName(attachment.type, domain.vrf),
    vxlan: vxlanName(attachment.type, attachment.vni),
    mac: bridgeMac(input.node, domain.vrf),
    mtu: input.underlay.mtu - vxlanOverhead,
    gateways: blocks.map(({ cidr, gateway }) => ({
      address: gateway,
      prefixLength: attachment.type === "l2vni" ? domain.prefixlen : parsePrefix(cidr).length,
    })),
    ports,
  };
}

function planRules(input: PlanInput, domain: PlanDomain): RuleSpec[] {
  const { table } = domain;
  const policies = input.policies.filter((policy) => policy.domain === domain.name)
    .flatMap((policy) => policy.match)
    // A match without a selector would send every packet of the node into the VRF.
    .filter((match) => Object.values(match).some((value) => value !== undefined))
    .map(({ dst, src, iifname, oifname }): RuleSpec => ({
      priority: rulePriority.policy,
      table,
      ...dst === undefined ? {} : { dst },
      ...src === undefined ? {} : { src },
      ...iifname === undefined ? {} : { iifname },
      ...oifname === undefined ? {} : { oifname },
    }));
  const service = table < input.serviceVrfMax
    ? [{ priority: rulePriority.service, table, dst: domainCidr(domain) }]
    : [];
  const mark = { priority: rulePriority.lookup, table, fwmark: domain.vrf };
  // The kubelet's probes: packets that the node itself sends to its own pods.
  const local = blocksOf(input, domain).map(({ cidr }): RuleSpec => ({
    priority: rulePriority.lookup,
    table,
    iifname: "lo",
    dst: cidr,
  }));
  return [...policies, ...service, mark, ...local];
}

function planFrrVrf(input: PlanInput, domain: PlanDomain): FrrVrf {
  const l3vni = domain.attachments.find(({ type }) => type === "l3vni")?.vni;
  const target = `${input.asn}:${domain.vrf}`;
  return {
    name: vrfName(domain.vrf),
    ...l3vni === undefined ? {} : { l3vni },
    rd: routeDistinguisher(input, domain.vrf),
    routerId: input.routerId,
    routeTargets: { import: [target], export: [target] },
    prefix: domainCidr(domain),
  };
}

/**
 * The node's router id and the VRF number (RFC 4364, section 4.2, type 1), so that equal prefixes from several nodes stay
 * apart. A number beyond 16 bits does not fit there: then the AS number and the VRF number (type 0).
 */
function routeDistinguisher(input: PlanInput, vrf: number): string {
  return vrf <= 0xffff ? `${input.routerId}:${vrf}` : `${input.asn}:${vrf}`;
}

function blocksOf(input: PlanInput, domain: PlanDomain): readonly PoolBlock[] {
  return input.blocks.filter(({ vrf }) => vrf === domain.vrf)
    .toSorted((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}
