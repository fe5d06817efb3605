/** What must be in a node's own network namespace: links, addresses, rules, routes, firewall. Pure. */
import { renderFirewall } from "../../daemon/firewall/render.ts";
import type { SoakDomain } from "./tenants.ts";
import { blocksOf, familiesOf, isIpv6, markMask, type World } from "./world.ts";

/** The facts of a node's own namespace. Domains are all kept as network namespaces. */
export function expectHost(world: World, node: string): readonly string[] {
  return [
    "link lo",
    "link eth0 veth up",
    ...world.domains.flatMap((domain) => expectLeg(domain)),
    ...expectRules(world, node),
    ...expectRoutes(world, node),
    ...expectFirewall(world, node),
    ...world.domains.map(({ vrf }) => `netns vrf-${vrf}`),
    ...world.pods.filter((pod) => pod.node === node).map(({ netns }) => `pod ${netns}`),
  ];
}

function expectLeg(domain: SoakDomain): string[] {
  const name = `pr2h-${domain.vrf}`;
  return [
    `link ${name} veth up`,
    ...familiesOf(domain).map((family) => `leg ${name} IPv${family}`),
  ];
}

function expectRules(world: World, node: string): string[] {
  const mask = `0x${markMask.toString(16)}`;
  const used = new Set(world.domains.flatMap(familiesOf));
  const kernels = [
    "rule 4 0 lookup local",
    "rule 4 32766 lookup main",
    "rule 4 32767 lookup default",
    "rule 6 0 lookup local",
    "rule 6 32766 lookup main",
  ];
  const ofDomain = (domain: SoakDomain): string[] => {
    const { table, vrf, egress, ranges } = domain;
    const mark = `fwmark 0x${vrf.toString(16)}/${mask}`;
    const from = `iif pr2h-${vrf}`;
    return [
      ...familiesOf(domain).flatMap((family) => [
        `rule ${family} 900 ${mark} lookup ${table}`,
        `rule ${family} 910 ${from} lookup ${table} suppress_prefixlen 0`,
        ...egress === "none" ? [`rule ${family} 13000 ${from} unreachable`] : [],
      ]),
      ...table >= 512
        ? []
        : ranges.map(({ cidr }) => `rule ${isIpv6(cidr) ? 6 : 4} 920 to ${cidr} lookup ${table}`),
      ...blocksOf(world, domain, node).map(({ cidr }) =>
        `rule ${isIpv6(cidr) ? 6 : 4} 32000 to ${cidr} iif lo lookup ${table}`
      ),
    ];
  };
  return [
    ...kernels,
    ...[...used].map((family) => `rule ${family} 900 fwmark ${mask}/${mask} lookup main`),
    ...world.domains.flatMap(ofDomain),
  ];
}

function expectRoutes(world: World, node: string): string[] {
  const ofDomain = (domain: SoakDomain): string[] => {
    const leads = `via leg dev pr2h-${domain.vrf} proto 142`;
    const { table, ranges } = domain;
    return [
      ...ranges.map(({ cidr }) => `route ${table} ${cidr} ${leads} metric 4294967295`),
      ...blocksOf(world, domain, node).map(({ cidr }) =>
        `route ${table} ${cidr} ${leads}${isIpv6(cidr) ? " metric 1024" : ""}`
      ),
    ];
  };
  return ["route main default via 192.168.124.1 dev eth0", ...world.domains.flatMap(ofDomain)];
}

function expectFirewall(world: World, node: string): string[] {
  const legs = world.domains.map(({ vrf }) => ({ vrf, leg: `pr2h-${vrf}` }));
  const marks = (egress: SoakDomain["egress"]) =>
    world.domains.filter((domain) => domain.egress === egress).map(({ vrf }) => vrf);
  const suffixed = (name: string, cidr: string) => isIpv6(cidr) ? `${name}6` : name;
  return [
    "nft table inet pyroute2-cni",
    "nft outward eth0",
    `nft origins ${markMask}`,
    ...legs.flatMap(({ vrf, leg }) => [
      `nft ingress ${leg} : ${vrf}`,
      `nft zones ${leg} : ${vrf}`,
      `nft links ${leg}`,
      `nft own ${vrf} . ${leg}`,
      `nft marks ${vrf}`,
      `nft origins ${vrf}`,
      `nft neighbors ${vrf} . 0.0.0.0/0`,
      `nft neighbors6 ${vrf} . ::/0`,
    ]),
    ...marks("nat").map((vrf) => `nft natted ${vrf}`),
    ...marks("none").map((vrf) => `nft closed ${vrf}`),
    ...world.domains.flatMap(({ vrf, ranges }) =>
      ranges.map(({ cidr }) => `nft ${suffixed("inside", cidr)} ${vrf} . ${cidr}`)
    ),
    ...world.blocks.filter((block) => block.node === node)
      .map(({ cidr, vrf }) => `nft ${suffixed("blocks", cidr)} ${cidr} : ${vrf}`),
    ...expectFirewallRules(),
  ];
}

/** How many rules each chain has does not depend on how many domains there are: only their elements do. */
function expectFirewallRules(): string[] {
  const one = {
    mark: 1,
    ingress: ["link"],
    prefixes: [],
    blocks: [],
    neighbors: [],
    egress: "nat",
  } as const;
  const { chains } = renderFirewall({ outward: ["eth0"], markMask, vrfs: [one] });
  return chains((set) => set).flatMap(({ name, rules }) => rules.map(() => `nft rule in ${name}`));
}
