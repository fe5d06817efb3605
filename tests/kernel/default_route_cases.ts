/** Cases: a VRF that learns a default route from the fabric uses it, and loses neither its services nor their answers over it. */
import assert from "node:assert/strict";
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import { answerAs, answerPort, answersTo } from "./answers.ts";
import { runKubeProxy } from "./kube_proxy.ts";
import { Segment } from "./segment.ts";
import { tableOf, TrafficNode } from "./traffic_node.ts";

/** An address behind the provider edge. */
const beyond = "172.33.0.1";

/** Registers the cases for a backend. */
export function registerDefaultRouteCases(backend: VrfBackend): void {
  for (const egress of ["nat", "routed", "none"] as const) {
    Deno.test(`${backend}: a VRF's own default route is used with egress "${egress}", and hides no service`, async () => {
      await using segment = await Segment.create(1);
      using node = new TrafficNode(segment, backend);
      await node.carry([
        { vrf: 42, prefix: "10.244.0.0", blocks: ["10.244.0.0"] },
        { vrf: 200, blocks: ["10.150.0.0"], egress },
      ], { serviceCidrs: ["10.96.0.0/12"] });
      const pod = await node.pod(segment, "pod", 200, "10.150.0.2");
      const dns = await node.pod(segment, "dns", 42, "10.244.0.2");
      const edge = await node.pod(segment, "edge", 200, "10.150.0.9");
      await edge.ip(`address add ${beyond}/32 dev lo`);
      const routes = backend === "device" ? [tableOf(42), tableOf(200)] : ["main", "main"];
      await node.node.space(200).ip(
        `route add default via 10.150.0.9 dev l3br-200 proto bgp metric 20 table ${routes[1]}`,
      );
      // Nobody is there: an answer that went this way would be lost.
      await node.node.space(42).ip(
        `route add default via 10.244.0.9 dev l3br-42 proto bgp metric 20 table ${routes[0]}`,
      );
      await using _edge = answerAs("edge", edge);
      await using _dns = answerAs("dns", dns);
      await using _pod = answerAs("pod", pod);
      await runKubeProxy(node.host, "nftables", {
        clusterCidr: "10.244.0.0/16",
        services: [{ clusterIp: "10.96.0.10", endpoint: "10.244.0.2", port: answerPort }],
      });
      assert.deepEqual(
        await answersTo(
          [pod, beyond],
          [pod, "10.244.0.2"],
          [pod, "10.96.0.10", 80],
          [node.host, "10.150.0.2"],
        ),
        [
          "edge 10.150.0.2",
          `dns ${node.gateway(42)}`,
          `dns ${node.gateway(42)}`,
          `pod ${node.gateway(200)}`,
        ],
      );
    });
  }
}
