/**
 * What a node shall be: the whole desired state, computed from the objects that the node sees.
 *
 * Pure: no I/O and no clock, so that a restart, a missed event and a hand-made change all end in the same place.
 */
import type { FrrModel, FrrRouteFilters, FrrVrf } from "../../frr/model.ts";
import { addressFamily } from "../../lib/net/address.ts";
import {
  contains,
  formatPrefix,
  overlaps,
  parsePrefix,
  type Prefix,
} from "../../lib/net/prefix.ts";
import type { PoolBlock } from "../ipam/port.ts";
import type { OverlaySpec, PodPort, RemoteVtep, VrfSpec } from "../kernel/port.ts";
import { bridgeMac, bridgeName, vrfName, vxlanName } from "../kernel/names.ts";
import type { RouteFilters } from "../resources/route_filter.ts";
import { type ImportedPrefix, type Imports, importsOf } from "./imports.ts";
import { type Exporters, exportersOf, fabricTargets } from "./route_targets.ts";
import type { Egress } from "../firewall/model.ts";
import { assignMarks, defaultMarkMask, type MarkAssignment } from "../firewall/marks.ts";
import type { PlanAttachment, PlanDomain, PlanInput } from "./plan_input.ts";
import { type PlannedRule, planRules, type RuleDomain } from "./plan_rules.ts";

/** What the firewall must know of a VRF besides its specification. */
export interface PlanTraffic {
  /** Packet mark. */
  readonly mark: number;
  /** Where packets go that no route of the VRF answers. */
  readonly egress: Egress;
}

/** What the node shall be. */
export interface NodePlan {
  /** Whether IPv6 that leaves the node is masqueraded. */
  readonly nat66: boolean;
  /** VRFs with their overlays and blocks, by VRF number. */
  readonly vrfs: readonly VrfSpec[];
  /** What domains import and cannot reach, by VRF number. */
  readonly hidden: ReadonlyMap<number, readonly ImportedPrefix[]>;
  /** Domains that ask for a greater MTU than the underlay has room for: they have what it has. */
  readonly cramped: readonly CrampedDomain[];
  /** RPDB rules. */
  readonly rules: readonly PlannedRule[];
  /** Marks and ways out, by VRF number. */
  readonly traffic: ReadonlyMap<number, PlanTraffic>;
  /** VRFs that can have no mark, and cannot be carried: see {@linkcode MarkAssignment}. */
  readonly unmarked: MarkAssignment["refused"];
  /** Bits of packet marks that are ours. */
  readonly markMask: number;
  /** Links that lead out of the node. */
  readonly outward: readonly string[];
  /** What stands for the other nodes' VTEPs in BGP and needs a route for it. */
  readonly vtepRoutes: readonly string[];
  /** BGP configuration. */
  readonly frr: FrrModel;
}

/** A domain whose MTU does not fit the underlay. */
export interface CrampedDomain {
  /** VRF number. */
  readonly vrf: number;
  /** What it asks for, in bytes. */
  readonly wanted: number;
  /** What it gets, in bytes. */
  readonly given: number;
}

/**
 * How many bytes VXLAN adds to a packet (RFC 7348, section 5): Ethernet 14, IPv4 20 or IPv6 40, UDP 8, VXLAN 8.
 *
 * @param local The VTEP's own address
 */
export function vxlanOverhead(local: string): number {
  return addressFamily(local) === 6 ? 70 : 50;
}

/** What a plan is computed of, with what concerns all domains looked up once. */
interface Planning extends PlanInput {
  readonly exporters: Exporters<PlanDomain>;
  readonly imports: ReadonlyMap<PlanDomain, Imports>;
}

