/** A node of a segment that carries domains as the reconciler does: the real plan, kernel adapter, rules and firewall, without FRR. */
import { parsePrefix } from "../../lib/net/prefix.ts";
import type { PoolBlock } from "../../daemon/ipam/port.ts";
import type { VrfBackend, VrfSpec } from "../../daemon/kernel/port.ts";
import { firewallModel, vrfNamespaces } from "../../daemon/reconcile/firewall_model.ts";
import { createNodeFirewall, type NodeFirewall } from "../../daemon/firewall/node_firewall.ts";
import { planNode } from "../../daemon/reconcile/plan.ts";
import type { PlanDomain, PlanInput } from "../../daemon/reconcile/plan_input.ts";
import { pointTo6 } from "./dual_stack_cases.ts";
import { gatewayOf, gatewayOf6, KernelNode, pointTo } from "./kernel_node.ts";
import type { Namespace, Segment } from "./segment.ts";

/** What a test wants of a domain; the rest follows. */
export interface DomainWish {
  /** VRF number; table and VNI follow from it. */
  readonly vrf: number;
  /** Blocks of a /26 each that this node holds, by their network addresses. */
  readonly blocks: readonly string[];
  /** The prefix; that of all tenants when absent. */
  readonly prefix?: string;
  /** The IPv6 prefix, a /48; without it the domain has no IPv6. */
  readonly prefix6?: string;
  /** Blocks of a /64 each that this node holds, by their network addresses. */
  readonly blocks6?: readonly string[];
  /** The way out. */
  readonly egress?: PlanDomain["egress"];
  /** Route targets of other domains that it imports. */
  readonly imports?: readonly string[];
  /** Type of its overlay. */
  readonly type?: "l3vni" | "l2vni";
}

/** Tables below it are of service VRFs. */
const serviceVrfMax = 512;

/** The table of a VRF: of a service VRF where its number is small. */
export function tableOf(vrf: number): number {
  return vrf < serviceVrfMax / 4 ? vrf : vrf * 10 + 200;
}

/** A node that carries domains. */
export class TrafficNode implements Disposable {
  /** The node with its kernel adapter. */
  readonly node: KernelNode;
  /** Its firewall. */
  readonly firewall: NodeFirewall;
  readonly #index: number;
  readonly #hint: { readonly ifname: string; readonly address: string };
  #specs: ReadonlyMap<number, VrfSpec> = new Map();

  /** Opens a node of a segment, by number from 0; it carries nothing yet. */
  constructor(segment: Segment, backend: VrfBackend, index = 0) {
    this.node = new KernelNode(segment, backend, index);
    this.firewall = createNodeFirewall(this.node.place.host.path);
    this.#index = index;
    this.#hint = { ifname: "eth0", address: this.node.place.address };
  }

  /** The host's namespace. */
  get host(): Namespace {
    return this.node.place.host;
  }

  /** The address on the underlay. */
  get address(): string {
    return this.node.place.address;
  }

  /** Carries exactly these domains. */
  async carry(wishes: readonly DomainWish[], change: Partial<PlanInput> = {}): Promise<void> {
    const { kernel } = this.node;
    const { signal } = new AbortController();
    const underlay = kernel.underlay(this.#hint);
    const plan = planNode({
      node: `node-${this.#index}`,
      underlay,
      asn: 65000,
      routerId: underlay.address,
      peers: [],
      domains: wishes.map(domainOf),
      blocks: wishes.flatMap(blocksOf),
      ports: new Map(),
      policies: [],
      serviceVrfMax,
      outward: kernel.outwardLinks(underlay),
      ...change,
    });
    this.#specs = new Map(plan.vrfs.map((spec) => [spec.vrf, spec]));
    for (const spec of plan.vrfs) this.node.apply(spec);
    for (const vrf of kernel.observe().vrfs.values()) {
      if (!this.#specs.has(vrf.vrf)) await this.node.remove(vrf);
    }
    kernel.syncRules(plan.rules);
    await this.firewall.sync(firewallModel(kernel, plan, plan.vrfs), signal);
    const namespaces = vrfNamespaces(kernel, plan.vrfs);
    const problems = await this.firewall.syncNamespaces(namespaces, signal);
    if (problems.length > 0) throw new Error(problems.join("; "));
  }

  /** Plugs a new pod into a VRF. */
  pod(segment: Segment, name: string, vrf: number, address: string): Promise<Namespace> {
    return this.node.pod(segment, name, vrf, address);
  }

  /** The same with an IPv6 address besides. */
  dualPod(
    segment: Segment,
    name: string,
    vrf: number,
    addresses: readonly [string, string],
  ): Promise<Namespace> {
    return this.node.dualPod(segment, name, vrf, addresses);
  }

  /** The gateway of a VRF's first block. */
  gateway(vrf: number): string {
    return gatewayOf(this.#spec(vrf).blocks[0] ?? "");
  }

  /** Makes two nodes know each other's blocks of a VRF, as BGP does. */
  static async join(a: TrafficNode, b: TrafficNode, ...vrfs: readonly number[]): Promise<void> {
    for (const vrf of vrfs) {
      for (const [from, to] of [[a, b], [b, a]] as const) {
        await pointTo(from.node, from.#spec(vrf), to.#spec(vrf));
        const dual = to.#spec(vrf).prefixes.some((prefix) => prefix.includes(":"));
        if (dual) await pointTo6(from.node, from.#spec(vrf), to.#spec(vrf));
      }
    }
  }

  /** Closes the kernel; what it made stays. */
  [Symbol.dispose](): void {
    this.node[Symbol.dispose]();
  }

  #spec(vrf: number): VrfSpec {
    const spec = this.#specs.get(vrf);
    if (spec === undefined) throw new Error(`The node does not carry VRF ${vrf}`);
    return spec;
  }
}

function domainOf(wish: DomainWish): PlanDomain {
  const { vrf, prefix = "10.150.0.0", prefix6, egress, type = "l3vni", imports } = wish;
  return {
    name: `vrf-${vrf}`,
    vrf,
    table: tableOf(vrf),
    prefixes: [`${prefix}/16`, ...prefix6 === undefined ? [] : [`${prefix6}/48`]].map(parsePrefix),
    attachments: [{ type, vni: 50_000 + vrf, port: 4789 }],
    egress,
    ...imports === undefined ? {} : { routeTargets: { import: imports } },
  };
}

function blocksOf({ vrf, blocks, blocks6 = [] }: DomainWish): PoolBlock[] {
  const block = (cidr: string, gateway: string) => ({
    name: `vrf-${vrf}-${cidr.replaceAll(/[.:/]/g, "-")}`,
    vrf,
    cidr,
    gateway,
    allocated: 1,
    capacity: 62,
  });
  return [
    ...blocks.map((each) => block(`${each}/26`, gatewayOf(each))),
    ...blocks6.map((each) => block(`${each}/64`, gatewayOf6(each))),
  ];
}
