/** A router of the operator beside the stretched lab: plain FRR, which takes the routed tenant's routes and has a host behind it. */
import type { Lab } from "./lab.ts";
import { addHost, addVrf, type Router, startRouter } from "./routers.ts";
import { routed } from "./stretched_lab.ts";

/** Address of the router on the underlay. */
export const edgeAddress = "192.168.124.31";
/** The host behind it. */
export const customer = { name: "customer", address: "1.2.3.4/24", gateway: "1.2.3.1" } as const;

/** A router with the routed tenant, and the host's namespace on it. */
export interface StretchedEdge extends AsyncDisposable {
  /** The router. */
  readonly router: Router;
  /** Path of the host's namespace on the router. */
  readonly hostNetns: string;
}

/** Starts the router. The nodes have to be told of it. */
export async function startEdge(lab: Lab): Promise<StretchedEdge> {
  const router = await startRouter(lab, {
    name: "edge",
    address: edgeAddress,
    config: `router bgp 65000
 bgp router-id ${edgeAddress}
 no bgp default ipv4-unicast
${lab.nodes.map(({ address }) => ` neighbor ${address} remote-as 65000`).join("\n")}
 address-family l2vpn evpn
${lab.nodes.map(({ address }) => `  neighbor ${address} activate`).join("\n")}
  advertise-all-vni
 exit-address-family
exit`,
  });
  try {
    const { vrf: number } = routed;
    const links = { local: edgeAddress, gateway: "169.254.200.31/32", mac: "02:00:00:00:31:c8" };
    await addVrf(router, { number, vni: 50501, ...links }, vrfConfig(number));
    const hostNetns = await addHost(router, number, customer);
    return { router, hostNetns, [Symbol.asyncDispose]: () => router[Symbol.asyncDispose]() };
  } catch (error) {
    await router[Symbol.asyncDispose]();
    throw error;
  }
}

function vrfConfig(number: number): string {
  return `vrf vrf-${number}
 vni 50501
exit-vrf
router bgp 65000 vrf vrf-${number}
 bgp router-id ${edgeAddress}
 address-family ipv4 unicast
  redistribute connected
 exit-address-family
 address-family l2vpn evpn
  advertise ipv4 unicast
  rd ${edgeAddress}:${number}
  route-target import 65000:${number}
  route-target export 65000:${number}
 exit-address-family
exit
`;
}

/** The settings by which the nodes peer with the router besides each other. */
export function settingsWithEdge(lab: Lab): readonly unknown[] {
  return lab.nodes.map((node) => ({
    apiVersion: "cni.pyroute2.org/v1alpha1",
    kind: "VRFNodeConfig",
    metadata: { name: node.name },
    spec: {
      nodeRef: { name: node.name },
      interfaces: [{ name: "eth0", local: node.address }],
      routeReflectors: [
        ...lab.nodes.filter(({ name }) => name !== node.name).map(({ address }) => address),
        edgeAddress,
      ],
    },
  }));
}
