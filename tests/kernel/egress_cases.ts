/** Cases: where packets go that no route of their VRF answers, and that the node reaches its pods whatever the way out. */
import assert from "node:assert/strict";
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import { answerAs, answersTo } from "./answers.ts";
import { Segment } from "./segment.ts";
import { type DomainWish, TrafficNode } from "./traffic_node.ts";

const service = { vrf: 42, prefix: "10.244.0.0", blocks: ["10.244.0.0"] };

/** Registers the cases for a backend. */
export function registerEgressCases(backend: VrfBackend): void {
  Deno.test(`${backend}: nat, routed and none: who outside sees whom, and the node reaches its pods in each`, async () => {
    await using segment = await Segment.create(1);
    using node = new TrafficNode(segment, backend);
    const carry = (egress: DomainWish["egress"]) =>
      node.carry([service, {
        vrf: 200,
        blocks: ["10.150.0.0"],
        ...egress === undefined ? {} : { egress },
      }]);
    await carry(undefined);
    const pod = await node.pod(segment, "pod", 200, "10.150.0.2");
    const dns = await node.pod(segment, "dns", 42, "10.244.0.2");
    await segment.outside.ip(`route add 10.150.0.0/26 via ${node.address}`);
    await using _outside = answerAs("outside", segment.outside);
    await using _host = answerAs("node", node.host);
    await using _pod = answerAs("pod", pod);
    await using _dns = answerAs("dns", dns);
    const look = async () => {
      const [outside, host, dns, health, inbound] = await answersTo(
        [pod, Segment.outsideAddress],
        [pod, node.address],
        [pod, "10.244.0.2"],
        [node.host, "10.150.0.2"],
        [segment.outside, "10.150.0.2"],
      );
      return { outside, host: host?.split(" ")[0], dns, health, inbound };
    };
    const always = { dns: `dns ${node.gateway(42)}`, health: `pod ${node.gateway(200)}` };
    assert.deepEqual(await look(), {
      ...always,
      outside: `outside ${node.address}`,
      host: "node",
      inbound: undefined,
    });
    await carry("routed");
    assert.deepEqual(await look(), {
      ...always,
      outside: "outside 10.150.0.2",
      host: "node",
      inbound: `pod ${Segment.outsideAddress}`,
    });
    await carry("none");
    assert.deepEqual(await look(), {
      ...always,
      outside: undefined,
      host: undefined,
      inbound: undefined,
    });
  });

  Deno.test(`${backend}: pods leave masqueraded by a default route that is not the underlay's`, async () => {
    await using segment = await Segment.create(1);
    using node = new TrafficNode(segment, backend);
    const exit = await segment.outsideHost("exit", "192.168.124.200");
    await exit.ip("link add eth1 type bridge", "address add 10.9.9.254/24 dev eth1");
    const name = exit.path.slice("/run/netns/".length);
    await node.host.ip(
      `link add eth1 type veth peer name far netns ${name}`,
      "address add 10.9.9.1/24 dev eth1",
      "link set eth1 up",
    );
    await exit.ip("link set far master eth1 up", "link set eth1 up");
    await node.host.ip("route replace default via 10.9.9.254");
    await node.carry([{ vrf: 200, blocks: ["10.150.0.0"] }]);
    const pod = await node.pod(segment, "pod", 200, "10.150.0.2");
    await exit.ip("address add 172.30.0.1/32 dev lo");
    await using _exit = answerAs("exit", exit);
    await using _outside = answerAs("outside", segment.outside);
    assert.deepEqual(await answersTo([pod, "172.30.0.1"], [pod, Segment.outsideAddress]), [
      "exit 10.9.9.1",
      `outside ${node.address}`,
    ]);
  });
}