/** Computes the node's whole desired state. */
export function planNode(given: PlanInput): NodePlan {
  const domains = given.domains.toSorted((a, b) => a.vrf - b.vrf);
  const exporters = exportersOf(domains, given.asn);
  const imports = new Map(domains.map((domain) => [domain, importsOf(domain, exporters)]));
  const input: Planning = { ...given, exporters, imports };
  const { markMask = defaultMarkMask, outward = [input.underlay.ifname] } = input;
  const { marks, refused } = assignMarks(domains.map(({ vrf }) => vrf), markMask);
  const traffic = new Map(domains.flatMap(({ vrf, egress = "nat" }): [number, PlanTraffic][] => {
    const mark = marks.get(vrf);
    return mark === undefined ? [] : [[vrf, { mark, egress }]];
  }));
  return {
    nat66: input.nat66 === true,
    vrfs: domains.map((domain) => planVrf(input, domain)),
    rules: planRules({
      domains: domains.flatMap((domain): RuleDomain[] => {
        const mark = marks.get(domain.vrf);
        const blocks = blocksOf(input, domain).map(({ cidr }) => cidr);
        const imported = imports.get(domain)?.reached ?? [];
        return mark === undefined ? [] : [{ ...domain, mark, blocks, imported }];
      }),
      policies: input.policies,
      serviceVrfMax: input.serviceVrfMax,
      markMask,
      outward,
    }),
    traffic,
    unmarked: refused,
    markMask,
    outward,
    hidden: new Map([...imports].map(([{ vrf }, { hidden }]) => [vrf, hidden])),
    cramped: domains.flatMap((domain) => crampedOf(input, domain)),
    vtepRoutes: isOverIpv6(input) ? (input.vteps ?? []).map(({ nextHop }) => nextHop) : [],
    frr: {
      asn: input.nodeAsn ?? input.asn,
      routerId: input.routerId,
      ...isOverIpv6(input) ? { nextHop: input.routerId } : {},
      neighbors: input.peers.toSorted((a, b) => a.address < b.address ? -1 : 1),
      vrfs: domains.map((domain) => planFrrVrf(input, domain)),
      // Unknown MACs are not flooded over a stretched subnet: so each node tells those of its gateways.
      ...domains.some(stretchesSubnet) ? { advertiseSviIp: true } : {},
      ...input.extraConfig === undefined ? {} : { extra: input.extraConfig },
    },
  };
}

/** What is inside a VRF: its prefixes, and blocks of an earlier prefix that pods of this node still use. */
export function insidePrefixes(
  { prefixes, blocks }: Pick<VrfSpec, "prefixes" | "blocks">,
): readonly string[] {
  const outer = prefixes.map(parsePrefix);
  const holds = (block: string) => outer.some((prefix) => contains(prefix, parsePrefix(block)));
  return [...prefixes, ...blocks.filter((block) => !holds(block))];
}

/** The attachment by which pods attach: the l2vni where there is one, else the l3vni. */
export function podAttachment(
  attachments: readonly PlanAttachment[],
): PlanAttachment | undefined {
  return attachments.find(({ type }) => type === "l2vni") ??
    attachments.find(({ type }) => type === "l3vni");
}

function planVrf(input: Planning, domain: PlanDomain): VrfSpec {
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
    prefixes: domain.prefixes.map(formatPrefix),
    blocks: blocks.map(({ cidr }) => cidr),
    viaHost: hostPrefixes(input, domain),
  };
}

/** What every VRF finds by way of the host, in its own IP versions. A VRF's own addresses come first. */
function hostPrefixes(input: Planning, domain: PlanDomain): string[] {
  const services = input.domains.filter(({ table }) => table < input.serviceVrfMax)
    .flatMap(({ prefixes }) => prefixes);
  const imported = (input.imports.get(domain)?.reached ?? []).map(({ prefix }) => prefix);
  return [...services, ...imported, ...(input.serviceCidrs ?? []).map(parsePrefix)]
    .filter((prefix) => domain.prefixes.some(({ family }) => family === prefix.family))
    .filter((prefix) => !domain.prefixes.some((own) => overlaps(own, prefix)))
    .map(formatPrefix).toSorted().filter((cidr, index, all) => cidr !== all[index - 1]);
}

