/** Cases: IPv6 beside IPv4, and without it. */
import assert from "node:assert/strict";
import { bridgeMac } from "../../daemon/kernel/names.ts";
import type { VrfBackend, VrfSpec } from "../../daemon/kernel/port.ts";
import { linkLocalOf } from "../../lib/net/mac.ts";
import type { MessageView } from "../../lib/netlink/message.ts";
import { BUFFER_BYTES, drain } from "../../lib/netlink/monitor.ts";
import { readAddress } from "../../lib/netlink/rtnl/address.ts";
import { RTNLGRP } from "../../lib/netlink/rtnl/types.ts";
import { NetlinkSocket } from "../../lib/sys/netlink_socket.ts";
import { answerAs, answersTo } from "./answers.ts";
import { KernelNode, prefix6 } from "./kernel_node.ts";
import { contents, settledContents, until } from "./removal_cases.ts";
import { Answerer, type Namespace, Segment, succeed } from "./segment.ts";

const port = 8080;
const blocks = ["10.150.0.0"];
const blocks6 = ["fd00:150:0:7::"];
const gateway = "fd00:150:0:7::1";
const wish = { vrf: 200, blocks, blocks6 };

/** The same VRF without IPv4. */
function withoutIpv4(spec: VrfSpec): VrfSpec {
  const six = (text: string) => text.includes(":");
  return {
    ...spec,
    prefixes: spec.prefixes.filter(six),
    blocks: spec.blocks.filter(six),
    overlays: spec.overlays.map((overlay) => ({
      ...overlay,
      gateways: overlay.gateways.filter(({ address }) => six(address)),
    })),
  };
}

/** Lines of `ip -6` in the namespace of the bridge. */
function changes(backend: VrfBackend): readonly string[] {
  const table = backend === "device" ? " table 2200" : "";
  return [
    `address del ${gateway}/64 dev l3br-200`,
    "address add fd00:150:0:9::1/64 dev l3br-200 nodad",
    `address del ${linkLocalOf(bridgeMac("node-0", 200))}/64 dev l3br-200`,
    "address flush dev l3br-200",
    "link set l3br-200 down",
    `route del unreachable ${prefix6} metric 16777215${table}`,
    `route add fd00:77::/48 dev l3br-200 protocol 142${table}`,
    ...backend === "device" ? ["link set l3br-200 nomaster", "link del vrf-200"] : [
      "route del default",
      "address flush dev host",
      "address flush dev host scope link",
      "address add fd00:99::1/64 dev host nodad",
      "link set host down",
      "link del host",
    ],
  ];
}

/** Lines of `ip -6` at the host's end of VRF 200, in the netns backend. */
const changesOfHostLeg: readonly string[] = [
  "route flush table 2200",
  `route del ${blocks6[0]}/64 table 2200`,
  "address flush dev pr2h-200",
  "address flush dev pr2h-200 scope link",
  "link set pr2h-200 down",
];

