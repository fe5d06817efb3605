/** Cases: what was changed by hand is noticed, and mended with no more than it takes. */
import assert from "node:assert/strict";
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import { KernelNode, portOf } from "./kernel_node.ts";
import { type Namespace, Segment, succeed } from "./segment.ts";

/** Changes to VRF 200 by lines of `ip`, in the namespace of its bridge. */
const changesOfOverlay: readonly (readonly string[])[] = [
  ["link set l3br-200 address 02:00:00:00:00:99"],
  ["link set l3br-200 mtu 1400"],
  ["link set l3br-200 down"],
  ["link set l3br-200 type bridge stp_state 1"],
  ["link set l3br-200 addrgenmode eui64"],
  ['link set l3br-200 alias ""'],
  ["address del 10.150.0.1/26 dev l3br-200"],
  ["address add 10.150.7.1/26 dev l3br-200"],
  ["address del 10.150.0.1/26 dev l3br-200", "address add 10.150.0.1/24 dev l3br-200"],
  ["link del l3br-200"],
  ["link set l3vx-50200 down"],
  ["link set l3vx-50200 mtu 1400"],
  ["link set l3vx-50200 nomaster"],
  ['link set l3vx-50200 alias ""'],
  ["link set l3vx-50200 type bridge_slave learning on"],
  ["link set l3vx-50200 type bridge_slave neigh_suppress off"],
  ["link set l3vx-50200 protodown on"],
  ["link set l3vx-50200 protodown on protodown_reason 7 on"],
  ["link set l3vx-50200 type vxlan id 50200 local 127.0.0.1"],
  ["link del l3vx-50200"],
  ["link del l3vx-50200", vxlanLine({ id: 777 })],
  ["link del l3vx-50200", vxlanLine({ dstport: 8472 })],
  ["link del l3vx-50200", `${vxlanLine({})} learning`],
  ["link del l3vx-50200", "link del l3br-200"],
];

/** Changes to how VRF 200 is kept. */
const changesOfContainer: Readonly<Record<VrfBackend, readonly (readonly string[])[]>> = {
  device: [
    ["link set vrf-200 down"],
    ['link set vrf-200 alias ""'],
    ["link set l3br-200 nomaster"],
    ["route flush table 2200 protocol 142"],
    ["route add 10.77.0.0/16 dev eth0 table 2200 protocol 142"],
    ["link del vrf-200"],
    ["link del vrf-200", "link add vrf-200 type vrf table 777"],
    ["link del vrf-200", "link del l3br-200", "link del l3vx-50200"],
  ],
  netns: [
    ["link set lo down"],
    ['link set lo alias ""'],
    ["link set host down"],
    ["link set host mtu 1400"],
    ["link del host"],
    ["address flush dev host"],
    ["address add 10.99.0.1/24 dev host"],
    ["route del default"],
    ["route replace default dev host protocol 142"],
    ["route del unreachable 10.150.0.0/16 metric 16777215"],
    ["route add 10.77.0.0/16 dev host protocol 142"],
    // A device whose socket is in the VRF's namespace reaches no other node.
    ["link del l3vx-50200", vxlanLine({}), "link set l3vx-50200 master l3br-200 up"],
  ],
};

/** Changes to the host's end of VRF 200, in the netns backend. */
const changesOfHostLeg: readonly (readonly string[])[] = [
  ["link set pr2h-200 down"],
  ["link set pr2h-200 mtu 1400"],
  ['link set pr2h-200 alias ""'],
  ["link del pr2h-200"],
  ["link del pr2h-200", "link add pr2h-200 type veth peer name elsewhere"],
  ["address flush dev pr2h-200"],
  ["route flush table 2200"],
  ["route del 10.150.0.0/26 table 2200"],
  ["route add 10.77.0.0/16 dev pr2h-200 table 2200 protocol 142"],
  ["route add 10.77.0.0/16 dev pr2h-200 table 2300 protocol 142"],
];

