/** Cases: tunnels over IPv6, where it is the daemon that says where the other nodes are. */
import assert from "node:assert/strict";
import { KernelError } from "../../daemon/kernel/errors.ts";
import type { VrfBackend, VrfSpec } from "../../daemon/kernel/port.ts";
import { NextHopKeeper } from "../../daemon/kernel/next_hop_keeper.ts";
import { findNextHopLinks } from "../../daemon/kernel/next_hops.ts";
import { createLogger } from "../../daemon/log.ts";
import { KernelNode } from "./kernel_node.ts";
import { until } from "./removal_cases.ts";
import { Answerer, Segment, succeed } from "./segment.ts";

const port = 8080;
const addresses = ["fd00:124::1", "fd00:124::2"] as const;
/** What stands for the nodes' VTEPs as next hops. */
const routerIds = ["100.64.0.1", "100.64.0.2"] as const;

const withCode = (code: string) => (error: unknown) =>
  error instanceof KernelError && error.code === code;

/** Gives the nodes of a segment their IPv6 addresses. */
async function addAddresses(segment: Segment, count: number): Promise<void> {
  for (const [index, address] of addresses.slice(0, count).entries()) {
    await segment.node(index).host.ip(`address add ${address}/64 dev eth0 nodad`);
  }
}

/** Two nodes with one VRF each whose tunnels run over IPv6. */
function specs(left: KernelNode, right: KernelNode): readonly [VrfSpec, VrfSpec] {
  const of = (node: KernelNode, index: 0 | 1) =>
    node.spec({
      vrf: 200,
      blocks: [`10.150.0.${64 * index}`],
      blocks6: [`fd00:150:0:${index}::`],
      overlay: { local: addresses[index], mtu: 1430 },
    });
  const [here, there] = [of(left, 0), of(right, 1)];
  const knowing = (own: VrfSpec, other: VrfSpec): VrfSpec => ({
    ...own,
    overlays: own.overlays.map((overlay) => ({
      ...overlay,
      remotes: other.overlays.map(({ mac, local }) => ({ mac, address: local })),
    })),
  });
  return [knowing(here, there), knowing(there, here)];
}

