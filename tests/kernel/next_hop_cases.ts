/** Cases: next hops of EVPN routes that zebra takes away. iproute2 plays zebra. */
import assert from "node:assert/strict";
import { NextHopKeeper } from "../../daemon/kernel/next_hop_keeper.ts";
import { findNextHopLinks, type NextHop } from "../../daemon/kernel/next_hops.ts";
import type { VrfBackend, VrfSpec } from "../../daemon/kernel/port.ts";
import { createLogger } from "../../daemon/log.ts";
import { KernelNode } from "./kernel_node.ts";
import { type Namespace, Segment, succeed } from "./segment.ts";

const block = "10.150.0.0";
const remote: NextHop = { address: "192.0.2.9", mac: "02:00:00:00:00:09" };
const bridge = "l3br-200";
const vxlan = "l3vx-50200";

const neighbour = `neighbour replace ${remote.address} dev ${bridge} lladdr ${remote.mac}`;

/** What zebra does for a route. */
async function addRoute(space: Namespace, table: number): Promise<void> {
  await space.ip(
    `${neighbour} nud noarp extern_learn protocol zebra`,
    `route add 10.150.0.64/26 via ${remote.address} dev ${bridge} onlink protocol bgp table ${table}`,
  );
  await forwarding(space, "replace");
}

async function forwarding(space: Namespace, verb: "replace" | "del"): Promise<void> {
  const learnt = verb === "del" ? [] : ["extern_learn"];
  const common = ["bridge", "fdb", verb, remote.mac, "dev", vxlan];
  await succeed(space.command(...common, "master", ...learnt));
  await succeed(space.command(...common, "dst", remote.address, "self", ...learnt));
}

/** What zebra does when the best path has changed: all but the route. */
async function loseNextHop(space: Namespace): Promise<void> {
  await space.ip(`neighbour del ${remote.address} dev ${bridge}`);
  await forwarding(space, "del");
}

/** Who made the next hop, while it is whole; undefined when it is not. */
async function makerOf(space: Namespace): Promise<string | undefined> {
  const rows = await space.rows("-d", "neighbour", "show", remote.address, "dev", bridge);
  const found = rows.find((row) => row.lladdr === remote.mac);
  const shown = await succeed(space.command("bridge", "fdb", "show", "dev", vxlan));
  const entries = shown.split("\n").filter((line) => line.startsWith(remote.mac));
  const whole = entries.some((line) => line.includes(`master ${bridge}`)) &&
    entries.some((line) => line.includes(`dst ${remote.address}`));
  return found !== undefined && whole ? String(found.protocol) : undefined;
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!await holds()) {
    if (performance.now() > end) throw new Error(`Waited for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Registers the cases for a backend. */
export function registerNextHopCases(backend: VrfBackend): void {
  const test = (name: string, fn: () => Promise<void>) => Deno.test(`${backend}: ${name}`, fn);

  function keep(keeper: NextHopKeeper, node: KernelNode, spec: VrfSpec) {
    const connection = node.kernel.connection(spec.vrf);
    const netns = node.kernel.namespace(spec.vrf);
    assert.ok(connection !== undefined && netns !== undefined);
    const table = backend === "device" ? spec.table : 254;
    const links = findNextHopLinks(connection, { bridge, vxlan }, table);
    assert.ok(links);
    return keeper.keep([{ vrf: spec.vrf, netns, links }]);
  }

  const log = createLogger("error", () => {});

  test("a next hop that goes while a route uses it is put back, whole, at once and again", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: [block] });
    node.apply(spec);
    const space = node.space(200);
    const table = backend === "device" ? spec.table : 254;
    await using keeper = new NextHopKeeper({ log });
    assert.deepEqual(keep(keeper, node, spec), []);
    await addRoute(space, table);
    for (let round = 0; round < 2; round++) {
      await loseNextHop(space);
      await until("the next hop", async () => await makerOf(space) === "142");
    }
    assert.deepEqual(keep(keeper, node, spec), []);
  });

  test("what was put back goes when no route uses it any more, and zebra's own stays", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: [block] });
    node.apply(spec);
    const space = node.space(200);
    const table = backend === "device" ? spec.table : 254;
    await using keeper = new NextHopKeeper({ log, sweepMs: 50 });
    keep(keeper, node, spec);
    await addRoute(space, table);
    await loseNextHop(space);
    await until("the next hop", async () => await makerOf(space) === "142");
    await space.ip(`route del 10.150.0.64/26 table ${table}`);
    keep(keeper, node, spec);
    assert.equal(await makerOf(space), undefined);
    const shown = await succeed(space.command("bridge", "fdb", "show", "dev", vxlan));
    assert.ok(!shown.includes(remote.mac), shown);
    await space.ip(`${neighbour} nud noarp extern_learn protocol zebra`);
    await forwarding(space, "replace");
    keep(keeper, node, spec);
    assert.equal(await makerOf(space), "zebra");
  });

  test("a next hop that nobody has seen is named, and put in place once its MAC is told", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: [block] });
    node.apply(spec);
    const space = node.space(200);
    await addRoute(space, backend === "device" ? spec.table : 254);
    await loseNextHop(space);
    await using keeper = new NextHopKeeper({ log });
    const { address } = remote;
    assert.deepEqual(keep(keeper, node, spec), [{ vrf: 200, address }]);
    keeper.put(200, remote);
    assert.equal(await makerOf(space), "142");
    assert.deepEqual(keep(keeper, node, spec), []);
  });

  test("a next hop whose forwarding entries are gone gets them again, its neighbour stays zebra's", async () => {
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: [block] });
    node.apply(spec);
    const space = node.space(200);
    await addRoute(space, backend === "device" ? spec.table : 254);
    await forwarding(space, "del");
    assert.equal(await makerOf(space), undefined);
    await using keeper = new NextHopKeeper({ log });
    assert.deepEqual(keep(keeper, node, spec), []);
    assert.equal(await makerOf(space), "zebra");
  });

  test("VRFs that are no longer kept are left alone, and nothing stays open", async () => {
    const openFds = () => [...Deno.readDirSync("/proc/self/fd")].length;
    await using segment = await Segment.create(1);
    using node = new KernelNode(segment, backend);
    const spec = node.spec({ vrf: 200, blocks: [block] });
    node.apply(spec);
    node.kernel.namespace(200);
    const before = openFds();
    {
      await using keeper = new NextHopKeeper({ log, sweepMs: 1 });
      keep(keeper, node, spec);
      keeper.keep([]);
      await addRoute(node.space(200), backend === "device" ? spec.table : 254);
      await loseNextHop(node.space(200));
      keeper.keep([]);
    }
    assert.equal(await makerOf(node.space(200)), undefined);
    assert.equal(openFds(), before);
  });
}
