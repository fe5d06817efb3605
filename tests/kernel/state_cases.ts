/** Cases: what is refused, what is made, and that nothing is done twice. */
import assert from "node:assert/strict";
import { KernelError } from "../../daemon/kernel/errors.ts";
import { getLink } from "../../lib/netlink/rtnl/link.ts";
import type { RuleSpec, VrfBackend } from "../../daemon/kernel/port.ts";
import { watchUnderlay } from "../../daemon/kernel/underlay_watch.ts";
import { KernelNode } from "./kernel_node.ts";
import { run, Segment, succeed } from "./segment.ts";

const withCode = (code: string) => (error: unknown) =>
  error instanceof KernelError && error.code === code;

/** Registers the cases for a backend. */
export function registerStateCases(backend: VrfBackend): void {
  const test = (name: string, fn: () => Promise<void>) => Deno.test(`${backend}: ${name}`, fn);

  test("an underlay that is not there is refused", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { kernel, place } = node;
    assert.throws(
      () => kernel.underlay({ ifname: "eth9", address: place.address }),
      withCode("UnderlayNotFound"),
    );
    assert.throws(
      () => kernel.underlay({ ifname: "eth0", address: "192.168.124.77" }),
      withCode("UnderlayAddressNotFound"),
    );
    await place.host.ip("route del default");
    assert.throws(() => kernel.underlay(), withCode("UnderlayNotFound"));
    await place.host.ip(
      `route add default via ${Segment.outsideAddress} dev eth0`,
      "address del 192.168.124.1/24 dev eth0",
      `route add default via ${Segment.outsideAddress} dev eth0 onlink`,
    );
    assert.throws(() => kernel.underlay(), withCode("UnderlayAddressNotFound"));
  });

  test("the underlay is the default route's interface, or the one that is named", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { kernel, place } = node;
    await place.host.ip(
      "link add eth1 type veth peer name peer1",
      "address add 10.9.9.1/24 dev eth1",
      "link set eth1 mtu 9000 up",
      "link set peer1 up",
      "route add default via 10.9.9.254 dev eth1 metric 100",
      "address add 192.168.124.101/24 dev eth0",
    );
    const { ifindex, ...found } = kernel.underlay();
    assert.ok(ifindex > 0);
    assert.deepEqual(found, {
      ifname: "eth0",
      address: "192.168.124.1",
      mtu: 1500,
      gateway: Segment.outsideAddress,
    });
    const named = kernel.underlay({ ifname: "eth1", address: "10.9.9.1" });
    assert.deepEqual([named.address, named.mtu, named.gateway], ["10.9.9.1", 9000, "10.9.9.254"]);
  });

  test("a change of the underlay's MTU is told, and no other change is", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { host } = node.place;
    using netns = host.open();
    const controller = new AbortController();
    const { signal } = controller;
    let known = node.kernel.underlay();
    const told: number[] = [];
    const ready = Promise.withResolvers<void>();
    const changed = () => {
      known = node.kernel.underlay();
      told.push(known.mtu);
      if (known.mtu === 1300) ready.resolve();
    };
    const watching = watchUnderlay({ known: () => known, changed, netns, signal });
    try {
      await host.ip(
        "link add other type veth peer name rest mtu 1200",
        "link set other mtu 1200",
        "link set eth0 alias same",
        "link set eth0 mtu 1400",
        "link set eth0 alias still",
        "link set eth0 mtu 1300",
      );
      await ready.promise;
    } finally {
      controller.abort();
      await watching;
    }
    assert.ok(told.every((mtu) => mtu === 1400 || mtu === 1300), told.join());
  });

  test("what needs a VRF that is not there is refused", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    const [overlay] = spec.overlays;
    assert.ok(overlay);
    assert.throws(() => node.kernel.attachmentPoint(200), withCode("VrfNotReady"));
    assert.throws(() => node.kernel.ensureOverlay(spec, overlay), withCode("VrfNotReady"));
    node.kernel.ensureVrf(spec, node.kernel.underlay());
    assert.throws(() => node.kernel.attachmentPoint(200), withCode("VrfNotReady"));
    assert.equal(node.isAsWished(spec), false);
  });

  test("a pod's host end is found while the VRF has no bridge", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    node.apply(spec);
    await node.pod(segment, "pod1", 200, "10.150.0.2");
    await node.space(200).ip("link del l3br-200");
    const connection = node.kernel.connection(200);
    assert.ok(connection && getLink(connection, { name: "pod1" }));
    if (backend === "netns") assert.equal(node.kernel.connection(300), undefined);
  });

  test("a foreign link with a name that is needed is refused and stays", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    const container = backend === "device" ? "vrf-200" : "pr2h-200";
    await node.place.host.ip(`link add ${container} type bridge`);
    const underlay = node.kernel.underlay();
    assert.throws(() => node.kernel.ensureVrf(spec, underlay), withCode("NameTaken"));
    await node.place.host.ip(`link del ${container}`);
    node.kernel.ensureVrf(spec, underlay);
    const [overlay] = spec.overlays;
    assert.ok(overlay);
    await node.space(200).ip("link add l3vx-50200 type bridge");
    assert.throws(() => node.kernel.ensureOverlay(spec, overlay), withCode("NameTaken"));
    await node.space(200).ip("link show dev l3vx-50200", "link del l3vx-50200");
    node.apply(spec);
  });

  test("a VNI that another device has is named in the error", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    const [overlay] = spec.overlays;
    assert.ok(overlay);
    node.kernel.ensureVrf(spec, node.kernel.underlay());
    await node.place.host.ip("link add other type vxlan id 50200 dstport 4789 nolearning");
    assert.throws(() => node.kernel.ensureOverlay(spec, overlay), withCode("VniInUse"));
    await node.place.host.ip("link del other");
    node.apply(spec);
  });

  test("a VRF is made as it is specified, and ensuring it again changes nothing", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { kernel, place } = node;
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0", "10.150.0.128"] });
    node.apply(spec);
    const before = node.changes;
    kernel.ensureVrf(spec, kernel.underlay());
    for (const overlay of spec.overlays) kernel.ensureOverlay(spec, overlay);
    kernel.syncRules([]);
    assert.equal(node.changes - before, 0);
    const found = node.observed(200);
    assert.deepEqual(found.blocks.toSorted(), ["10.150.0.0/26", "10.150.0.128/26"]);
    assert.equal(found.table, 2200);
    assert.deepEqual(found.overlays.map(({ bridge, vxlan }) => [bridge, vxlan]), [
      ["l3br-200", "l3vx-50200"],
    ]);
    const point = kernel.attachmentPoint(200);
    assert.deepEqual([point.bridge, point.mtu], ["l3br-200", 1450]);
    const ingress = backend === "device" ? "l3br-200" : "pr2h-200";
    assert.deepEqual(kernel.ingressInterfaces(spec), [ingress]);
    const sockets = await succeed(place.host.command("ss", "-lunH"));
    assert.match(sockets, /:4789 /, "the VXLAN device's socket must be on the underlay");
    const links = await node.space(200).rows("-d", "link");
    for (const name of ["l3br-200", "l3vx-50200"]) {
      const link = links.find(({ ifname }) => ifname === name);
      assert.match(String(link?.ifalias), /^pyroute2-cni( vrf-200)?$/);
      assert.equal(link?.inet6_addr_gen_mode ?? "none", "none");
    }
  });

  test("a change of the specification is carried out with nothing left of the old one", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    node.apply(node.spec({ vrf: 200, blocks: ["10.150.0.0"] }));
    const changed = [
      node.spec({ vrf: 200, blocks: ["10.150.0.0", "10.150.0.64"] }),
      node.spec({ vrf: 200, blocks: ["10.150.0.64"] }),
      node.spec({ vrf: 200, blocks: [] }),
      node.spec({ vrf: 200, blocks: ["10.150.0.64"], overlay: { mtu: 1400 } }),
      node.spec({ vrf: 200, blocks: ["10.150.0.64"], overlay: { vni: 60_200 } }),
      node.spec({ vrf: 200, blocks: ["10.150.0.64"], overlay: { vni: 60_200, port: 4790 } }),
      node.spec({ vrf: 200, blocks: ["10.150.0.64"], overlay: { local: "127.0.0.1" } }),
      node.spec({ vrf: 200, blocks: ["10.150.0.64"], table: 3300 }),
    ];
    for (const spec of changed) {
      assert.equal(node.isAsWished(spec), false);
      node.apply(spec);
      const names = await node.space(200).rows("link", "show", "type", "vxlan");
      assert.deepEqual(names.map(({ ifname }) => ifname), [spec.overlays[0]?.vxlan]);
    }
    const old = await run(node.place.host.command("ip", "route", "show", "table", "2200"));
    assert.equal(old.stdout, "");
  });

  test("gateways of one subnet come and go one by one", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const gateways = ["10.150.0.1", "10.150.0.65", "10.150.0.129"].map((address) => ({
      address,
      prefixLength: 16,
    }));
    const spec = (from: number, to: number) =>
      node.spec({
        vrf: 300,
        blocks: [],
        overlay: { type: "l2vni", gateways: gateways.slice(from, to) },
      });
    for (const [from, to] of [[0, 2], [1, 2], [1, 3], [2, 3], [0, 3]] as const) {
      node.apply(spec(from, to));
    }
    assert.equal(node.kernel.attachmentPoint(300).bridge, "l2br-300");
  });

  test("a new process finds what an earlier one made and changes nothing", async () => {
    await using segment = await Segment.create(1);
    const wish = { vrf: 200, blocks: ["10.150.0.0"] };
    {
      using first = new KernelNode(segment, backend);
      first.apply(first.spec(wish));
    }
    using second = new KernelNode(segment, backend);
    const spec = second.spec(wish);
    assert.ok(second.isAsWished(spec));
    assert.equal(second.changes, 0);
    assert.equal(second.kernel.attachmentPoint(200).bridge, "l3br-200");
  });

  test("two VRFs have the same prefix and blocks", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const specs = [200, 300].map((vrf) => node.spec({ vrf, blocks: ["10.150.0.0"] }));
    for (const spec of specs) node.apply(spec);
    for (const spec of specs) assert.ok(node.isAsWished(spec));
    assert.deepEqual([...node.kernel.observe().vrfs.keys()], [200, 300]);
  });

  test("rules are added, kept and deleted by our protocol number alone", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { kernel, place } = node;
    await place.host.ip("rule add priority 9000 from 10.0.0.0/8 lookup 99");
    const rules: RuleSpec[] = [
      { priority: 32000, table: 2200, fwmark: 200, fwmask: 0xffff3fff },
      { priority: 910, table: 2200, fromVrf: 200, noDefault: true },
      { priority: 13000, table: 0, action: "unreachable", fromVrf: 200 },
      { priority: 12000, table: 242, dst: "10.244.0.0/16" },
      { priority: 32000, table: 2200, iifname: "lo", dst: "10.150.0.0/26" },
      { priority: 11000, table: 2200, src: "10.1.0.0/16", oifname: "eth0" },
    ];
    // The end of a VRF has three names where VRFs are links.
    const count = rules.length + (backend === "device" ? 2 : 0);
    const refused: RuleSpec[] = [];
    assert.deepEqual(kernel.syncRules(rules), { added: count, deleted: 0, refused });
    assert.deepEqual(kernel.syncRules(rules), { added: 0, deleted: 0, refused });
    assert.equal(kernel.observe().rules.length, count);
    await place.host.ip(
      "rule del priority 12000",
      "rule add priority 11500 not fwmark 7 lookup 88 protocol 142",
      "rule add priority 11501 iif eth0 lookup 88 protocol 142",
    );
    assert.deepEqual(kernel.syncRules(rules.slice(0, 5)), { added: 1, deleted: 3, refused });
    const left = await place.host.rows("rule");
    const priorities = left.filter(({ protocol }) => protocol === "142")
      .map(({ priority }) => priority);
    assert.deepEqual([...new Set(priorities)], [910, 12000, 13000, 32000]);
    assert.ok(left.some(({ priority }) => priority === 9000));
    assert.deepEqual(kernel.syncRules([]), { added: 0, deleted: count - 1, refused });
  });

  test("a rule that the kernel refuses keeps no other out", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const bad: RuleSpec = { priority: 11000, table: 2200, src: "fd00::/64", dst: "10.0.0.0/8" };
    const good: RuleSpec[] = [11001, 11002].map((priority) => ({
      priority,
      table: 2200,
      fwmark: 7,
    }));
    const { added, refused } = node.kernel.syncRules([bad, ...good]);
    assert.equal(added, good.length);
    assert.deepEqual(refused.map(({ rule }) => rule), [bad]);
    assert.equal(refused[0]?.rule, bad);
    assert.match(refused[0]?.message ?? "", /EINVAL/);
    assert.deepEqual(node.kernel.syncRules(good), { added: 0, deleted: 0, refused: [] });
  });

  test("the host's other links stay as strict about sources as they were", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const filter = (name: string) => `net.ipv4.conf.${name}.rp_filter`;
    const { host } = node.place;
    await succeed(host.command("sysctl", "-qw", `${filter("all")}=1`, `${filter("eth0")}=0`));
    node.apply(node.spec({ vrf: 200, blocks: ["10.150.0.0"] }));
    const values = await succeed(
      host.command("sysctl", "-n", filter("all"), filter("eth0"), filter("lo")),
    );
    assert.deepEqual(values.trim().split("\n"), ["0", "1", "1"]);
  });

  test("many VRFs are observed with few requests", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const underlay = node.kernel.underlay();
    const specs = Array.from(
      { length: 20 },
      (_, i) => node.spec({ vrf: 400 + i, blocks: [`10.150.${i}.0`] }),
    );
    for (const spec of specs) {
      node.kernel.ensureVrf(spec, underlay);
      for (const overlay of spec.overlays) node.kernel.ensureOverlay(spec, overlay);
    }
    const before = node.requests;
    const { vrfs } = node.kernel.observe();
    const cost = node.requests - before;
    assert.equal(vrfs.size, 20);
    for (const spec of specs) assert.ok(vrfs.get(spec.vrf)?.matches(spec, underlay), spec.name);
    assert.ok(cost <= (backend === "device" ? 7 : 7 + 5 * 20), `observing took ${cost} requests`);
    for (const vrf of vrfs.values()) await node.remove(vrf);
    assert.deepEqual([...node.kernel.observe().vrfs.keys()], []);
  });
}
