/** Cases: Services of service VRFs and of the tenants' own, translated by kube-proxy, on one node and across nodes. */
import assert from "node:assert/strict";
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import { ask } from "../lab/tcp_question.ts";
import { answerAs, answerPort as port, answersTo, type Asking } from "./answers.ts";
import { type ProxyMode, runKubeProxy, type Service } from "./kube_proxy.ts";
import { type Namespace, Segment, succeed } from "./segment.ts";
import { TrafficNode } from "./traffic_node.ts";

/** Has both bits of kube-proxy's in its number. */
const other = 50200;

const services = {
  dnsHere: { clusterIp: "10.96.0.10", endpoint: "10.244.0.2", port },
  dnsThere: { clusterIp: "10.96.0.11", endpoint: "10.244.0.66", port, nodePort: 30080 },
  ownHere: { clusterIp: "10.96.0.20", endpoint: "10.150.0.3", port, nodePort: 30081, local: true },
  ownThere: { clusterIp: "10.96.0.21", endpoint: "10.150.0.66", port },
  itself: { clusterIp: "10.96.0.22", endpoint: "10.150.0.2", port },
} as const satisfies Record<string, Service>;

/**
 * Modes, with and without masquerading of what comes from outside the cluster's range, as tenants do, and with and without bridged packets
 * being shown to iptables and nft, as kubeadm asks for.
 */
const runs: readonly { mode: ProxyMode; clusterCidr: string; bridged: 0 | 1 }[] = [
  { mode: "nftables", clusterCidr: "10.244.0.0/16", bridged: 1 },
  { mode: "iptables-nft", clusterCidr: "10.0.0.0/8", bridged: 1 },
  { mode: "iptables-legacy", clusterCidr: "10.244.0.0/16", bridged: 0 },
];

