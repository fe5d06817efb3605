/** Cases: packets get where they shall, and nowhere else. */
import assert from "node:assert/strict";
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import { KernelNode, pointTo, prefix } from "./kernel_node.ts";
import { Answerer, Segment, succeed } from "./segment.ts";

const port = 8080;

/** Registers the cases for a backend. */
export function registerPacketCases(backend: VrfBackend): void {
  const test = (name: string, fn: () => Promise<void>) => Deno.test(`${backend}: ${name}`, fn);

  test("pods of one VRF reach each other, with the same addresses in two VRFs", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    for (const vrf of [200, 300]) node.apply(node.spec({ vrf, blocks: ["10.150.0.0"] }));
    const client200 = await node.pod(segment, "a200", 200, "10.150.0.2");
    const client300 = await node.pod(segment, "a300", 300, "10.150.0.2");
    const server200 = await node.pod(segment, "b200", 200, "10.150.0.3");
    const server300 = await node.pod(segment, "b300", 300, "10.150.0.3");
    await using _200 = new Answerer(server200, port, () => "200");
    await using _300 = new Answerer(server300, port, () => "300");
    assert.deepEqual(
      await Promise.all([client200.ask("10.150.0.3", port), client300.ask("10.150.0.3", port)]),
      ["200", "300"],
    );
  });

  test("pods on two nodes reach each other through VXLAN", async () => {
    await using segment = await Segment.create(2);
    using left = new KernelNode(segment, backend, 0);
    using right = new KernelNode(segment, backend, 1);
    const specs = [
      left.spec({ vrf: 200, blocks: ["10.150.0.0"] }),
      right.spec({ vrf: 200, blocks: ["10.150.0.64"] }),
    ] as const;
    left.apply(specs[0]);
    right.apply(specs[1]);
    await pointTo(left, specs[0], specs[1]);
    await pointTo(right, specs[1], specs[0]);
    const client = await left.pod(segment, "pod1", 200, "10.150.0.2");
    const server = await right.pod(segment, "pod2", 200, "10.150.0.66");
    await using _server = new Answerer(server, port, (peer) => `pod2 saw ${peer}`);
    assert.equal(await client.ask("10.150.0.66", port), "pod2 saw 10.150.0.2");
  });

  test("a node reaches its own pods, and no address in its pods' prefix that is not there", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    node.apply(spec);
    const pod = await node.pod(segment, "pod1", 200, "10.150.0.2");
    await using _server = new Answerer(pod, port, () => "pod1");
    assert.equal(await node.place.host.ask("10.150.0.2", port), undefined);
    node.kernel.syncRules([
      { priority: 32000, table: spec.table, iifname: "lo", dst: "10.150.0.0/26" },
    ]);
    assert.equal(await node.place.host.ask("10.150.0.2", port), "pod1");
  });

  test("pods reach an outside host that knows no way back, through NAT, and stray packets stay in", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { host, address } = node.place;
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    node.apply(spec);
    const pod = await node.pod(segment, "pod1", 200, "10.150.0.2");
    const [ingress] = node.kernel.ingressInterfaces(spec);
    await succeed(
      host.command("nft", "-f", "-"),
      `table ip natted {
        chain marks {
          type filter hook prerouting priority -150;
          iifname "${ingress}" ct state new ct mark set 200
          ct mark 200 meta mark set 200
        }
        chain out {
          type nat hook postrouting priority 100;
          oifname "eth0" ip saddr ${prefix} ip daddr != ${prefix} masquerade
        }
      }`,
    );
    node.kernel.syncRules([{ priority: 32000, table: spec.table, fwmark: 200 }]);
    await segment.outside.ip(
      "address add 172.30.0.1/32 dev br0",
      "address add 10.150.9.9/32 dev br0",
    );
    await using _server = new Answerer(segment.outside, port, (peer) => `outside saw ${peer}`);
    const answers = await Promise.all([
      pod.ask(Segment.outsideAddress, port),
      pod.ask("172.30.0.1", port),
      pod.ask("10.150.9.9", port),
    ]);
    assert.deepEqual(answers, [`outside saw ${address}`, `outside saw ${address}`, undefined]);
  });
}
