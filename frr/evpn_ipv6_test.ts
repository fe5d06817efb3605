/** Type-5 routes of both IP versions between two nodes, over tunnels of either. */
import assert from "node:assert/strict";
import { renderFrr } from "./render.ts";
import { startTestAgent } from "./testing/agent.ts";
import { type FrrInstance, startFrrInstance } from "./testing/frr_instance.ts";
import {
  addLinks,
  addNamespace,
  type NetnsVrf,
  untilImported,
  untilState,
} from "./testing/netns_vrf.ts";
import { connectNodes, underlayAddress } from "./testing/underlay.ts";

const signal = () => AbortSignal.timeout(30_000);
const vtep4 = underlayAddress;
const vtep6 = (node: number) => `fd00:124::${node}`;
const routerId = (node: number) => `100.64.0.${node}`;
const mac = (node: number) => `02:00:00:0${node}:00:02`;
const gateway6 = (node: number) => `fd00:150:0:${node}::1/64`;

/** How the two nodes reach each other. */
interface Tunnels {
  /** VTEP address of a node; also where BGP connects to. */
  readonly vtep: (node: number) => string;
  /** Next hop of a node's routes. */
  readonly nextHop: (node: number) => string;
}

const overIpv4: Tunnels = { vtep: vtep4, nextHop: vtep4 };
const overIpv6: Tunnels = { vtep: vtep6, nextHop: routerId };

function tenant(node: number, { vtep }: Tunnels): NetnsVrf {
  const gateway = `10.150.${node}.1/26`;
  return { number: 200, vni: 50200, local: vtep(node), gateway, mac: mac(node) };
}

function configOf(node: number, { vtep, nextHop }: Tunnels): string {
  const target = ["65000:200"];
  return renderFrr({
    asn: 65000,
    routerId: nextHop(node),
    ...vtep === vtep6 ? { nextHop: nextHop(node) } : {},
    neighbors: [{ address: vtep(3 - node), remoteAs: "internal" }],
    vrfs: [{
      name: "vrf-200",
      l3vni: 50200,
      rd: `${nextHop(node)}:200`,
      routerId: nextHop(node),
      routeTargets: { import: target, export: target },
      prefix: "10.150.0.0/16",
      prefix6: "fd00:150::/48",
    }],
  });
}

/** Both nodes have addresses of both IP versions: what FRR would take for a next hop by itself is not the router id. */
async function connect(nodes: readonly [FrrInstance, FrrInstance]): Promise<void> {
  await connectNodes(...nodes);
  for (const [at, frr] of nodes.entries()) {
    const node = at + 1;
    await frr.run(
      ...["sh", "-ec"],
      `ip address add ${vtep6(node)}/64 dev underlay nodad
       ip route add ${routerId(3 - node)} dev underlay`,
    );
  }
}

async function addIpv6Gateway(frr: FrrInstance, node: number): Promise<void> {
  const words = ["address", "add", gateway6(node), "dev", "l3br-200", "nodad"];
  await frr.run("ip", "-n", "vrf-200", ...words);
}

/** A tenant on two nodes that have learnt each other's routes. */
async function assertRoutes(tunnels: Tunnels): Promise<void> {
  const options = { zebraOptions: ["--vrfwnetns"] };
  await using frr1 = await startFrrInstance(options);
  await using frr2 = await startFrrInstance(options);
  await using agent1 = await startTestAgent(frr1);
  await using agent2 = await startTestAgent(frr2);
  await connect([frr1, frr2]);
  const nodes = [
    { node: 1, frr: frr1, client: agent1.client },
    { node: 2, frr: frr2, client: agent2.client },
  ];
  for (const { node, frr, client } of nodes) {
    await addNamespace(frr, tenant(node, tunnels));
    await untilState(
      client,
      "the VRF",
      ({ vrfs }) => vrfs.some(({ name, state }) => name === "vrf-200" && state === "active"),
    );
    await client.apply(configOf(node, tunnels), signal());
    await addLinks(frr, tenant(node, tunnels));
    await addIpv6Gateway(frr, node);
  }
  for (const { node, frr, client } of nodes) {
    const other = 3 - node;
    await untilState(
      client,
      "two prefixes of the other node",
      ({ peers }) => peers.every((peer) => peer.established && peer.prefixesReceived === 2),
    );
    const hop = tunnels.nextHop(other);
    const prefixes = [`10.150.${other}.0/26`, `fd00:150:0:${other}::/64`];
    const { routes } = await untilImported({ frr, client }, "vrf-200", prefixes);
    const learnt = routes.filter(({ protocol }) => protocol === "bgp");
    assert.deepEqual(
      learnt.map(({ prefix, selected }) => [prefix, selected]),
      prefixes.map((prefix) => [prefix, true]),
    );
    // In the kernel each route leads to the other node's router MAC, whatever IP version the tunnel has.
    const show = (...words: string[]) => frr.run("ip", "-n", "vrf-200", ...words);
    const four = await show("-4", "route", "show", "proto", "bgp");
    assert.match(four, RegExp(`^10\\.150\\.${other}\\.0/26 .*via ${hop} dev l3br-200 .*onlink`));
    const six = await show("-6", "route", "show", "proto", "bgp");
    assert.match(
      six,
      RegExp(`^fd00:150:0:${other}::/64 .*via ::ffff:${hop} dev l3br-200 .*onlink`),
    );
    const neighbors = await show("neigh", "show", "dev", "l3br-200");
    for (const via of [hop, `::ffff:${hop}`]) {
      assert.match(neighbors, RegExp(`^${via} lladdr ${mac(other)} `, "m"));
    }
    const fdb = await frr.run("bridge", "-n", "vrf-200", "fdb", "show", "dev", "l3vx-50200");
    assert.match(fdb, RegExp(`^${mac(other)} .*extern_learn .*master l3br-200`, "m"));
    // Over IPv6 the kernel refuses what FRR says of the tunnel's end.
    assert.equal(/ dst /.test(fdb), tunnels.vtep === vtep4, fdb);
  }
}

Deno.test("routes of both IP versions go over IPv4 tunnels, those of IPv6 by the VTEP in IPv6 form", () =>
  assertRoutes(overIpv4));

Deno.test("routes of both IP versions go over IPv6 tunnels by router ids, and the tunnels' ends are left to others", () =>
  assertRoutes(overIpv6));
