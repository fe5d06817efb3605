import assert from "node:assert/strict";
import type { FrrRouteFilters } from "./model.ts";
import { renderFrr } from "./render.ts";
import { startTestAgent, type TestAgent } from "./testing/agent.ts";
import { type FrrInstance, startFrrInstance } from "./testing/frr_instance.ts";
import {
  addLinks,
  addNamespace,
  type NetnsVrf,
  removeLinks,
  removeNamespace,
  untilImported,
  untilState,
  wreckNamespace,
} from "./testing/netns_vrf.ts";
import { connectNodes, underlayAddress } from "./testing/underlay.ts";

const NETNS = { zebraOptions: ["--vrfwnetns"] };
const signal = () => AbortSignal.timeout(30_000);

function tenant(node: number, number: number): NetnsVrf {
  return {
    number,
    vni: 50_000 + number,
    local: underlayAddress(node),
    gateway: `10.150.${node}.1/26`,
    mac: `02:00:00:0${node}:00:0${number / 100}`,
  };
}

function configOf(
  node: number,
  tenants: readonly NetnsVrf[],
  filters?: FrrRouteFilters,
): string {
  return renderFrr({
    asn: 65000,
    routerId: underlayAddress(node),
    neighbors: [{ address: underlayAddress(3 - node), remoteAs: "internal" }],
    vrfs: tenants.map(({ number, vni }) => ({
      name: `vrf-${number}`,
      l3vni: vni,
      rd: `${underlayAddress(node)}:${number}`,
      routerId: underlayAddress(node),
      routeTargets: { import: [`65000:${number}`], export: [`65000:${number}`] },
      prefix: "10.150.0.0/16",
      ...filters === undefined ? {} : { filters },
    })),
  });
}

/** Has a node carry the first tenant, its links last. */
async function carryTenant(node: number, frr: FrrInstance, { client }: TestAgent): Promise<void> {
  const vrf = tenant(node, 200);
  await addNamespace(frr, vrf);
  await untilState(
    client,
    "active VRF",
    (state) => state.vrfs.some(({ state }) => state === "active"),
  );
  await client.apply(configOf(node, [vrf]), signal());
  await addLinks(frr, vrf);
}

