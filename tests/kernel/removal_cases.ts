/** Cases: what is removed leaves nothing, and nothing else is touched. */
import assert from "node:assert/strict";
import { openKernelTraces } from "../../daemon/install/kernel_traces.ts";
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import { createNodeFirewall } from "../../daemon/firewall/node_firewall.ts";
import { KernelNode } from "./kernel_node.ts";
import { type Namespace, Segment, succeed } from "./segment.ts";

/** Registers the cases for a backend. */
export function registerRemovalCases(backend: VrfBackend): void {
  const test = (name: string, fn: () => Promise<void>) => Deno.test(`${backend}: ${name}`, fn);

  test("a removed VRF leaves nothing, and its removal may be repeated", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { host, netnsDir } = node.place;
    const before = await settledContents(host);
    const specs = [200, 300].map((vrf) => node.spec({ vrf, blocks: ["10.150.0.0"] }));
    for (const spec of specs) node.apply(spec);
    node.kernel.syncRules([{ priority: 32000, table: 2200, fwmark: 200 }]);
    const gone = node.observed(200);
    await node.remove(gone);
    assert.deepEqual([...node.kernel.observe().vrfs.keys()], [300]);
    await node.remove(gone);
    await node.remove(node.observed(300));
    node.kernel.syncRules([]);
    assert.deepEqual([...node.kernel.observe().vrfs.keys()], []);
    await until(async () => {
      assert.deepEqual(await contents(host), before);
    });
    assert.deepEqual([...Deno.readDirSync(netnsDir)].map(({ name }) => name), []);
    // The VNI is free at once.
    for (const spec of specs) node.apply(spec);
  });

  test("what is left of a VRF that was torn apart by hand can still be removed", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const before = await settledContents(node.place.host);
    const damages = backend === "device"
      ? ["link del vrf-200", "link del l3br-200", "link del l3vx-50200"]
      : ["link del host", "link del l3br-200", "link del l3vx-50200"];
    for (let mask = 1; mask < 8; mask++) {
      node.apply(node.spec({ vrf: 200, blocks: ["10.150.0.0"] }));
      await node.space(200).ip(...damages.filter((_, bit) => (mask & (1 << bit)) !== 0));
      const left = node.kernel.observe().vrfs.get(200);
      if (left !== undefined) await node.remove(left);
      assert.equal(node.kernel.observe().vrfs.has(200), false);
    }
    // Routes whose VRF nothing tells any more go with the next VRF that comes or goes.
    node.apply(node.spec({ vrf: 300, blocks: ["10.150.0.0"] }));
    await node.remove(node.observed(300));
    await until(async () => {
      assert.deepEqual(await contents(node.place.host), before);
    });
  });

  test("the removal of an installation finds all of it, pods and what was made by hand among it, and nothing of others", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { host, netnsDir } = node.place;
    await host.ip(
      "link add l3br-300 type bridge",
      "route add 10.5.0.0/16 dev lo table 2300",
      "rule add priority 11000 to 10.5.0.0/16 table 2300",
    );
    const before = await settledContents(host);
    using netns = host.open();
    const signal = AbortSignal.timeout(60_000);
    const firewall = createNodeFirewall(host.path);
    using traces = openKernelTraces(firewall, { hostNetns: netns, netnsDir });
    assert.deepEqual([await traces.list(signal), traces.pods()], [[], []]);
    await traces.remove(signal);
    const specs = [200, 400].map((vrf) => node.spec({ vrf, blocks: ["10.150.0.0"] }));
    for (const spec of specs) node.apply(spec);
    await node.pod(segment, "web", 200, "10.150.0.2");
    await node.space(200).ip('link set web alias "pyroute2-cni/c0ffee/eth0"');
    node.kernel.syncRules([{ priority: 32000, table: 2200, fwmark: 200 }]);
    await host.ip(
      "rule add priority 11000 not from 10.6.0.0/16 table 2200 protocol 142",
      "route add 10.7.0.0/16 dev lo table 2999 proto 142",
    );
    await firewall.sync({ outward: ["eth0"], markMask: 0xff, vrfs: [] }, signal);
    assert.deepEqual(traces.pods(), [{ ifname: "web", alias: "pyroute2-cni/c0ffee/eth0" }]);
    const found = await traces.list(signal);
    for (
      const what of ["pod interface web", "VRF vrf-200", "VRF vrf-400", /rule/, /route/, /nft/]
    ) {
      const has = (line: string) => typeof what === "string" ? line === what : what.test(line);
      assert.ok(found.some(has), `${what} in ${found}`);
    }
    await traces.remove(signal);
    assert.deepEqual([await traces.list(signal), traces.pods()], [[], []]);
    await until(async () => {
      assert.deepEqual(await contents(host), before);
    });
    assert.deepEqual([...Deno.readDirSync(netnsDir)].map(({ name }) => name), []);
    assert.equal((await succeed(host.command("nft", "list", "tables"))).trim(), "");
  });

  test("links of others with such names are neither seen nor removed", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const { host } = node.place;
    await host.ip(
      "link add l3br-300 type bridge",
      "link add pr2h-300 type veth peer name foreign",
      "link add l3vx-777 type vxlan id 777 dstport 4789",
      "link set l3br-300 alias somebody",
      "route add 10.5.0.0/16 dev lo table 2300",
    );
    assert.deepEqual([...node.kernel.observe().vrfs.keys()], []);
    const spec = node.spec({ vrf: 200, blocks: ["10.150.0.0"] });
    node.apply(spec);
    assert.deepEqual([...node.kernel.observe().vrfs.keys()], [200]);
    await node.remove(node.observed(200));
    const names = (await host.rows("link")).map(({ ifname }) => ifname);
    for (const name of ["l3br-300", "pr2h-300", "l3vx-777"]) assert.ok(names.includes(name), name);
    assert.equal((await host.rows("route", "show", "table", "2300")).length, 1);
  });
}