/** Registers the cases for a backend. */
export function registerHealingCases(backend: VrfBackend): void {
  const test = (name: string, fn: () => Promise<void>) => Deno.test(`${backend}: ${name}`, fn);

  test("every change by hand that matters is noticed and mended", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { host } = node.place;
    const inSpace = [...changesOfOverlay, ...changesOfContainer[backend]];
    const onHost = backend === "netns" ? changesOfHostLeg : [];
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0", "10.150.0.64"] });
    node.apply(spec);
    const mend = async (lines: readonly string[], namespace: Namespace) => {
      await namespace.ip(...lines);
      assert.equal(node.isAsWished(spec), false, `not noticed: ${lines.join("; ")}`);
      try {
        node.apply(spec);
      } catch (cause) {
        throw new Error(`Not mended: ${lines.join("; ")}`, { cause });
      }
      const before = node.changes;
      node.kernel.ensureVrf(spec, node.kernel.underlay());
      for (const overlay of spec.overlays) node.kernel.ensureOverlay(spec, overlay);
      assert.equal(node.changes, before, `mended twice: ${lines.join("; ")}`);
    };
    for (const lines of inSpace) await mend(lines, node.space(200));
    for (const lines of onHost) await mend(lines, host);
  });

  test("a mended bridge keeps its pods and its index", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    node.apply(spec);
    await node.pod(segment, "pod1", 200, "10.150.0.2");
    const { bridgeIndex } = node.kernel.attachmentPoint(200);
    await node.space(200).ip(
      "link set l3br-200 down",
      "link set l3br-200 mtu 1300",
      "address flush dev l3br-200",
    );
    node.apply(spec);
    assert.equal(node.kernel.attachmentPoint(200).bridgeIndex, bridgeIndex);
    const ports = await node.space(200).rows("link", "show", "master", "l3br-200");
    assert.deepEqual(ports.map(({ ifname }) => ifname).toSorted(), ["l3vx-50200", "pod1"]);
  });

  test("a VRF of which zebra is told again keeps its pods, and whoever watches hears of it", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    node.apply(spec);
    await node.pod(segment, "pod1", 200, "10.150.0.2");
    const { bridgeIndex } = node.kernel.attachmentPoint(200);
    using watcher = Deno.watchFs(node.place.netnsDir);
    node.kernel.announceVrf("vrf-200");
    node.kernel.announceVrf("vrf-300");
    if (backend === "netns") {
      const heard = new Set<string>();
      for await (const { kind, paths } of watcher) {
        for (const path of paths) if (path.endsWith("/vrf-200")) heard.add(kind);
        if (heard.has("create") && heard.has("remove")) break;
      }
    }
    assert.ok(node.isAsWished(spec));
    assert.equal(node.kernel.attachmentPoint(200).bridgeIndex, bridgeIndex);
    const ports = await node.space(200).rows("link", "show", "master", "l3br-200");
    assert.ok(ports.some(({ ifname }) => ifname === "pod1"));
  });

  test("a bridge that was deleted or left by hand gets its pods back", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const overlay = { ports: [portOf("pod1", "10.150.0.2"), portOf("gone", "10.150.0.3")] };
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"], overlay });
    node.apply(spec);
    await node.pod(segment, "pod1", 200, "10.150.0.2");
    for (
      const lines of [
        ["link set pod1 type bridge_slave hairpin off"],
        ["link set pod1 nomaster"],
        ["link del l3br-200"],
      ]
    ) {
      node.apply(spec);
      await node.space(200).ip(...lines);
      assert.equal(node.isAsWished(spec), false, `not noticed: ${lines.join("; ")}`);
      node.apply(spec);
      const [port] = await node.space(200).rows("link", "show", "dev", "pod1");
      assert.equal(port?.master, "l3br-200");
    }
  });

  test("pods move to the other bridge when their overlay changes its type", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const ports = [portOf("pod1", "10.150.0.2")];
    const before = node.spec({ vrf: 200, blocks: ["10.150.0.0"], overlay: { ports } });
    node.apply(before);
    await node.pod(segment, "pod1", 200, "10.150.0.2");
    const overlay = { type: "l2vni", vni: 51200, ports } as const;
    const after = node.spec({ vrf: 200, blocks: ["10.150.0.0"], overlay });
    for (const wished of after.overlays) node.kernel.ensureOverlay(after, wished);
    const [port] = await node.space(200).rows("link", "show", "dev", "pod1");
    assert.equal(port?.master, "l2br-200");
  });

  test("a sysctl that was changed by hand is put right", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    node.apply(spec);
    const values: readonly (readonly [Namespace, string])[] = [
      [node.place.host, "net.ipv4.ip_forward=0"],
      [node.place.host, "net.ipv4.conf.all.rp_filter=1"],
      ...backend === "device"
        ? [
          [node.place.host, "net.ipv4.tcp_l3mdev_accept=0"],
          [node.place.host, "net.ipv4.udp_l3mdev_accept=0"],
          [node.place.host, "net.vrf.strict_mode=0"],
        ] as const
        : [
          [node.place.host, "net.ipv4.conf.pr2h-200.rp_filter=2"],
          [node.space(200), "net.ipv4.ip_forward=0"],
          [node.space(200), "net.ipv4.conf.all.rp_filter=1"],
        ] as const,
    ];
    for (const [namespace, assignment] of values) {
      await succeed(namespace.command("sysctl", "-qw", assignment));
      assert.equal(node.isAsWished(spec), false, assignment);
      node.apply(spec);
    }
  });

  if (backend === "netns") registerNamespaceCases(test);
}

