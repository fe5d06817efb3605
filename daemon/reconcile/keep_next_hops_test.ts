import assert from "node:assert/strict";
import type { FrrClient } from "../../frr/client.ts";
import type { FrrRoutes } from "../../frr/protocol.ts";
import { parsePrefix } from "../../lib/net/prefix.ts";
import type { NextHop } from "../kernel/next_hops.ts";
import type { Kernel } from "../kernel/port.ts";
import { keepNextHops } from "./keep_next_hops.ts";
import type { Run } from "./run.ts";
import { planNode } from "./plan.ts";
import { makeRun } from "./testing/make_run.ts";

const underlay = { ifname: "eth0", ifindex: 2, address: "192.0.2.1", mtu: 1500 };

function run(): Run {
  const plan = planNode({
    node: "node1",
    underlay,
    asn: 65000,
    routerId: underlay.address,
    peers: [],
    domains: [{
      name: "blue",
      vrf: 200,
      table: 2200,
      prefixes: [parsePrefix("10.150.0.0/16"), parsePrefix("fd00:150::/48")],
      attachments: [{ type: "l3vni", vni: 50200, port: 4789 }],
    }],
    blocks: [],
    ports: new Map(),
    policies: [],
    serviceVrfMax: 0,
  });
  return { ...makeRun(), carried: [], underlay, plan, policies: [], announced: new Set() };
}

/** An FRR whose routes of the VRF lead to one other node, which another tenant uses too. */
const routes: FrrRoutes = {
  routes: [
    ...["10.150.64.0/26 192.0.2.2", "fd00:150:0:1::/64 ::ffff:c000:202"].map((text) => {
      const [prefix = "", hop] = text.split(" ");
      return { prefix, protocol: "bgp", selected: true, nexthops: [`${hop} l3br-200`] };
    }),
  ],
  prefixRoutes: [
    ...["10.150.64.0/26", "fd00:150:0:1::/64"].flatMap((prefix) =>
      (["300", "200"] as const).map((target) => ({
        rd: `192.0.2.2:${target}`,
        prefix,
        nexthop: "192.0.2.2",
        peer: "192.0.2.2",
        routerMac: `02:00:00:00:0${target[0]}:00`,
        routeTargets: [`65000:${target}`],
      }))
    ),
  ],
};

Deno.test("a next hop that nobody has seen is asked of FRR, whatever the IP version of its route", async () => {
  const put: NextHop[] = [];
  const lost = ["192.0.2.2", "::ffff:192.0.2.2", "192.0.2.77"];
  const nextHops = {
    keep: () => lost.map((address) => ({ vrf: 200, address })),
    put: (_vrf: number, nextHop: NextHop) => void put.push(nextHop),
  };
  const frr = { routes: () => Promise.resolve(routes) } as Partial<FrrClient> as FrrClient;
  const kernel = { connection: () => undefined, namespace: () => undefined };
  const state = run();
  await keepNextHops(kernel as Partial<Kernel> as Kernel, nextHops, frr, state);
  assert.deepEqual(state.problems, []);
  const mac = "02:00:00:00:02:00";
  assert.deepEqual(put, lost.slice(0, 2).map((address) => ({ address, mac })));
});