/** All that a namespace holds of links, addresses, routes and rules; the kernel's own rule for VRFs aside, which stays. */
export async function contents(namespace: Namespace): Promise<Record<string, string[]>> {
  const links = await namespace.rows("address");
  const routes = [
    ...await namespace.rows("-4", "route", "show", "table", "all"),
    ...await namespace.rows("-6", "route", "show", "table", "all"),
  ];
  const rules = [...await namespace.rows("-4", "rule"), ...await namespace.rows("-6", "rule")];
  const texts = (rows: Record<string, unknown>[]) => rows.map((row) => JSON.stringify(row)).sort();
  return {
    links: links.map(({ ifname, addr_info }) => {
      const infos: unknown[] = Array.isArray(addr_info) ? addr_info : [];
      const locals = infos.map((info) => JSON.stringify(info).match(/"local":"([^"]+)"/)?.[1]);
      return `${ifname} ${locals.filter((local) => !local?.startsWith("fe80")).join(" ")}`;
    }).sort(),
    routes: texts(routes.filter((row) => !JSON.stringify(row).includes("fe80"))),
    rules: texts(rules.filter((row) => !JSON.stringify(row).includes("l3mdev"))),
  };
}

/** The same, once it no longer changes: the kernel adds some of it to new links in the background. */
export async function settledContents(namespace: Namespace): Promise<Record<string, string[]>> {
  let last = await contents(namespace);
  await until(async () => {
    const previous = last;
    last = await contents(namespace);
    assert.deepEqual(last, previous);
  });
  return last;
}

/** Polls an assertion: the kernel takes namespaces apart in the background. */
export async function until(assertion: () => Promise<void>): Promise<void> {
  const deadline = AbortSignal.timeout(20_000);
  for (;;) {
    try {
      return await assertion();
    } catch (error) {
      if (deadline.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
