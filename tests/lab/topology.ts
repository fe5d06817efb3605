/** Who is in the lab, and what everyone should reach. Pure. */

/** A node of the lab. */
export interface LabNode {
  /** Node name. */
  readonly name: string;
  /** Address on the underlay. */
  readonly address: string;
}

/** A tenant of the lab. */
export interface LabTenant {
  /** Name of the VRFDomain. */
  readonly name: string;
  /** VRF number. */
  readonly vrf: number;
  /** Routing table. */
  readonly table: number;
  /** L3VNI. */
  readonly vni: number;
  /** Namespaces bound to it. */
  readonly namespace: string;
}

/** A pod of the lab. */
export interface LabPod {
  /** Pod name; also what it answers. */
  readonly name: string;
  /** Name of the node it runs on. */
  readonly node: string;
  /** Its Kubernetes namespace. */
  readonly namespace: string;
  /** Its tenant's name. */
  readonly tenant: string;
  /** UID of its object; absent where the API has none, as for a container that a person starts. */
  readonly uid?: string;
}

/** The network that joins the machines. */
export interface LabUnderlay {
  /** Its prefix. */
  readonly cidr: string;
  /** The machine with the API server and the nodes' default gateway. */
  readonly api: string;
  /** A host without any route to the tenants. */
  readonly outside: string;
  /** Interface of every machine. */
  readonly ifname: string;
}

/** The underlay. */
export const underlay = {
  /** CIDR of the underlay. */
  cidr: "192.168.124.0/24",
  /** The machine with the API server and the nodes' default gateway. */
  api: "192.168.124.1",
  /** A host without any route to the tenants. */
  outside: "192.168.124.100",
  /** Interface of every machine. */
  ifname: "eth0",
} as const;

/** An underlay of IPv6 alone. */
export const underlay6: LabUnderlay = {
  cidr: "fd00:124::/64",
  api: "fd00:124::1",
  outside: "fd00:124::100",
  ifname: "eth0",
};

/** What the outside host answers. */
export const outsideName = "outside";

/** TCP port on which pods and the outside host answer with their name. */
export const answerPort = 7777;

/** The prefix that both tenants use. */
export const tenantPrefix = "10.150.0.0/16";

/** Two tenants with the same prefix. */
export const tenants: readonly LabTenant[] = [
  { name: "tenant-a", vrf: 200, table: 2200, vni: 50200, namespace: "team-a" },
  { name: "tenant-b", vrf: 300, table: 2300, vni: 50300, namespace: "team-b" },
];

/** The default domain's name: pods of unbound namespaces go there. */
export const defaultTenant = "vrf-42";

/** Nodes of a lab. @param count How many @param on Their network */
export function labNodes(count: number, on: LabUnderlay = underlay): readonly LabNode[] {
  const prefix = on.api.slice(0, -"1".length);
  return Array.from({ length: count }, (_, index) => ({
    name: `node${index + 1}`,
    address: `${prefix}${11 + index}`,
  }));
}

/**
 * On each node a pod of each tenant and of the default domain; and one more of the first tenant on the first node, whose
 * address nobody has in the other tenant.
 */
export function labPods(nodes: readonly LabNode[]): readonly LabPod[] {
  const spaces = [
    ...tenants.map(({ name, namespace }) => ({ tenant: name, namespace, prefix: namespace })),
    { tenant: defaultTenant, namespace: "default", prefix: "plain" },
  ];
  const pods = nodes.flatMap((node, index) =>
    spaces.map(({ tenant, namespace, prefix }) => ({
      name: `${prefix}-${index + 1}`,
      node: node.name,
      namespace,
      tenant,
    }))
  );
  const first = pods[0];
  return first === undefined ? pods : [...pods, { ...first, name: `${first.namespace}-x` }];
}

/** One cell of the reachability matrix. */
export interface Cell {
  /** Name of the source. */
  readonly from: string;
  /** Name of whom the address belongs to. */
  readonly to: string;
  /** The address tried. */
  readonly address: string;
  /** Who must answer: a name, or null for nobody. */
  readonly expected: string | null;
}

/** A pod with the address that it was given. */
export interface PlacedPod extends LabPod {
  /** The pod's address. */
  readonly address: string;
}

/**
 * The matrix: every pod to every pod's address, every node to its own pods, every pod to the outside host.
 *
 * An address that belongs to pods of several tenants is answered by the one of the caller's own tenant; an address that is
 * not in the caller's tenant by nobody. The default domain is a service VRF: its pods answer everyone, on each node.
 */
export function expectedMatrix(
  nodes: readonly LabNode[],
  pods: readonly PlacedPod[],
): readonly Cell[] {
  const answering = (from: PlacedPod, address: string) =>
    [from.tenant, defaultTenant].map((tenant) =>
      pods.find((pod) => pod.tenant === tenant && pod.address === address)?.name
    ).find((name) => name !== undefined) ?? null;
  const fromPods = pods.flatMap((from) => [
    ...pods.filter((to) => to !== from).map((to) => ({
      from: from.name,
      to: to.name,
      address: to.address,
      expected: answering(from, to.address),
    })),
    { from: from.name, to: outsideName, address: underlay.outside, expected: outsideName },
  ]);
  const fromNodes = nodes.flatMap((node) =>
    pods.filter((pod) => pod.node === node.name).map((pod) => ({
      from: node.name,
      to: pod.name,
      address: pod.address,
      expected: pod.name,
    }))
  );
  return [...fromPods, ...fromNodes];
}