/** Registers the cases for a backend. */
export function registerIpv6UnderlayCases(backend: VrfBackend): void {
  const test = (name: string, fn: () => Promise<void>) => Deno.test(`${backend}: ${name}`, fn);

  test("a host with an IPv6 default route alone has its underlay there, by a steady address", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { kernel, place: { host, address } } = node;
    await addAddresses(segment, 1);
    await host.ip6("route add default via fd00:124::fe dev eth0");
    assert.equal(kernel.underlay().address, address, "IPv4 goes first");
    await host.ip("route del default");
    await host.ip("address del fd00:124::1/64 dev eth0");
    assert.throws(() => kernel.underlay(), withCode("UnderlayAddressNotFound"));
    await host.ip(
      "address add fd00:124::1/64 dev eth0 nodad",
      "address add fd00:124::bad/64 dev eth0 nodad preferred_lft 0",
    );
    const { ifindex: _, ...found } = kernel.underlay();
    const wanted = { ifname: "eth0", address: "fd00:124::1", mtu: 1500, gateway: "fd00:124::fe" };
    assert.deepEqual(found, wanted);
    const named = kernel.underlay({ ifname: "eth0", address: "FD00:124:0::1" });
    assert.equal(named.address, "fd00:124::1");
  });

  test("pods on two nodes reach each other through VXLAN on IPv6, over both IP versions", async () => {
    await using segment = await Segment.create(2);
    await addAddresses(segment, 2);
    using left = new KernelNode(segment, backend, 0);
    using right = new KernelNode(segment, backend, 1);
    const [here, there] = specs(left, right);
    left.apply(here);
    right.apply(there);
    await pointTo(left, here, there, routerIds[1]);
    await pointTo(right, there, here, routerIds[0]);
    const client = await left.dualPod(segment, "pod1", 200, ["10.150.0.2", "fd00:150::2"]);
    const server = await right.dualPod(segment, "pod2", 200, ["10.150.0.66", "fd00:150:0:1::2"]);
    await using _server = new Answerer(server, port, () => "pod2", "::");
    assert.equal(await client.ask("10.150.0.66", port), "pod2");
    assert.equal(await client.ask("fd00:150:0:1::2", port), "pod2");
  });

  test("where the other nodes are is told once, mended, and left to zebra on IPv4", async () => {
    await using segment = await Segment.create(1);
    await addAddresses(segment, 1);
    using node = new KernelNode(segment, backend);
    const [spec] = specs(node, node);
    const [overlay] = spec.overlays;
    assert.ok(overlay?.remotes);
    const { kernel } = node;
    node.apply(spec);
    const before = node.changes;
    kernel.ensureOverlay(spec, overlay);
    assert.equal(node.changes, before, "told twice");
    const [{ mac } = { mac: "" }] = overlay.remotes;
    const fdb = (...words: string[]) =>
      succeed(node.space(200).command("bridge", "fdb", ...words, "dev", overlay.vxlan, "self"));
    const stranger = ["02:00:00:00:00:99", "dst", "fd00:124::99"];
    for (const words of [["del", mac, "dst", addresses[1]], ["append", ...stranger]]) {
      await fdb(...words);
      assert.equal(node.isAsWished(spec), false, words.join(" "));
      node.apply(spec);
    }
    const moved = {
      ...spec,
      overlays: [{ ...overlay, remotes: [{ mac, address: "fd00:124::77" }] }],
    };
    node.apply(moved);
    const shown = await succeed(
      node.space(200).command("bridge", "fdb", "show", "dev", overlay.vxlan),
    );
    assert.match(shown, /dst fd00:124::77/);
    assert.doesNotMatch(shown, /dst fd00:124::(2|99)\b/);
    const { remotes: _, ...onFour } = { ...overlay, local: node.place.address, mtu: 1450 };
    const back = { ...spec, overlays: [onFour] };
    node.apply(back);
    await fdb("append", mac, "dst", "192.168.124.2");
    assert.ok(node.isAsWished(back), "zebra's");
  });

  test("a next hop that zebra loses comes back, and the tunnel's end is not touched for it", async () => {
    await using segment = await Segment.create(1);
    await addAddresses(segment, 1);
    using node = new KernelNode(segment, backend);
    const [spec] = specs(node, node);
    const [overlay] = spec.overlays;
    assert.ok(overlay?.remotes);
    node.apply(spec);
    const space = node.space(200);
    const table = backend === "device" ? spec.table : 254;
    const [{ mac } = { mac: "" }] = overlay.remotes;
    const via = `::ffff:${routerIds[1]}`;
    const neighbor = `neighbour replace ${via} dev ${overlay.bridge} lladdr ${mac}`;
    await space.ip6(
      `${neighbor} nud noarp extern_learn protocol zebra`,
      `route add fd00:150:0:9::/64 via ${via} dev ${overlay.bridge} onlink protocol bgp table ${table}`,
    );
    const onBridge = [mac, "dev", overlay.vxlan, "master"];
    await succeed(space.command("bridge", "fdb", "replace", ...onBridge, "extern_learn"));
    const connection = node.kernel.connection(200);
    const netns = node.kernel.namespace(200);
    assert.ok(connection !== undefined && netns !== undefined);
    const links = findNextHopLinks(connection, overlay, table);
    assert.ok(links);
    await using keeper = new NextHopKeeper({ log: createLogger("error", () => {}) });
    const keep = () => keeper.keep([{ vrf: 200, netns, links }]);
    assert.deepEqual(keep(), []);
    await space.ip6(`neighbour del ${via} dev ${overlay.bridge}`);
    await succeed(space.command("bridge", "fdb", "del", ...onBridge));
    await until(async () => {
      const neighbors = await space.rows("-6", "neighbour", "show", "dev", overlay.bridge);
      assert.ok(neighbors.some(({ lladdr }) => lladdr === mac));
      const show = space.command("bridge", "fdb", "show", "dev", overlay.vxlan);
      const entries = (await succeed(show)).split("\n").filter((line) => line.startsWith(mac));
      // A kernel with VLAN filtering has the bridge's entry once more, for the port's default VLAN.
      const ways = new Set(entries.map((line) => /(?:dst|master) \S+/.exec(line)?.[0]));
      assert.deepEqual([...ways].toSorted(), [`dst ${addresses[1]}`, `master ${overlay.bridge}`]);
    });
    await space.ip6(`route del fd00:150:0:9::/64 table ${table}`);
    assert.deepEqual(keep(), []);
    assert.ok(node.isAsWished(spec));
  });

  test("what stands for a VTEP gets a route, unless another one than the default route leads there", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { kernel, place: { host } } = node;
    const underlay = kernel.underlay();
    await host.ip("route add 100.64.1.0/24 via 192.168.124.254", "route add 100.64.2.2 dev eth0");
    const sync = (...ids: string[]) => kernel.syncVtepRoutes(ids, underlay);
    const routes = async () =>
      (await host.rows("route")).map(({ dst }) => String(dst)).filter((dst) =>
        dst.startsWith("100.")
      );
    assert.deepEqual(sync("100.64.0.2", "100.64.1.2"), { added: 1, deleted: 0 });
    assert.deepEqual(sync("100.64.0.2", "100.64.1.2"), { added: 0, deleted: 0 });
    assert.deepEqual((await routes()).toSorted(), ["100.64.0.2", "100.64.1.0/24", "100.64.2.2"]);
    assert.deepEqual(sync("100.64.0.3"), { added: 1, deleted: 1 });
    assert.deepEqual(sync(), { added: 0, deleted: 1 });
    assert.deepEqual((await routes()).toSorted(), ["100.64.1.0/24", "100.64.2.2"]);
  });
}

/** What FRR would install for the other node's type-5 routes: its router id stands for its router MAC, in IPv6 form for IPv6. */
async function pointTo(
  node: KernelNode,
  own: VrfSpec,
  other: VrfSpec,
  routerId: string,
): Promise<void> {
  const [overlay] = own.overlays;
  const [remote] = other.overlays;
  assert.ok(overlay && remote);
  const { bridge, vxlan } = overlay;
  const space = node.space(own.vrf);
  const master = (await space.rows("-d", "link", "show", "dev", bridge))[0]?.master;
  const table = master === undefined ? "main" : String(own.table);
  const lines = (via: string, six: boolean) => [
    `neighbour add ${via} lladdr ${remote.mac} dev ${bridge} nud permanent`,
    ...other.blocks.filter((block) => block.includes(":") === six).map((block) =>
      `route add ${block} via ${via} dev ${bridge} onlink table ${table}`
    ),
  ];
  await space.ip(...lines(routerId, false));
  await space.ip6(...lines(`::ffff:${routerId}`, true));
  await succeed(space.command("bridge", "fdb", "append", remote.mac, "dev", vxlan, "master"));
}
