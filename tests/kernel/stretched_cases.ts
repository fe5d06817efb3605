/** Cases: an l2vni's bridge, which stretches a subnet over the nodes. */
import assert from "node:assert/strict";
import type { VrfBackend, VrfSpec } from "../../daemon/kernel/port.ts";
import { bridgeName, podMac, vxlanName } from "../../daemon/kernel/names.ts";
import { KernelNode } from "./kernel_node.ts";
import { Answerer, type Namespace, Segment, succeed } from "./segment.ts";
import { silentPod, stretched, tell, transmitted, vni } from "./stretched_node.ts";

const port = 8080;
const address = "10.150.0.2";

/** Registers the cases for a backend. */
export function registerStretchedCases(backend: VrfBackend): void {
  const test = (name: string, fn: () => Promise<void>) => Deno.test(`${backend}: ${name}`, fn);
  const bridge = bridgeName("l2vni", 200);
  const vxlan = vxlanName("l2vni", vni);
  const neighbour = `neighbour replace ${address} dev ${bridge} lladdr`;

  test("a stretched bridge that was changed by hand is mended", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = stretched(node, "10.150.0.0", address);
    node.apply(spec);
    await silentPod(node, segment, "pod", address);
    node.apply(spec);
    for (
      const line of [
        `link set ${bridge} type bridge ageing_time 30000`,
        `link set ${vxlan} type bridge_slave flood on`,
        `link set ${vxlan} type bridge_slave bcast_flood off`,
        `link set ${vxlan} type bridge_slave mcast_flood off`,
        `neighbour del ${address} dev ${bridge}`,
        `${neighbour} ${podMac(200, address)} nud stale`,
        `${neighbour} 02:00:00:00:00:99 nud permanent`,
        `link set ${bridge} down`,
      ]
    ) {
      await node.space(200).ip(line);
      assert.equal(node.isAsWished(spec), false, `not noticed: ${line}`);
      node.apply(spec);
      const before = node.changes;
      for (const overlay of spec.overlays) node.kernel.ensureOverlay(spec, overlay);
      assert.equal(node.changes, before, `mended twice: ${line}`);
    }
  });

  test("an address that EVPN knows on another node is left to EVPN", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = stretched(node, "10.150.0.0", address);
    node.apply(spec);
    await silentPod(node, segment, "pod", address);
    node.apply(spec);
    await node.space(200).ip(`${neighbour} 02:00:00:00:00:99 extern_learn nud noarp`);
    assert.ok(node.isAsWished(spec));
  });

  test("pods that are not there are not announced", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    node.apply(stretched(node, "10.150.0.0", address));
    assert.deepEqual(await node.space(200).rows("neighbour", "show", "dev", bridge), []);
  });

  test("a stretched bridge made anew knows its pods before they say anything", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = stretched(node, "10.150.0.0", address);
    node.apply(spec);
    await silentPod(node, segment, "pod", address);
    await node.space(200).ip(`link del ${bridge}`);
    node.apply(spec);
    const mac = podMac(200, address);
    assert.ok(await learnt(node.space(200), "pod1", mac));
    const [found] = await node.space(200).rows("neighbour", "show", "dev", bridge);
    assert.deepEqual([found?.dst, found?.lladdr, found?.state], [address, mac, ["PERMANENT"]]);
  });

  test("what zebra has to know is counted, and being told again changes nothing", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = stretched(node, "10.150.0.0", address);
    const [overlay] = spec.overlays;
    assert.ok(overlay);
    assert.equal(countedBefore(node, spec), 1);
    node.apply(spec);
    assert.equal(node.kernel.countAddresses(spec.name, overlay), 1);
    await silentPod(node, segment, "pod", address);
    node.apply(spec);
    assert.equal(node.kernel.countAddresses(spec.name, overlay), 2);
    await node.space(200).ip(
      `neighbour add 10.150.0.66 dev ${bridge} lladdr 02:00:00:00:00:99 extern_learn nud noarp`,
      `neighbour add 10.150.0.67 dev ${bridge} lladdr 02:00:00:00:00:98 nud stale`,
      `neighbour add 10.150.0.68 dev ${bridge} nud failed`,
    );
    assert.equal(node.kernel.countAddresses(spec.name, overlay), 4);
    // The kernel forgets failed ones when it likes.
    const shown = async () => {
      const show = ["-d", "neighbour", "show", "nud", "all", "dev", bridge];
      const neighbours = await node.space(200).rows(...show);
      return neighbours.filter(({ dst }) => dst !== "10.150.0.68");
    };
    const before = await shown();
    const changes = node.changes;
    node.kernel.announcePods(spec.name, overlay);
    // The gateway once, and the pod to another state and back.
    assert.equal(node.changes, changes + 3);
    assert.deepEqual(await shown(), before);
    node.kernel.askAddressesBack(spec.name, overlay);
    assert.deepEqual(await shown(), before.filter(({ dst }) => dst !== "10.150.0.66"));
  });

  test("pods of one subnet on two nodes reach each other, and nothing unknown leaves a node", async () => {
    await using segment = await Segment.create(2);
    using left = new KernelNode(segment, backend, 0);
    using right = new KernelNode(segment, backend, 1);
    const other = "10.150.0.66";
    const specs = [stretched(left, "10.150.0.0", address), stretched(right, "10.150.0.64", other)];
    const [here, there] = specs;
    assert.ok(here && there);
    left.apply(here);
    right.apply(there);
    const client = await silentPod(left, segment, "client", address);
    const server = await silentPod(right, segment, "server", other);
    left.apply(here);
    right.apply(there);
    await tell(left, vxlan, bridge, other, right.place.address);
    await tell(right, vxlan, bridge, address, left.place.address);
    await using _server = new Answerer(server, port, (peer) => `server saw ${peer}`);
    assert.equal(await client.ask(other, port), `server saw ${address}`);
    await client.ip("neighbour replace 10.150.9.9 lladdr 02:00:00:00:09:09 dev eth0 nud permanent");
    const sent = await transmitted(left.space(200), vxlan);
    const datagrams = 50;
    const send = `for ((i = 0; i < ${datagrams}; i++)); do echo >/dev/udp/10.150.9.9/9; done`;
    await succeed(client.command("bash", "-c", send));
    // The end of the connection before may be among what is counted.
    assert.ok(await transmitted(left.space(200), vxlan) - sent < datagrams);
  });
}

/** What is counted while there is no bridge. */
function countedBefore(node: KernelNode, spec: VrfSpec): number {
  node.kernel.ensureVrf(spec, node.kernel.underlay());
  const [overlay] = spec.overlays;
  assert.ok(overlay);
  return node.kernel.countAddresses(spec.name, overlay);
}

async function learnt(space: Namespace, dev: string, mac: string): Promise<boolean> {
  const shown = await succeed(space.command("bridge", "fdb", "show", "dev", dev));
  return shown.split("\n").some((line) => line.startsWith(mac) && !line.includes("permanent"));
}