/** Registers the cases for a backend. */
export function registerDualStackCases(backend: VrfBackend): void {
  const test = (name: string, fn: () => Promise<void>) => Deno.test(`${backend}: ${name}`, fn);

  test("a VRF with both IP versions is made as it is specified, and ensuring it again changes nothing", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { kernel } = node;
    const spec = node.spec(wish);
    node.apply(spec);
    const before = node.changes;
    kernel.ensureVrf(spec, kernel.underlay());
    for (const overlay of spec.overlays) kernel.ensureOverlay(spec, overlay);
    assert.equal(node.changes, before);
    assert.deepEqual(node.observed(200).blocks.toSorted(), ["10.150.0.0/26", `${blocks6[0]}/64`]);
    const tentative = await node.space(200).rows(
      ...["-6", "address", "show", "tentative", "dev", "l3br-200"],
    );
    assert.deepEqual(tentative.flatMap(({ addr_info }) => addr_info), []);
  });

  test("of gateways that stand already the kernel tells again, and nothing changes", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec(wish);
    node.apply(spec);
    const [overlay] = spec.overlays;
    assert.ok(overlay);
    const before = await settledContents(node.space(200));
    using netns = node.space(200).open();
    using heard = NetlinkSocket.open({ groups: [RTNLGRP.IPV4_IFADDR, RTNLGRP.IPV6_IFADDR], netns });
    node.kernel.announceGateways(spec.name, overlay);
    const told: string[] = [];
    // Other links use their own link-local addresses from now on, or then.
    const { bridgeIndex } = node.kernel.attachmentPoint(200);
    const tell = (message: MessageView) => {
      const found = readAddress(message);
      if (found?.index === bridgeIndex) told.push(found.address);
    };
    drain(heard, new Uint8Array(new ArrayBuffer(BUFFER_BYTES)), tell, () => assert.fail("Lost"));
    assert.deepEqual(told, ["10.150.0.1", gateway]);
    assert.deepEqual(await contents(node.space(200)), before);
    assert.ok(node.isAsWished(spec));
  });

  test("every change of IPv6 by hand is noticed and mended", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec(wish);
    node.apply(spec);
    const mend = async (what: string, change: Promise<unknown>) => {
      await change;
      assert.equal(node.isAsWished(spec), false, `not noticed: ${what}`);
      node.apply(spec);
      const before = node.changes;
      node.kernel.ensureVrf(spec, node.kernel.underlay());
      for (const overlay of spec.overlays) node.kernel.ensureOverlay(spec, overlay);
      assert.equal(node.changes, before, `mended twice: ${what}`);
    };
    const { host } = node.place;
    for (const line of changes(backend)) await mend(line, node.space(200).ip6(line));
    if (backend === "netns") {
      for (const line of changesOfHostLeg) {
        await mend(line, host.ip6(line));
      }
    }
    const sysctls: readonly (readonly [Namespace, string])[] = [
      [host, "net.ipv6.conf.all.forwarding=0"],
      [node.space(200), "net.ipv6.conf.all.forwarding=0"],
      [node.space(200), "net.ipv6.conf.l3br-200.disable_ipv6=1"],
    ];
    for (const [namespace, assignment] of sysctls) {
      await mend(assignment, succeed(namespace.command("sysctl", "-qw", assignment)));
    }
  });

  test("IPv6 comes to a VRF later and goes again, and IPv4 is not touched by it", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const four = node.spec({ vrf: 200, blocks });
    node.apply(four);
    const pod = await node.pod(segment, "pod1", 200, "10.150.0.2");
    await using _server = new Answerer(pod, port, () => "pod1");
    const before = await settledContents(node.space(200));
    const ask = () => {
      node.kernel.syncRules([{
        priority: 32000,
        table: 2200,
        iifname: "lo",
        dst: "10.150.0.0/26",
      }]);
      return node.place.host.ask("10.150.0.2", port);
    };
    node.apply(node.spec(wish));
    assert.equal(await ask(), "pod1");
    assert.ok(JSON.stringify(await contents(node.space(200))).includes(gateway));
    node.apply(four);
    assert.equal(await ask(), "pod1");
    node.kernel.syncRules([]);
    const after = await contents(node.space(200));
    assert.deepEqual(after, before);
  });

  test("a removed VRF with IPv6 leaves nothing", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const before = await settledContents(node.place.host);
    node.apply(node.spec(wish));
    node.apply(withoutIpv4(node.spec({ ...wish, vrf: 300 })));
    for (const vrf of [200, 300]) await node.remove(node.observed(vrf));
    await until(async () => {
      assert.deepEqual(await contents(node.place.host), before);
    });
  });

  test("a host that takes router advertisements goes on taking them while it forwards", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { host } = node.place;
    const key = (name: string) => `net.ipv6.conf.${name}.accept_ra`;
    await host.ip("link add still type veth peer name unused");
    await succeed(host.command("sysctl", "-qw", `${key("eth0")}=1`, `${key("still")}=0`));
    node.apply(node.spec({ vrf: 300, blocks }));
    const read = async (...names: string[]) =>
      (await succeed(host.command("sysctl", "-n", ...names))).trim().split("\n");
    const all = [key("eth0"), key("still"), "net.ipv6.conf.eth0.forwarding"];
    assert.deepEqual(await read(...all), ["1", "0", "0"], "IPv4 alone changes nothing");
    node.apply(node.spec(wish));
    assert.deepEqual(await read(...all), ["2", "0", "1"]);
  });

  test("pods reach each other over both IP versions, with the same addresses in two VRFs", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    for (const vrf of [200, 300]) node.apply(node.spec({ ...wish, vrf }));
    const pair = async (vrf: number) =>
      [
        await node.dualPod(segment, `a${vrf}`, vrf, ["10.150.0.2", "fd00:150:0:7::2"]),
        await node.dualPod(segment, `b${vrf}`, vrf, ["10.150.0.3", "fd00:150:0:7::3"]),
      ] as const;
    const [client200, server200] = await pair(200);
    const [client300, server300] = await pair(300);
    await using _200 = answerAs("200", server200);
    await using _300 = answerAs("300", server300);
    const answers = await answersTo(
      [client200, "fd00:150:0:7::3"],
      [client200, "10.150.0.3"],
      [client300, "fd00:150:0:7::3"],
      [client300, "10.150.0.3"],
    );
    assert.deepEqual(answers, [
      "200 fd00:150:0:7::2",
      "200 10.150.0.2",
      "300 fd00:150:0:7::2",
      "300 10.150.0.2",
    ]);
  });

  test("pods of two blocks on one node reach each other over IPv6 through the gateway", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    node.apply(withoutIpv4(node.spec({ ...wish, blocks6: [...blocks6, "fd00:150:0:8::"] })));
    const client = await node.dualPod(segment, "pod1", 200, ["10.150.0.2", "fd00:150:0:7::2"]);
    const server = await node.dualPod(segment, "pod2", 200, ["10.150.0.3", "fd00:150:0:8::2"]);
    await using _server = new Answerer(server, port, (peer) => `pod2 saw ${peer}`, "::");
    assert.equal(await client.ask("fd00:150:0:8::2", port), "pod2 saw fd00:150:0:7::2");
    assert.equal(await client.ask("fd00:150:0:9::2", port), undefined, "nobody has it");
  });

  test("pods on two nodes reach each other over IPv6 through VXLAN on IPv4", async () => {
    await using segment = await Segment.create(2);
    using left = new KernelNode(segment, backend, 0);
    using right = new KernelNode(segment, backend, 1);
    const here = left.spec(wish);
    const there = right.spec({ vrf: 200, blocks: ["10.150.0.64"], blocks6: ["fd00:150:0:8::"] });
    left.apply(here);
    right.apply(there);
    await pointTo6(left, here, there);
    await pointTo6(right, there, here);
    const client = await left.dualPod(segment, "pod1", 200, ["10.150.0.2", "fd00:150:0:7::2"]);
    const server = await right.dualPod(segment, "pod2", 200, ["10.150.0.66", "fd00:150:0:8::2"]);
    await using _server = new Answerer(server, port, (peer) => `pod2 saw ${peer}`, "::");
    assert.equal(await client.ask("fd00:150:0:8::2", port), "pod2 saw fd00:150:0:7::2");
  });

  test("a node without a global IPv6 address of its own reaches its pods over IPv6, each tenant's where the rule leads", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { host } = node.place;
    const specs = [
      node.spec(wish),
      withoutIpv4(node.spec({ vrf: 300, blocks, blocks6: ["fd00:150:0:8::"] })),
    ];
    for (const spec of specs) node.apply(spec);
    const pod200 = await node.dualPod(segment, "pod1", 200, ["10.150.0.2", "fd00:150:0:7::2"]);
    const pod300 = await node.dualPod(segment, "pod2", 300, ["10.150.0.3", "fd00:150:0:8::2"]);
    await using _200 = new Answerer(pod200, port, () => "200", "::");
    await using _300 = new Answerer(pod300, port, () => "300", "::");
    assert.equal(await host.ask("fd00:150:0:7::2", port), undefined);
    node.kernel.syncRules(specs.map(({ table, blocks }) => ({
      priority: 32000,
      table,
      iifname: "lo",
      dst: blocks.find((block) => block.includes(":")) ?? "",
    })));
    assert.equal(await host.ask("fd00:150:0:7::2", port), "200");
    assert.equal(await host.ask("fd00:150:0:8::2", port), "300");
    assert.equal(await pod200.ask("fd00:150:0:8::2", port), undefined, "the other tenant's");
  });

  test("rules by mark are of one IP version each, and go by themselves", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { kernel } = node;
    const four = { priority: 32000, table: 2200, fwmark: 200 };
    const six = { ...four, family: 6 as const };
    assert.deepEqual(kernel.syncRules([four, six]), { added: 2, deleted: 0, refused: [] });
    assert.deepEqual(kernel.syncRules([six, four]), { added: 0, deleted: 0, refused: [] });
    assert.deepEqual(kernel.observe().rules.length, 2);
    assert.deepEqual(kernel.syncRules([six]), { added: 0, deleted: 1, refused: [] });
    const [left] = (await node.place.host.rows("-6", "rule")).filter(({ fwmark }) =>
      fwmark !== undefined
    );
    assert.deepEqual([left?.fwmark, left?.table], ["0xc8", "2200"]);
    assert.deepEqual(kernel.syncRules([]), { added: 0, deleted: 1, refused: [] });
  });
}

/** What FRR would install for the other node's IPv6 type-5 route: its VTEP in IPv6 form stands for its router MAC. */
export async function pointTo6(node: KernelNode, own: VrfSpec, other: VrfSpec): Promise<void> {
  const [overlay] = own.overlays;
  const [remote] = other.overlays;
  assert.ok(overlay && remote);
  const { bridge, vxlan } = overlay;
  const space = node.space(own.vrf);
  const master = (await space.rows("-d", "link", "show", "dev", bridge))[0]?.master;
  const table = master === undefined ? "main" : String(own.table);
  const via = `::ffff:${remote.local}`;
  await space.ip6(
    `neighbour add ${via} lladdr ${remote.mac} dev ${bridge} nud permanent`,
    ...other.blocks.filter((block) => block.includes(":")).map((block) =>
      `route add ${block} via ${via} dev ${bridge} onlink table ${table}`
    ),
  );
  const entry = ["fdb", "append", remote.mac, "dev", vxlan, "dst", remote.local, "self", "static"];
  await succeed(space.command("bridge", ...entry));
  await succeed(space.command("bridge", "fdb", "append", remote.mac, "dev", vxlan, "master"));
}