/** Two connected nodes that carry the first tenant. */
async function carryingPair() {
  await using stack = new AsyncDisposableStack();
  const frr1 = stack.use(await startFrrInstance(NETNS));
  const frr2 = stack.use(await startFrrInstance(NETNS));
  const agent1 = stack.use(await startTestAgent(frr1));
  const agent2 = stack.use(await startTestAgent(frr2));
  await connectNodes(frr1, frr2);
  await carryTenant(1, frr1, agent1);
  await carryTenant(2, frr2, agent2);
  const owned = stack.move();
  return { frr1, frr2, agent1, agent2, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

Deno.test("two nodes exchange the routes of tenants with the same prefix, and forget them in order", async () => {
  await using frr1 = await startFrrInstance(NETNS);
  await using frr2 = await startFrrInstance(NETNS);
  await using agent1 = await startTestAgent(frr1);
  await using agent2 = await startTestAgent(frr2);
  await connectNodes(frr1, frr2);
  const nodes = [
    { node: 1, frr: frr1, client: agent1.client, tenants: [tenant(1, 200), tenant(1, 300)] },
    { node: 2, frr: frr2, client: agent2.client, tenants: [tenant(2, 200), tenant(2, 300)] },
  ];

  for (let cycle = 0; cycle < 3; cycle++) {
    for (const { frr, tenants } of nodes) {
      for (const vrf of tenants) await addNamespace(frr, vrf);
    }
    for (const { node, client, tenants } of nodes) {
      await untilState(
        client,
        "active VRFs",
        (state) =>
          tenants.every((vrf) =>
            state.vrfs.some(({ name, state }) => name === `vrf-${vrf.number}` && state === "active")
          ),
      );
      await client.apply(configOf(node, tenants), signal());
    }
    for (const { frr, tenants } of nodes) {
      for (const vrf of tenants) await addLinks(frr, vrf);
    }
    for (const { client, tenants } of nodes) {
      const state = await untilState(
        client,
        "L3VNIs up and peers established",
        (state) =>
          state.vnis.length === tenants.length && state.vnis.every((vni) => vni.state === "Up") &&
          state.peers.every((peer) => peer.established && peer.prefixesReceived === 2),
      );
      assert.deepEqual(
        state.vnis,
        tenants.map((vrf) => ({
          vrf: `vrf-${vrf.number}`,
          vni: vrf.vni,
          type: "l3vni",
          state: "Up",
          svi: `l3br-${vrf.number}`,
          vxlan: `l3vx-${vrf.vni}`,
          routerMac: vrf.mac,
        })),
      );
    }
    for (const { node, frr, client } of nodes) {
      for (const number of [200, 300]) {
        const prefixes = [`10.150.${3 - node}.0/26`];
        const { routes } = await untilImported({ frr, client }, `vrf-${number}`, prefixes);
        const imported = routes.filter((route) => route.protocol === "bgp");
        assert.deepEqual(imported, [{
          prefix: `10.150.${3 - node}.0/26`,
          protocol: "bgp",
          selected: true,
          nexthops: [`${underlayAddress(3 - node)} l3br-${number}`],
        }]);
        const kernel = await frr.run("ip", "-n", `vrf-${number}`, "route", "show", "proto", "bgp");
        assert.match(
          kernel,
          new RegExp(
            `^10\\.150\\.${3 - node}\\.0/26 .*via ${
              underlayAddress(3 - node)
            } dev l3br-${number} .*onlink`,
          ),
        );
      }
    }
    for (const { node, frr, client, tenants } of nodes) {
      await client.apply(configOf(node, []), signal());
      for (const vrf of tenants) await removeLinks(frr, vrf);
      await untilState(
        client,
        "VRFs with nothing but lo",
        (state) => state.vrfs.every((vrf) => vrf.interfaces.join() === "lo"),
      );
      for (const vrf of tenants) await removeNamespace(frr, vrf);
      await untilState(
        client,
        "inactive VRFs",
        (state) => state.vrfs.every((vrf) => vrf.state === "inactive"),
      );
      const last = await client.apply(configOf(node, []), signal());
      assert.deepEqual(last.lines.filter((line) => !/^no vrf vrf-[23]00$/.test(line)), []);
      const state = await client.state(signal());
      assert.deepEqual(state.vrfs, []);
    }
  }
});

Deno.test("a VXLAN device that zebra met before the configuration is up at the latest once it is bounced", async () => {
  await using frr = await startFrrInstance(NETNS);
  await using agent = await startTestAgent(frr);
  const vrf = tenant(1, 200);
  await agent.client.apply(configOf(1, []), signal());
  await addNamespace(frr, vrf);
  await addLinks(frr, vrf);
  await untilState(
    agent.client,
    "all links",
    (state) => state.vrfs.some(({ interfaces }) => interfaces.length === 3),
  );
  await agent.client.apply(configOf(1, [vrf]), signal());
  // Whether zebra gets it wrong is a matter of milliseconds; bouncing is right in both cases.
  for (const change of ["down", "up", "protodown off"]) {
    await frr.run("ip", "-n", "vrf-200", "link", "set", "l3vx-50200", ...change.split(" "));
  }
  const mended = await untilState(
    agent.client,
    "VNI up",
    (state) => state.vnis.some((vni) => vni.state === "Up"),
  );
  assert.equal(mended.vnis[0]?.svi, "l3br-200");
  assert.deepEqual(mended.addresses?.["l3br-200"], [vrf.gateway]);
});

Deno.test("a VRF whose namespace is deleted by hand comes back without a new configuration", async () => {
  await using frr = await startFrrInstance(NETNS);
  await using agent = await startTestAgent(frr);
  const vrf = tenant(1, 200);
  const active = (wanted: string) =>
    untilState(agent.client, wanted, (state) => state.vrfs.some(({ state }) => state === wanted));
  for (let cycle = 0; cycle < 2; cycle++) {
    await addNamespace(frr, vrf);
    await active("active");
    assert.equal((await agent.client.apply(configOf(1, [vrf]), signal())).changed, cycle === 0);
    await addLinks(frr, vrf);
    await untilState(
      agent.client,
      "VNI up",
      (state) => state.vnis.some((vni) => vni.state === "Up"),
    );
    await wreckNamespace(frr, vrf);
    await active("inactive");
  }
});

Deno.test("neither the default route of a VRF nor its link routes reach another node", async () => {
  await using pair = await carryingPair();
  const { frr1, frr2, agent1, agent2 } = pair;
  const leg = [
    "link add leg type veth peer name host",
    "address add 169.254.7.1/31 dev leg",
    "link set leg up",
    "link set host up",
    "route add default via 169.254.7.0",
    "route add 192.0.2.0/24 via 169.254.7.0",
    "route add 10.150.99.0/24 via 169.254.7.0",
  ];
  for (const command of leg) await frr1.run("ip", "-n", "vrf-200", ...command.split(" "));
  await untilState(
    agent2.client,
    "two routes",
    (state) => state.peers.some((peer) => peer.prefixesReceived === 2),
  );
  const own = await agent1.client.routes("vrf-200", signal());
  assert(own.routes.some((route) => route.prefix === "0.0.0.0/0" && route.protocol === "kernel"));
  const at = { frr: frr2, client: agent2.client };
  const { prefixRoutes, routes } = await untilImported(at, "vrf-200", [
    "10.150.1.0/26",
    "10.150.99.0/24",
  ]);
  const received = prefixRoutes.filter((route) => route.peer === underlayAddress(1));
  assert.deepEqual(received.map((route) => [route.rd, route.prefix, route.nexthop]), [
    [`${underlayAddress(1)}:200`, "10.150.1.0/26", underlayAddress(1)],
    [`${underlayAddress(1)}:200`, "10.150.99.0/24", underlayAddress(1)],
  ]);
  for (const { routerMac, routeTargets } of received) {
    assert.equal(routerMac, tenant(1, 200).mac);
    assert.deepEqual(routeTargets, ["65000:200"]);
  }
  assert.deepEqual(
    routes.filter((route) => route.protocol === "bgp").map((route) => route.prefix),
    [
      "10.150.1.0/26",
      "10.150.99.0/24",
    ],
  );
});

Deno.test("a route that the kernel dropped without a word is made again when one like it of FRR's protocol goes", async () => {
  await using pair = await carryingPair();
  const { frr1, agent1 } = pair;
  await untilImported({ frr: frr1, client: agent1.client }, "vrf-200", ["10.150.2.0/26"]);
  const ip = (words: string) => frr1.run("ip", "-n", "vrf-200", ...words.split(" "));
  const installed = () => ip("route show 10.150.2.0/26 proto bgp");
  await ip("address del 10.150.1.1/26 dev l3br-200");
  await ip("address add 10.150.1.1/26 dev l3br-200");
  assert.equal(await installed(), "");
  const held = `10.150.2.0/26 via ${underlayAddress(2)} dev l3br-200 onlink proto bgp metric 20142`;
  await ip(`route add ${held}`);
  await ip(`route del ${held}`);
  const end = performance.now() + 15_000;
  while (!/metric 20 /.test(await installed())) {
    assert.ok(performance.now() < end, "FRR does not make its route again");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

Deno.test("the AS number changes though bgpd keeps instances of its own for VNIs until it hears that they are gone", async () => {
  await using frr = await startFrrInstance(NETNS);
  await using agent = await startTestAgent(frr);
  const tenants = [tenant(1, 200), tenant(1, 300)];
  for (const vrf of tenants) await addNamespace(frr, vrf);
  await untilState(
    agent.client,
    "active VRFs",
    ({ vrfs }) => vrfs.filter(({ state }) => state === "active").length === tenants.length,
  );
  const text = configOf(1, tenants);
  await agent.client.apply(text, signal());
  for (const vrf of tenants) await addLinks(frr, vrf);
  const up = () =>
    untilState(
      agent.client,
      "VNIs up",
      ({ vnis }) =>
        vnis.length === tenants.length && vnis.every(({ state, svi }) => state === "Up" && svi),
    );
  await up();
  // As it is where a change of the number broke off: VNIs, and no instance for them but bgpd's own.
  for (const { number, vni } of tenants) {
    const vrf = ["vrf", `vrf-${number}`];
    const lines = [`${vrf.join(" ")}`, `no vni ${vni}`, "exit-vrf"];
    await frr.run("vtysh", ...["configure terminal", ...lines].flatMap((line) => ["-c", line]));
    await until(frr, `no router bgp 65000 vrf vrf-${number}`);
    const again = [vrf.join(" "), `vni ${vni}`, "exit-vrf"];
    await frr.run("vtysh", ...["configure terminal", ...again].flatMap((line) => ["-c", line]));
  }
  await up();
  const next = text.replaceAll("router bgp 65000", "router bgp 65001");
  assert.equal((await agent.client.apply(next, signal())).changed, true);
  assert.equal((await agent.client.apply(next, signal())).changed, false);
  await up();
});

/** Gives FRR a line of configuration until it takes it. */
async function until(frr: FrrInstance, line: string): Promise<void> {
  const end = performance.now() + 15_000;
  for (;;) {
    const said = await frr.run("vtysh", "-c", "configure terminal", "-c", line).catch(String);
    if (said === "") return;
    if (performance.now() > end) throw new Error(`FRR does not take "${line}": ${said}`);
  }
}

Deno.test("filters decide what a VRF announces and takes besides its own prefix, also when they change", async () => {
  await using pair = await carryingPair();
  const { frr1, frr2, agent1, agent2 } = pair;
  for (const prefix of ["192.0.2.0/24", "192.0.2.128/25", "198.51.100.0/24"]) {
    await frr1.run("ip", "-n", "vrf-200", "route", "add", "blackhole", prefix);
  }
  const own = "10.150.1.0/26";
  /** Waits until the second node's kernel has exactly these routes from BGP. */
  async function untilTaken(...wanted: string[]): Promise<void> {
    let found = "";
    const end = performance.now() + 30_000;
    while (found !== wanted.toSorted().join(" ")) {
      if (performance.now() > end) throw new Error(`Expected "${wanted}", found "${found}"`);
      const shown = await frr2.run("ip", "-j", "-n", "vrf-200", "route", "show", "proto", "bgp");
      const routes: { dst: string }[] = JSON.parse(shown || "[]");
      found = routes.map(({ dst }) => dst).toSorted().join(" ");
    }
  }
  const set1 = (filters?: FrrRouteFilters) =>
    agent1.client.apply(configOf(1, [tenant(1, 200)], filters), signal());
  const set2 = (filters?: FrrRouteFilters) =>
    agent2.client.apply(configOf(2, [tenant(2, 200)], filters), signal());
  await untilTaken(own);
  await set1({ export: [{ prefix: "192.0.2.0/24", le: 32, action: "permit" }] });
  await untilTaken(own, "192.0.2.0/24", "192.0.2.128/25");
  await set2({ import: [{ prefix: "192.0.2.0/24", action: "permit" }] });
  await untilTaken(own, "192.0.2.0/24");
  await set2({ import: [{ prefix: "192.0.2.0/24", ge: 25, action: "permit" }] });
  await untilTaken(own, "192.0.2.128/25");
  await set2();
  await untilTaken(own, "192.0.2.0/24", "192.0.2.128/25");
  await set1();
  await untilTaken(own);
});
