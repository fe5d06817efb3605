/** The soak's tenants and pods. Pure. */
import type { LabPod } from "../lab/topology.ts";
import { bridgeName, type OverlayType, vxlanName } from "../../daemon/kernel/names.ts";
import type { Egress } from "../../daemon/firewall/model.ts";

/** An attachment to the fabric. */
export interface Overlay {
  /** Whether it routes or stretches a subnet. */
  readonly type: OverlayType;
  /** VNI. */
  readonly vni: number;
}

/** A domain of the soak. */
export interface SoakDomain {
  /** Name of the VRFDomain. */
  readonly name: string;
  /** VRF number. */
  readonly vrf: number;
  /** Routing table. */
  readonly table: number;
  /** What it is attached to the fabric by; pods attach to the first one. */
  readonly overlays: readonly Overlay[];
  /** Address ranges, IPv4 first. */
  readonly ranges: readonly { readonly cidr: string; readonly blockLength: number }[];
  /** Where packets go that no route of the VRF answers. */
  readonly egress: Egress;
}

/** Names of an overlay's links on every node. */
export function linksOf(
  { vrf }: SoakDomain,
  { type, vni }: Overlay,
): { readonly bridge: string; readonly vxlan: string } {
  return { bridge: bridgeName(type, vrf), vxlan: vxlanName(type, vni) };
}

/** The bridge that a domain's pods are ports of. */
export function podBridge({ vrf, overlays }: SoakDomain): string {
  return bridgeName(overlays[0]?.type ?? "l3vni", vrf);
}

/** The VNI of a type that a domain has. */
export function vniOf({ overlays }: SoakDomain, type: OverlayType): number | undefined {
  return overlays.find((overlay) => overlay.type === type)?.vni;
}

function domain(
  name: string,
  vrf: number,
  ranges: SoakDomain["ranges"],
  { egress = "nat", types = ["l3vni"] }: {
    readonly egress?: Egress;
    readonly types?: readonly OverlayType[];
  } = {},
): SoakDomain {
  const overlays = types.map((type, index) => ({ type, vni: 50000 + vrf + index }));
  return { name, vrf, table: 2000 + vrf, overlays, ranges, egress };
}

/** Two tenants have the same prefix, in blocks of five pods: nodes claim and release them all the time. */
const shared = [{ cidr: "10.150.0.0/16", blockLength: 29 }];

/** The tenants. */
export const tenants: readonly SoakDomain[] = [
  domain("soak-a", 200, shared),
  domain("soak-b", 300, shared),
  domain("soak-c", 310, [
    { cidr: "10.160.0.0/16", blockLength: 28 },
    { cidr: "fd00:160::/48", blockLength: 64 },
  ]),
  domain("soak-d", 320, [{ cidr: "10.170.0.0/16", blockLength: 28 }], { egress: "none" }),
  domain("soak-e", 330, [{ cidr: "10.190.0.0/16", blockLength: 29 }], { types: ["l2vni"] }),
  domain("soak-f", 340, [{ cidr: "10.200.0.0/16", blockLength: 29 }], {
    types: ["l2vni", "l3vni"],
  }),
];

/** The domain that a node makes where there is none; it stays, without pods, and is a service VRF. */
export const defaultDomain: SoakDomain = {
  name: "vrf-42",
  vrf: 42,
  table: 42,
  overlays: [{ type: "l3vni", vni: 42 }],
  ranges: [{ cidr: "10.244.0.0/16", blockLength: 26 }],
  egress: "nat",
};

/** Domains that come and go, without pods. */
export const passing: readonly SoakDomain[] = [400, 401].map((vrf, index) =>
  domain(`passing-${index}`, vrf, [{ cidr: `10.18${index}.0.0/16`, blockLength: 28 }])
);

/** A domain that operations name. @throws {Error} When the soak has none of that name */
export function domainNamed(name: string): SoakDomain {
  const domain = [...tenants, ...passing].find((each) => each.name === name);
  if (domain === undefined) throw new Error(`The soak has no domain "${name}"`);
  return domain;
}

/** The namespace whose binding changes, and the tenants that it is bound to in turns: their prefixes tell them apart. */
export const roaming = { namespace: "soak-roam", between: ["soak-c", "soak-d"] } as const;

const namespaces = [
  ...tenants.map(({ name }) => ({ namespace: name, tenant: name })),
  { namespace: roaming.namespace, tenant: roaming.between[0] },
];

/** Namespaces with the tenants that they are bound to at first. */
export const firstBindings: readonly { readonly namespace: string; readonly tenant: string }[] =
  namespaces;

/**
 * The soak's pods: the same names, nodes and namespaces whatever happens.
 *
 * @param count How many
 * @param nodes Names of the nodes
 */
export function soakPods(count: number, nodes: readonly string[]): readonly LabPod[] {
  return Array.from({ length: count }, (_, index) => {
    const home = namespaces[Math.floor(index / nodes.length) % namespaces.length];
    const node = nodes[index % nodes.length];
    if (home === undefined || node === undefined) throw new RangeError("Expected a node");
    return { name: `soak-${String(index).padStart(2, "0")}`, node, ...home };
  });
}
