/** What the model's expectations are computed from: domains, nodes, attached pods, and who claims which block. */
import { contains, parsePrefix } from "../../lib/net/prefix.ts";
import type { LabNode } from "../lab/topology.ts";
import { bridgeMac } from "../../daemon/kernel/names.ts";
import { type SoakDomain, vniOf } from "./tenants.ts";
import type { FormerMac } from "./tolerated.ts";

/** A pod that a runtime was told to be attached. */
export interface AttachedPod {
  /** Its name. */
  readonly name: string;
  /** UID of its object. */
  readonly uid: string;
  /** Name of its node. */
  readonly node: string;
  /** The container's id. */
  readonly container: string;
  /** Path of its network namespace. */
  readonly netns: string;
  /** Its domain. */
  readonly domain: SoakDomain;
  /** Its addresses with their gateways, as ADD answered. */
  readonly addresses: readonly {
    readonly address: string;
    readonly length: number;
    readonly gateway: string;
  }[];
  /** Name of the link on the node. */
  readonly hostIfname: string;
  /** MAC of the link on the node. */
  readonly hostMac: string;
  /** MAC in the pod. */
  readonly mac: string;
}

/** A block as it is claimed: which ones a node claims is its own choice. */
export interface ClaimedBlock {
  /** Name of the IPBlock. */
  readonly name: string;
  /** Its UID. */
  readonly uid: string;
  /** VRF number. */
  readonly vrf: number;
  /** CIDR. */
  readonly cidr: string;
  /** Name of the node. */
  readonly node: string;
}

/** All of it. */
export interface World {
  /** The nodes. */
  readonly nodes: readonly LabNode[];
  /** The domains that are there. */
  readonly domains: readonly SoakDomain[];
  /** The pods that are attached. */
  readonly pods: readonly AttachedPod[];
  /** All blocks. */
  readonly blocks: readonly ClaimedBlock[];
  /** MACs that pods of stretched subnets have had so far. */
  readonly former: readonly FormerMac[];
}

/** MTU of everything in a VRF, in bytes: the underlay's less VXLAN's headers. */
export const vrfMtu = 1450;

/** Bits of packet marks that are the project's, and the mark of what comes from outside all VRFs. */
export const markMask = 0xffff3fff;

/** Whether a CIDR or an address is IPv6. */
export function isIpv6(text: string): boolean {
  return text.includes(":");
}

/** The IP versions that a domain has, 4 or 6. */
export function familiesOf({ ranges }: SoakDomain): readonly (4 | 6)[] {
  return ranges.map(({ cidr }) => isIpv6(cidr) ? 6 : 4);
}

/** A node's blocks of a domain, or all nodes' where none is named. */
export function blocksOf(
  { blocks }: World,
  { vrf }: SoakDomain,
  node?: string,
): readonly ClaimedBlock[] {
  return blocks.filter((block) => block.vrf === vrf && (node === undefined || block.node === node));
}

/** The gateway's address of a block: its first one. */
export function gatewayOf(cidr: string): string {
  const [address = ""] = cidr.split("/");
  if (isIpv6(cidr)) return address.replace(/::$/, "::1");
  const octets = address.split(".");
  return [...octets.slice(0, 3), String(Number(octets[3]) + 1)].join(".");
}

/** The block that holds an address. */
export function blockOf(
  blocks: readonly ClaimedBlock[],
  address: string,
): ClaimedBlock | undefined {
  return blocks.find(({ cidr }) =>
    isIpv6(cidr) === isIpv6(address) && contains(parsePrefix(cidr), address)
  );
}

/** Whether a domain is one subnet over all nodes. */
export function isStretched(domain: SoakDomain): boolean {
  return vniOf(domain, "l2vni") !== undefined;
}

/** The subnets that a node has addresses of in a domain. */
export function subnetsOf(world: World, domain: SoakDomain, node: string): readonly string[] {
  const blocks = blocksOf(world, domain, node);
  if (!isStretched(domain)) return blocks.map(({ cidr }) => cidr);
  return domain.ranges.map(({ cidr }) => cidr)
    .filter((cidr) => blocks.some((block) => isIpv6(block.cidr) === isIpv6(cidr)));
}

/** Who a node has in a stretched subnet: its pods, and its gateways. */
export function neighborsOf(
  world: World,
  domain: SoakDomain,
  node: string,
): readonly { readonly address: string; readonly mac: string }[] {
  const gateways = blocksOf(world, domain, node)
    .map(({ cidr }) => ({ address: gatewayOf(cidr), mac: bridgeMac(node, domain.vrf) }));
  return [...podNeighbors(world, domain, node), ...gateways];
}

/** A node's pods in a domain, with their MACs. */
export function podNeighbors(
  { pods }: World,
  { vrf }: SoakDomain,
  node: string,
): readonly { readonly address: string; readonly mac: string }[] {
  return pods.filter((pod) => pod.node === node && pod.domain.vrf === vrf)
    .flatMap(({ addresses, mac }) => addresses.map(({ address }) => ({ address, mac })));
}