function registerNamespaceCases(test: (name: string, fn: () => Promise<void>) => void): void {
  test("a namespace that was deleted by hand is made again, VNI and all", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, "netns");
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    node.apply(spec);
    const path = `${node.place.netnsDir}/vrf-200`;
    await succeed(["umount", path]);
    assert.equal(node.isAsWished(spec), false, "a file without a namespace");
    node.apply(spec);
    await succeed(["umount", path]);
    Deno.removeSync(path);
    node.apply(spec);
    const rows = await node.space(200).rows("link");
    assert.ok(rows.some(({ ifname }) => ifname === "l3vx-50200"));
  });

  test("host legs never share an address, even with somebody else's", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, "netns");
    const legAddress = async (vrf: number) => {
      const [row] = await node.place.host.rows("-4", "address", "show", "dev", `pr2h-${vrf}`);
      const [info] = Array.isArray(row?.addr_info) ? row.addr_info : [];
      return String(info?.local);
    };
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    node.apply(spec);
    const usual = await legAddress(200);
    // Both VRF numbers lead to the same pair.
    node.apply(node.spec({ vrf: 200 + 32512, blocks: ["10.150.0.64"] }));
    assert.notEqual(await legAddress(200 + 32512), usual);
    await node.place.host.ip(`address add ${usual}/32 dev eth0`);
    assert.equal(node.isAsWished(spec), false);
    node.apply(spec);
    assert.notEqual(await legAddress(200), usual);
  });

  test("a namespace of that name that is not ours is no VRF until one is asked for", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, "netns");
    node.apply(node.spec({ vrf: 200, blocks: [] }));
    const path = `${node.place.netnsDir}/vrf-300`;
    Deno.writeTextFileSync(path, "");
    await succeed(["unshare", "--net", "mount", "--bind", "/proc/self/ns/net", path]);
    assert.deepEqual([...node.kernel.observe().vrfs.keys()], [200]);
    node.apply(node.spec({ vrf: 300, blocks: [] }));
    assert.deepEqual([...node.kernel.observe().vrfs.keys()], [200, 300]);
  });
}

function vxlanLine({ id = 50200, dstport = 4789 }: { id?: number; dstport?: number }): string {
  const learning = id === 50200 && dstport === 4789 ? "" : " nolearning";
  return `link add l3vx-50200 type vxlan id ${id} local 192.168.124.1 dstport ${dstport}${learning}`;
}
