import assert from "node:assert/strict";
import { renderFrr } from "./render.ts";
import { startTestAgent } from "./testing/agent.ts";
import { type FrrInstance, startFrrInstance } from "./testing/frr_instance.ts";
import {
  addLinks,
  addNamespace,
  type NetnsVrf,
  removeLinks,
  removeNamespace,
  untilState,
} from "./testing/netns_vrf.ts";

const NETNS = { zebraOptions: ["--vrfwnetns"] };
const signal = () => AbortSignal.timeout(30_000);
const address = (node: number) => `192.168.124.${node}`;

function tenant(node: number, number: number): NetnsVrf {
  return {
    number,
    vni: 50_000 + number,
    local: address(node),
    gateway: `10.150.${node}.1/26`,
    mac: `02:00:00:0${node}:00:0${number / 100}`,
  };
}

function configOf(node: number, tenants: readonly NetnsVrf[]): string {
  return renderFrr({
    asn: 65000,
    routerId: address(node),
    neighbors: [{ address: address(3 - node), remoteAs: "internal" }],
    vrfs: tenants.map(({ number, vni }) => ({
      name: `vrf-${number}`,
      l3vni: vni,
      rd: `${address(node)}:${number}`,
      routerId: address(node),
      routeTargets: { import: [`65000:${number}`], export: [`65000:${number}`] },
      prefix: "10.150.0.0/16",
    })),
  });
}

async function connect(a: FrrInstance, b: FrrInstance): Promise<void> {
  const link = [
    "link",
    "add",
    "underlay",
    "netns",
    `${a.pid}`,
    "type",
    "veth",
    "peer",
    "name",
    "underlay",
    "netns",
    `${b.pid}`,
  ];
  const { success } = await new Deno.Command("ip", { args: link }).output();
  assert(success);
  for (const [frr, node] of [[a, 1], [b, 2]] as const) {
    await frr.run("ip", "address", "add", `${address(node)}/24`, "dev", "underlay");
    await frr.run("ip", "link", "set", "underlay", "up");
  }
}

Deno.test("two nodes exchange the routes of tenants with the same prefix, and forget them in order", async () => {
  await using frr1 = await startFrrInstance(NETNS);
  await using frr2 = await startFrrInstance(NETNS);
  await using agent1 = await startTestAgent(frr1);
  await using agent2 = await startTestAgent(frr2);
  await connect(frr1, frr2);
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
          state: "Up",
          svi: `l3br-${vrf.number}`,
          vxlan: `l3vx-${vrf.vni}`,
          routerMac: vrf.mac,
        })),
      );
    }
    for (const { node, frr, client } of nodes) {
      for (const number of [200, 300]) {
        const { routes } = await client.routes(`vrf-${number}`, signal());
        const imported = routes.filter((route) => route.protocol === "bgp");
        assert.deepEqual(imported, [{
          prefix: `10.150.${3 - node}.0/26`,
          protocol: "bgp",
          selected: true,
          nexthops: [`${address(3 - node)} l3br-${number}`],
        }]);
        const kernel = await frr.run("ip", "-n", `vrf-${number}`, "route", "show", "proto", "bgp");
        assert.match(
          kernel,
          new RegExp(
            `^10\\.150\\.${3 - node}\\.0/26 .*via ${address(3 - node)} dev l3br-${number} .*onlink`,
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
    await removeNamespace(frr, vrf);
    await active("inactive");
  }
});

Deno.test("neither the default route of a VRF nor its link routes reach another node", async () => {
  await using frr1 = await startFrrInstance(NETNS);
  await using frr2 = await startFrrInstance(NETNS);
  await using agent1 = await startTestAgent(frr1);
  await using agent2 = await startTestAgent(frr2);
  await connect(frr1, frr2);
  for (const [node, frr, { client }] of [[1, frr1, agent1], [2, frr2, agent2]] as const) {
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
  const { prefixRoutes, routes } = await agent2.client.routes("vrf-200", signal());
  const received = prefixRoutes.filter((route) => route.peer === address(1));
  assert.deepEqual(received.map((route) => [route.rd, route.prefix, route.nexthop]), [
    [`${address(1)}:200`, "10.150.1.0/26", address(1)],
    [`${address(1)}:200`, "10.150.99.0/24", address(1)],
  ]);
  assert.deepEqual(
    routes.filter((route) => route.protocol === "bgp").map((route) => route.prefix),
    [
      "10.150.1.0/26",
      "10.150.99.0/24",
    ],
  );
});
