/** Cases: the way out and services of domains with IPv6. */
import assert from "node:assert/strict";
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import { answerAs, answersTo } from "./answers.ts";
import { gatewayOf6 } from "./kernel_node.ts";
import { Segment, succeed } from "./segment.ts";
import { type DomainWish, TrafficNode } from "./traffic_node.ts";

const outside6 = "fd00:1::254";
/** Blocks of the first and the second node. */
const tenantBlocks = ["fd00:150:0:1::", "fd00:150:0:2::"] as const;
const serviceBlocks = ["fd00:244:0:1::", "fd00:244:0:2::"] as const;

function tenant(vrf: number, index: 0 | 1, egress: DomainWish["egress"] = "nat"): DomainWish {
  return {
    vrf,
    blocks: [`10.150.0.${index * 64}`],
    prefix6: "fd00:150::",
    blocks6: [tenantBlocks[index]],
    egress,
  };
}

function service(index: 0 | 1): DomainWish {
  return {
    vrf: 42,
    prefix: "10.244.0.0",
    blocks: [`10.244.0.${index * 64}`],
    prefix6: "fd00:244::",
    blocks6: [serviceBlocks[index]],
  };
}

/** Gives the underlay IPv6, the node a default route, and the outside host a route to its pods. */
async function connect6(segment: Segment, node: TrafficNode): Promise<void> {
  await segment.outside.ip(`address add ${outside6}/64 dev br0 nodad`);
  await segment.outside.ip6(`route add ${tenantBlocks[0]}/64 via fd00:1::1`);
  await node.host.ip("address add fd00:1::1/64 dev eth0 nodad");
  await node.host.ip6(`route add default via ${outside6}`);
}

/** Registers the cases for a backend. */
export function registerDualStackEgressCases(backend: VrfBackend): void {
  const test = (name: string, fn: () => Promise<void>) => Deno.test(`${backend}: ${name}`, fn);

  test("over IPv6 a service VRF answers tenants with the same addresses from the other node, and a translated address the own tenant", async () => {
    await using segment = await Segment.create(2);
    using here = new TrafficNode(segment, backend, 0);
    using there = new TrafficNode(segment, backend, 1);
    for (const [index, node] of [[0, here], [1, there]] as const) {
      await node.carry([service(index), tenant(200, index), tenant(300, index)]);
    }
    await TrafficNode.join(here, there, 42, 200, 300);
    const address = `${tenantBlocks[0]}2`;
    const pods = [
      await here.dualPod(segment, "pod-a", 200, ["10.150.0.2", address]),
      await here.dualPod(segment, "pod-b", 300, ["10.150.0.2", address]),
    ] as const;
    const neighbor = await here.dualPod(segment, "near", 200, [
      "10.150.0.3",
      `${tenantBlocks[0]}3`,
    ]);
    const dns = await there.dualPod(segment, "dns", 42, ["10.244.0.66", `${serviceBlocks[1]}2`]);
    await using _dns = answerAs("dns", dns);
    await using _neighbor = answerAs("near", neighbor);
    await succeed(
      here.host.command("nft", "-f", "-"),
      `table ip6 translation {
        chain services {
          type nat hook prerouting priority dstnat;
          ip6 daddr fd00:96::10 tcp dport 80 dnat to [${tenantBlocks[0]}3]:8080
          ip6 daddr fd00:96::11 tcp dport 80 dnat to [${serviceBlocks[1]}2]:8080
        }
      }`,
    );
    const seen = `dns ${gatewayOf6(serviceBlocks[0])}`;
    const answers = await answersTo(
      [pods[0], `${serviceBlocks[1]}2`],
      [pods[1], `${serviceBlocks[1]}2`],
      [pods[0], "fd00:96::11", 80],
      [pods[1], "fd00:96::11", 80],
      [pods[0], "fd00:96::10", 80],
      [pods[1], "fd00:96::10", 80],
    );
    assert.deepEqual(answers.slice(0, 4), [seen, seen, seen, seen]);
    assert.deepEqual([answers[4]?.split(" ")[0], answers[5]], ["near", undefined]);
  });

  test("IPv6 leaves with the pod's address unless it is masqueraded, and not at all without egress", async () => {
    await using segment = await Segment.create(1);
    using node = new TrafficNode(segment, backend);
    const carry = (egress: DomainWish["egress"], nat66 = false) =>
      node.carry([service(0), tenant(200, 0, egress)], { nat66 });
    await carry("nat");
    await connect6(segment, node);
    const address = `${tenantBlocks[0]}2`;
    const pod = await node.dualPod(segment, "pod", 200, ["10.150.0.2", address]);
    const dns = await node.dualPod(segment, "dns", 42, ["10.244.0.2", `${serviceBlocks[0]}2`]);
    await using _outside = answerAs("outside", segment.outside);
    await using _host = answerAs("node", node.host);
    await using _pod = answerAs("pod", pod);
    await using _dns = answerAs("dns", dns);
    const look = async () => {
      const answers = await answersTo(
        [pod, outside6],
        [pod, "fd00:1::1"],
        [pod, `${serviceBlocks[0]}2`],
        [node.host, address],
        [segment.outside, address],
      );
      return answers.map((answer, index) => index === 1 ? answer?.split(" ")[0] : answer);
    };
    const dnsAnswer = `dns ${gatewayOf6(serviceBlocks[0])}`;
    const health = `pod ${gatewayOf6(tenantBlocks[0])}`;
    assert.deepEqual(await look(), [`outside ${address}`, "node", dnsAnswer, health, undefined]);
    await carry("nat", true);
    assert.deepEqual(await look(), ["outside fd00:1::1", "node", dnsAnswer, health, undefined]);
    await carry("routed");
    assert.deepEqual(await look(), [
      `outside ${address}`,
      "node",
      dnsAnswer,
      health,
      `pod ${outside6}`,
    ]);
    await carry("none");
    assert.deepEqual(await look(), [undefined, undefined, dnsAnswer, health, undefined]);
  });
}
