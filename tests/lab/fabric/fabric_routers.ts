/** The routers of an operator's fabric, plain FRR: two route reflectors, a provider edge and a switch of another AS. */
import { askFrr } from "../frr_words.ts";
import type { Lab } from "../lab.ts";
import { patience } from "../patience.ts";
import { until } from "../process.ts";
import { addVrf, type Router, startRouter } from "../routers.ts";

/** Addresses of the two route reflectors. */
export const reflectorAddresses = ["192.168.124.21", "192.168.124.22"] as const;
/** Address of the switch. */
export const switchAddress = "192.168.124.41";
/** What the provider edge announces for the tenant. */
export const outsidePrefix = "1.2.3.0/24";
/** The host there. */
export const customer = { name: "customer", address: "1.2.3.4/24", gateway: "1.2.3.1" } as const;
/** Its address. */
export const customerAddress = "1.2.3.4";
/** The tenant that the provider edge serves. */
export const tenant = { number: 200, vni: 50200 } as const;

const edgeAddress = "192.168.124.31";

/** Starts a route reflector, which notices within nine seconds who has gone, and calls everyone when it comes back. */
export function startReflector(lab: Lab, index: 0 | 1): Promise<Router> {
  const address = reflectorAddresses[index];
  const clients = [...lab.nodes.map((node) => node.address), edgeAddress];
  const config = `router bgp 65000
 bgp router-id ${address}
 no bgp default ipv4-unicast
 timers bgp 3 9
 neighbor clients peer-group
 neighbor clients remote-as 65000
 neighbor clients timers connect 2
${clients.map((client) => ` neighbor ${client} peer-group clients`).join("\n")}
 address-family l2vpn evpn
  neighbor clients activate
  neighbor clients route-reflector-client
 exit-address-family
exit`;
  return startRouter(lab, { name: `rr${index + 1}`, address, config });
}

/**
 * Starts the provider edge with the tenant's VRF. It takes the second reflector's routes while it has them, and hears of the first one later:
 * FRR 8.4 loses a route's next hop when the best path changes, and here nobody puts it back.
 */
export async function startEdge(lab: Lab): Promise<Router> {
  const [, reflector] = reflectorAddresses;
  const config = `route-map prefer permit 10
 set weight 100
exit
router bgp 65000
 bgp router-id ${edgeAddress}
 no bgp default ipv4-unicast
 neighbor ${reflector} remote-as 65000
 address-family l2vpn evpn
  neighbor ${reflector} activate
  neighbor ${reflector} route-map prefer in
  advertise-all-vni
 exit-address-family
exit`;
  const edge = await startRouter(lab, { name: "pe", address: edgeAddress, config });
  const links = {
    ...tenant,
    local: edgeAddress,
    gateway: "169.254.200.31/32",
    mac: "02:00:00:00:31:c8",
  };
  await addVrf(edge, links, edgeVrfConfig("65000:200"));
  return edge;
}

function edgeVrfConfig(target: string): string {
  return `vrf vrf-${tenant.number}
 vni ${tenant.vni}
exit-vrf
router bgp 65000 vrf vrf-${tenant.number}
 bgp router-id ${edgeAddress}
 address-family ipv4 unicast
  network ${outsidePrefix}
 exit-address-family
 address-family l2vpn evpn
  advertise ipv4 unicast
  rd ${edgeAddress}:${tenant.number}
  route-target import ${target}
  route-target export ${target}
 exit-address-family
exit
`;
}

/** Makes the first reflector a peer of the edge, too, once no node's routes are new to it. */
export async function giveFirstReflector(edge: Router): Promise<void> {
  const [address] = reflectorAddresses;
  await edge.configure(`router bgp 65000
 neighbor ${address} remote-as 65000
 address-family l2vpn evpn
  neighbor ${address} activate
 exit-address-family
exit
`);
  await until("the edge to hear both reflectors", patience, async () => {
    const shown = await askFrr(edge.machine, "bgpd", "show bgp l2vpn evpn summary established");
    return shown.includes(address) ? true : undefined;
  });
}

/** Starts a switch of another AS, which passes EVPN routes on as they are; with a password, if one is given. */
export function startSwitch(lab: Lab, password?: string): Promise<Router> {
  const nodes = lab.nodes.map(({ address }) => address);
  const config = `router bgp 65500
 bgp router-id ${switchAddress}
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 neighbor rack peer-group
 neighbor rack remote-as external
 neighbor rack bfd
 neighbor rack timers connect 1
${password === undefined ? "" : ` neighbor rack password ${password}\n`}${
    nodes.map((address) => ` neighbor ${address} peer-group rack`).join("\n")
  }
 address-family l2vpn evpn
  neighbor rack activate
 exit-address-family
exit`;
  return startRouter(lab, { name: "tor", address: switchAddress, config });
}
