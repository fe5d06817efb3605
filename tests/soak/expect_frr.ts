/** What FRR must know on a node. Pure. */
import type { LabNode } from "../lab/topology.ts";
import { ipv4ToNumber } from "../../lib/net/address.ts";
import { podBridge, type SoakDomain, vniOf } from "./tenants.ts";
import {
  blocksOf,
  isIpv6,
  isStretched,
  neighborsOf,
  podNeighbors,
  subnetsOf,
  type World,
} from "./world.ts";

/** FRR's facts of a node. */
export function expectFrr(world: World, node: LabNode): readonly string[] {
  const others = world.nodes.filter(({ name }) => name !== node.name);
  return [
    ...others.map(({ address }) => `frr peer ${address} Established`),
    ...world.domains.flatMap((domain) => [
      ...vniFacts(domain),
      ...subnetsOf(world, domain, node.name).map((cidr) =>
        `frr route vrf-${domain.vrf} ${cidr} connected dev ${podBridge(domain)}`
      ),
      ...others.flatMap((other) => remoteRoutes(world, domain, other)),
      ...world.nodes.flatMap((each) => announcements(world, domain, each)),
    ]),
  ];
}

function vniFacts(domain: SoakDomain): string[] {
  const name = `vrf-${domain.vrf}`;
  const [l3vni, l2vni] = [vniOf(domain, "l3vni"), vniOf(domain, "l2vni")];
  return [
    `frr config vrf ${name}`,
    ...l2vni === undefined ? [] : [`frr vni ${l2vni} L2 ${name}`],
    ...l3vni === undefined ? [] : [
      `frr vni ${l3vni} L3 ${name}`,
      `frr config router bgp 65000 vrf ${name}`,
    ],
  ];
}

/** What another node has of a domain: its blocks, or each address where the subnet is stretched. */
function remoteRoutes(world: World, domain: SoakDomain, other: LabNode): string[] {
  if (vniOf(domain, "l3vni") === undefined) return [];
  const cidrs = isStretched(domain)
    ? neighborsOf(world, domain, other.name).map(({ address }) => `${address}/32`)
    : blocksOf(world, domain, other.name).map(({ cidr }) => cidr);
  return cidrs.map((cidr) => `frr route vrf-${domain.vrf} ${cidr} bgp via ${nextHop(other, cidr)}`);
}

/** What a node announces of a domain. */
function announcements(world: World, domain: SoakDomain, { name, address }: LabNode): string[] {
  const [l3vni, l2vni] = [vniOf(domain, "l3vni"), vniOf(domain, "l2vni")];
  // Besides its blocks each node announces the whole prefixes, by the route that ends there what nobody has.
  const routed = isStretched(domain) ? [] : blocksOf(world, domain, name);
  return [
    ...l3vni === undefined
      ? []
      : [...routed, ...domain.ranges].map(({ cidr }) =>
        `frr type-5 ${address}:${domain.vrf} ${cidr}`
      ),
    ...l2vni === undefined ? [] : [
      `frr type-3 ${address} RT:65000:${l2vni}`,
      ...podNeighbors(world, domain, name).map(({ mac }) =>
        `frr type-2 ${address} RT:65000:${l2vni} ${mac} alone`
      ),
      ...neighborsOf(world, domain, name).map((neighbor) =>
        `frr type-2 ${address} ${hostTargets(domain)} ${neighbor.mac} ${neighbor.address}`
      ),
    ],
  ];
}

/** Route targets of a stretched subnet's addresses: where it is also routed, they are host routes besides. */
function hostTargets(domain: SoakDomain): string {
  const routed = vniOf(domain, "l3vni") === undefined ? [] : [domain.vrf];
  return [...routed, vniOf(domain, "l2vni")].map((number) => `RT:65000:${number}`).join(" ");
}

/** FRR writes an IPv4 address within an IPv6 one in hexadecimal digits. */
function nextHop({ address }: LabNode, cidr: string): string {
  if (!isIpv6(cidr)) return address;
  const value = ipv4ToNumber(address);
  return `::ffff:${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
}
