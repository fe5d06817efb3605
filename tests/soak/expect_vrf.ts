/** What must be in the network namespaces of a node's VRFs and pods. Pure. */
import { bridgeMac, podAlias, podMac } from "../../daemon/kernel/names.ts";
import { networkConfig } from "../lab/pods.ts";
import type { LabNode } from "../lab/topology.ts";
import { defaultDomain, linksOf, podBridge, type SoakDomain, vniOf } from "./tenants.ts";
import {
  type AttachedPod,
  blocksOf,
  familiesOf,
  gatewayOf,
  isIpv6,
  isStretched,
  neighborsOf,
  podNeighbors,
  subnetsOf,
  vrfMtu,
  type World,
} from "./world.ts";

/** The facts of all VRFs of a node; each begins with its VRF's name. */
export function expectVrfs(world: World, node: LabNode): readonly string[] {
  return world.domains.flatMap((domain) =>
    expectVrf(world, node, domain).map((fact) => `vrf-${domain.vrf} ${fact}`)
  );
}

function expectVrf(world: World, node: LabNode, domain: SoakDomain): string[] {
  const bridge = podBridge(domain);
  const own = blocksOf(world, domain, node.name);
  return [
    "link lo",
    "link host veth up",
    ...domain.overlays.flatMap((overlay) => {
      const links = linksOf(domain, overlay);
      return [
        `link ${links.bridge} bridge up mtu ${vrfMtu} mac ${bridgeMac(node.name, domain.vrf)}`,
        `link ${links.vxlan} vxlan up mtu ${vrfMtu} master ${links.bridge} vni ${overlay.vni} local ${node.address}`,
      ];
    }),
    ...familiesOf(domain).map((family) => `leg host IPv${family}`),
    ...world.pods.filter((pod) => pod.node === node.name && pod.domain.vrf === domain.vrf)
      .map(({ hostIfname, hostMac, container }) =>
        `link ${hostIfname} veth up mtu ${vrfMtu} master ${bridge} mac ${hostMac} alias ${
          podAlias({ containerId: container, ifname: "eth0", network: networkConfig.name })
        }`
      ),
    ...own.map(({ cidr }) => `address ${bridge} ${gatewayOf(cidr)}/${subnetLength(domain, cidr)}`),
    ...subnetsOf(world, domain, node.name).map((cidr) =>
      `route main ${cidr} dev ${bridge} proto kernel${metric6(cidr, 256)}`
    ),
    ...domain.ranges.flatMap(({ cidr }) => [
      `route main default${isIpv6(cidr) ? "6" : ""} via leg dev host proto 142 metric 4294967295`,
      `route main unreachable ${cidr} proto 142 metric 16777215`,
    ]),
    ...servicesOf(world, domain).map((cidr) =>
      `route main ${cidr} via leg dev host proto 142 metric 4294967295`
    ),
    // Of its own pods a stretched subnet's bridge is told, so that EVPN tells the other nodes.
    ...isStretched(domain)
      ? podNeighbors(world, domain, node.name)
        .map(({ address, mac }) => `neighbor ${bridge} ${address} ${mac} permanent`)
      : [],
    ...expectRemotes(world, node, domain),
    "nft table inet pyroute2-cni",
    // Of each IP version in which the node has an address in the VRF: it stands for the node there.
    ...[false, true].filter((six) => own.some(({ cidr }) => isIpv6(cidr) === six))
      .map(() => "nft rule in postrouting"),
  ];
}

function metric6(cidr: string, metric: number): string {
  return isIpv6(cidr) ? ` metric ${metric}` : "";
}

/** Prefixes of the service VRF, which the others find by way of the host. */
function servicesOf({ domains }: World, domain: SoakDomain): readonly string[] {
  if (domain === defaultDomain || !domains.includes(defaultDomain)) return [];
  return defaultDomain.ranges.map(({ cidr }) => cidr);
}

/** The length of the subnet that the gateway of a block is in. */
function subnetLength(domain: SoakDomain, block: string): string | undefined {
  const subnet = isStretched(domain)
    ? domain.ranges.find(({ cidr }) => isIpv6(cidr) === isIpv6(block))?.cidr
    : block;
  return subnet?.split("/")[1];
}

/** What a node knows of a domain on the other nodes, by EVPN. */
function expectRemotes(world: World, node: LabNode, domain: SoakDomain): string[] {
  return world.nodes.filter(({ name }) => name !== node.name).flatMap((other) => [
    ...isStretched(domain) ? stretchedRemotes(world, other, domain) : [],
    ...vniOf(domain, "l3vni") === undefined ? [] : routedRemotes(world, other, domain),
  ]);
}

/** Another node's blocks or, of a stretched subnet, addresses, with the neighbour and the forwarding entry that lead there. */
function routedRemotes(world: World, other: LabNode, domain: SoakDomain): string[] {
  const l3vni = vniOf(domain, "l3vni");
  const bridge = `l3br-${domain.vrf}`;
  const mac = bridgeMac(other.name, domain.vrf);
  const cidrs = isStretched(domain)
    ? neighborsOf(world, domain, other.name).map(({ address }) => address)
    : blocksOf(world, domain, other.name).map(({ cidr }) => cidr);
  return [
    ...cidrs.map((cidr) =>
      `route main ${cidr} via ${nextHop(other, cidr)} dev ${bridge} proto bgp metric 20 onlink`
    ),
    ...[...new Set(cidrs.map((cidr) => nextHop(other, cidr)))]
      .map((address) => `neighbor ${bridge} ${address} ${mac} learned`),
    ...cidrs.length === 0 ? [] : [`fdb l3vx-${l3vni} ${mac} to ${other.address}`],
  ];
}

/** Another node's part of a stretched subnet: who is there, and where broadcasts go. */
function stretchedRemotes(world: World, other: LabNode, domain: SoakDomain): string[] {
  const vxlan = `l2vx-${vniOf(domain, "l2vni")}`;
  const neighbors = neighborsOf(world, domain, other.name);
  return [
    ...neighbors.map(({ address, mac }) =>
      `neighbor ${podBridge(domain)} ${address} ${mac} learned`
    ),
    ...[...new Set(neighbors.map(({ mac }) => mac))]
      .map((mac) => `fdb ${vxlan} ${mac} to ${other.address}`),
    `fdb ${vxlan} 00:00:00:00:00:00 to ${other.address}`,
  ];
}

/** How a VTEP's IPv4 address is written as the next hop to a prefix of either IP version. */
function nextHop({ address }: LabNode, cidr: string): string {
  return isIpv6(cidr) ? `::ffff:${address}` : address;
}

/** The facts of all pods of a node; each begins with its name. */
export function expectPods(world: World, node: LabNode): readonly string[] {
  return world.pods.filter((pod) => pod.node === node.name)
    .flatMap((pod) => expectPod(pod).map((fact) => `${pod.netns} ${fact}`));
}

function expectPod({ mac, addresses, domain }: AttachedPod): string[] {
  const [first] = addresses;
  return [
    "link lo",
    `link eth0 veth up mtu ${vrfMtu} mac ${mac}`,
    ...first !== undefined && mac !== podMac(domain.vrf, first.address)
      ? ["the MAC that belongs to its address"]
      : [],
    ...addresses.flatMap(({ address, length, gateway }) => [
      `address eth0 ${address}/${length}`,
      `route main default${isIpv6(address) ? "6" : ""} via ${gateway} dev eth0 proto static${
        metric6(address, 1024)
      }`,
    ]),
  ];
}