/** Two nodes with a service VRF and two tenants of the same addresses, on the first node too. */
class Cluster implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();

  private constructor(
    readonly segment: Segment,
    readonly nodes: readonly [TrafficNode, TrafficNode],
  ) {
    this.#stack.use(segment);
    for (const node of nodes) this.#stack.use(node);
  }

  static async create(backend: VrfBackend): Promise<Cluster> {
    const segment = await Segment.create(2);
    const nodes = [
      new TrafficNode(segment, backend, 0),
      new TrafficNode(segment, backend, 1),
    ] as const;
    const cluster = new Cluster(segment, nodes);
    try {
      for (const [index, node] of nodes.entries()) {
        const last = index * 64;
        await node.carry([
          { vrf: 42, prefix: "10.244.0.0", blocks: [`10.244.0.${last}`] },
          { vrf: 200, blocks: [`10.150.0.${last}`] },
          { vrf: other, blocks: [`10.150.0.${last}`] },
        ]);
      }
      await TrafficNode.join(...nodes, 42, 200, other);
      return cluster;
    } catch (thrown) {
      await cluster[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  /** A pod that answers with its name and whom it saw; with `keep` its connections stay open. */
  async pod(
    node: 0 | 1,
    name: string,
    vrf: number,
    address: string,
    keep = false,
  ): Promise<Namespace> {
    const pod = await this.nodes[node].pod(this.segment, name, vrf, address);
    this.#stack.use(answerAs(name, pod, keep));
    return pod;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** Registers the cases for a backend. */
export function registerServiceCases(backend: VrfBackend): void {
  const test = (name: string, fn: () => Promise<void>) => Deno.test(`${backend}: ${name}`, fn);

  for (const { mode, clusterCidr, bridged } of runs) {
    test(`Services answer to tenants on both nodes with kube-proxy in ${mode}, and to nobody else`, async () => {
      await using cluster = await Cluster.create(backend);
      const [here] = cluster.nodes;
      await cluster.pod(0, "dns-here", 42, "10.244.0.2");
      await cluster.pod(1, "dns-there", 42, "10.244.0.66");
      const tenant = await cluster.pod(0, "pod-a", 200, "10.150.0.2");
      await cluster.pod(0, "neighbor", 200, "10.150.0.3");
      await cluster.pod(1, "there", 200, "10.150.0.66");
      const overlapping = await cluster.pod(0, "pod-b", other, "10.150.0.2");
      const sysctl = `net.bridge.bridge-nf-call-iptables=${bridged}`;
      await succeed(here.host.command("sysctl", "-qw", sysctl));
      await runKubeProxy(here.host, mode, { clusterCidr, services: Object.values(services) });
      const gateway = here.gateway(42);
      const { outside } = cluster.segment;
      const { dnsHere, dnsThere, ownHere, ownThere, itself } = services;
      const from = (who: Namespace, ...whom: readonly Service[]) =>
        whom.map(({ clusterIp }): Asking => [who, clusterIp, 80]);
      const dns = [`dns-here ${gateway}`, `dns-there ${gateway}`];
      assert.deepEqual(
        await answersTo(
          ...from(tenant, dnsHere, dnsThere),
          ...from(overlapping, dnsHere, dnsThere, ownHere),
          ...from(here.host, dnsHere, dnsThere),
          [outside, here.address, 30080],
          [outside, here.address, 30081],
        ),
        [
          ...dns,
          ...dns,
          undefined,
          ...dns,
          `dns-there ${gateway}`,
          `neighbor ${Segment.outsideAddress}`,
        ],
      );
      const own = await answersTo(...from(tenant, ownHere, ownThere, itself));
      assert.deepEqual(own.map((answer) => answer?.split(" ")[0]), ["neighbor", "there", "pod-a"]);
    });
  }

  test("a tenant reaches another whose route target it imports, on the other node, and not the other way round", async () => {
    await using segment = await Segment.create(2);
    using here = new TrafficNode(segment, backend, 0);
    using there = new TrafficNode(segment, backend, 1);
    for (const [index, node] of [[0, here], [1, there]] as const) {
      await node.carry([
        { vrf: 200, blocks: [`10.150.0.${index * 64}`], imports: ["65000:400"], egress: "none" },
        { vrf: 400, prefix: "10.140.0.0", blocks: [`10.140.0.${index * 64}`] },
      ]);
    }
    await TrafficNode.join(here, there, 200, 400);
    const tenant = await here.pod(segment, "tenant", 200, "10.150.0.2");
    const near = await here.pod(segment, "near", 400, "10.140.0.2");
    const far = await there.pod(segment, "far", 400, "10.140.0.66");
    await using _tenant = answerAs("tenant", tenant);
    await using _near = answerAs("near", near);
    await using _far = answerAs("far", far);
    assert.deepEqual(
      await answersTo(
        [tenant, "10.140.0.2"],
        [tenant, "10.140.0.66"],
        [near, "10.150.0.2"],
        [far, "10.150.0.2"],
      ),
      [`near ${here.gateway(400)}`, `far ${here.gateway(400)}`, undefined, undefined],
    );
  });

  test("two tenants with the same address and port are answered each by its own, through NAT and in a service VRF", async () => {
    await using cluster = await Cluster.create(backend);
    // Connections stay open: the state of an ended one gives way to whoever asks again from its port.
    await cluster.pod(1, "dns-there", 42, "10.244.0.66", true);
    const pods = [
      await cluster.pod(0, "pod-a", 200, "10.150.0.2"),
      await cluster.pod(0, "pod-b", other, "10.150.0.2"),
    ];
    await using _outside = answerAs("outside", cluster.segment.outside, true);
    const questions = pods.flatMap(({ path: netns }) =>
      ["10.244.0.66", Segment.outsideAddress].map((address, index) => ({
        netns,
        address,
        port,
        from: { port: 40000 + index },
      }))
    );
    const answers = await ask(questions);
    assert.deepEqual(
      answers.map((answer) => answer?.name),
      ["dns-there", "outside", "dns-there", "outside"],
    );
  });
}