function planOverlay(
  input: PlanInput,
  domain: PlanDomain,
  attachment: PlanAttachment,
  blocks: readonly PoolBlock[],
  ports: readonly PodPort[],
): OverlaySpec {
  const local = attachment.local ?? input.underlay.address;
  return {
    type: attachment.type,
    vni: attachment.vni,
    port: attachment.port,
    local,
    bridge: bridgeName(attachment.type, domain.vrf),
    vxlan: vxlanName(attachment.type, attachment.vni),
    mac: bridgeMac(input.node, domain.vrf),
    mtu: planMtu(input, domain),
    gateways: blocks.map(({ cidr, gateway }) => ({
      address: gateway,
      prefixLength: gatewayLength(domain, attachment, parsePrefix(cidr)),
    })),
    ports,
    ...addressFamily(local) === 6 ? { remotes: remotesOf(input, domain) } : {},
  };
}

/** Whether tunnels run over IPv6: then FRR does not find their other ends. */
function isOverIpv6({ underlay }: PlanInput): boolean {
  return addressFamily(underlay.address) === 6;
}

function remotesOf({ vteps = [] }: PlanInput, { vrf }: PlanDomain): RemoteVtep[] {
  return vteps.filter(({ address }) => addressFamily(address) === 6).map(({ node, address }) => ({
    mac: bridgeMac(node, vrf),
    address,
  }));
}

/** All overlays of a domain have one MTU: a packet may take either. */
function planMtu(input: PlanInput, domain: PlanDomain): number {
  const room = roomFor(input, domain);
  return Math.min(domain.mtu ?? room, room);
}

/** What the underlay has room for beside VXLAN's own headers, in bytes. */
function roomFor({ underlay }: PlanInput, { attachments }: PlanDomain): number {
  const locals = attachments.map(({ local }) => local ?? underlay.address);
  return underlay.mtu - Math.max(...locals.map(vxlanOverhead), vxlanOverhead(underlay.address));
}

function crampedOf(input: PlanInput, domain: PlanDomain): readonly CrampedDomain[] {
  const [wanted, given] = [domain.mtu ?? 0, roomFor(input, domain)];
  return wanted > given ? [{ vrf: domain.vrf, wanted, given }] : [];
}

/** A stretched subnet is the domain's whole prefix; where it is routed, each block is a subnet. */
function gatewayLength(domain: PlanDomain, { type }: PlanAttachment, block: Prefix): number {
  const prefix = domain.prefixes.find(({ family }) => family === block.family);
  return type === "l2vni" && prefix !== undefined ? prefix.length : block.length;
}

function stretchesSubnet({ attachments }: PlanDomain): boolean {
  return attachments.some(({ type }) => type === "l2vni");
}

function planFrrVrf(input: Planning, domain: PlanDomain): FrrVrf {
  const vniOf = (wanted: PlanAttachment["type"]) =>
    domain.attachments.find(({ type }) => type === wanted)?.vni;
  const [l3vni, l2vni] = [vniOf("l3vni"), vniOf("l2vni")];
  const [prefix, prefix6] = ([4, 6] as const).map((family) =>
    domain.prefixes.find((each) => each.family === family)
  );
  return {
    name: vrfName(domain.vrf),
    ...l3vni === undefined ? {} : { l3vni },
    ...l2vni === undefined ? {} : { l2vni },
    rd: routeDistinguisher(input, domain.vrf),
    routerId: input.routerId,
    routeTargets: fabricTargets(domain, input.exporters),
    ...prefix === undefined ? {} : { prefix: formatPrefix(prefix) },
    ...prefix6 === undefined ? {} : { prefix6: formatPrefix(prefix6) },
    ...domain.routeFilters === undefined ? {} : { filters: planFilters(domain.routeFilters) },
    ...domain.extraConfig === undefined ? {} : { extra: domain.extraConfig },
  };
}

/** In the form in which FRR writes prefixes. */
function planFilters(filters: RouteFilters): FrrRouteFilters {
  const canonical = (entries: RouteFilters["import"]) =>
    entries?.map((entry) => ({ ...entry, prefix: formatPrefix(parsePrefix(entry.prefix)) }));
  return { import: canonical(filters.import), export: canonical(filters.export) };
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
