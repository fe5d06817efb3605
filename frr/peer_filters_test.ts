import assert from "node:assert/strict";
import type { FrrModel, FrrPeerFilters } from "./model.ts";
import { renderFrr } from "./render.ts";
import { startTestAgent } from "./testing/agent.ts";
import { type FrrInstance, startFrrInstance } from "./testing/frr_instance.ts";
import { addLinks, addNamespace, untilState } from "./testing/netns_vrf.ts";
import { connectNodes, underlayAddress } from "./testing/underlay.ts";
import { runVtysh } from "./vtysh.ts";

const NETNS = { zebraOptions: ["--vrfwnetns"] };
const signal = () => AbortSignal.timeout(30_000);
const address = underlayAddress;
const tenant = {
  number: 200,
  vni: 50200,
  local: address(1),
  gateway: "10.150.1.1/26",
  mac: "02:00:00:00:01:c8",
};
/** An address of a stretched subnet. */
const neighbor = { mac: "02:aa:00:00:00:01", address: "10.100.0.5" };

function configOf(node: number, filters?: FrrPeerFilters): string {
  const vrf: FrrModel["vrfs"][number] = {
    name: "vrf-200",
    l3vni: tenant.vni,
    rd: `${address(1)}:200`,
    routerId: address(1),
    routeTargets: { import: ["65000:200"], export: ["65000:200"] },
    prefix: "10.150.0.0/16",
  };
  return renderFrr({
    asn: 65000,
    routerId: address(node),
    neighbors: [{ address: address(3 - node), remoteAs: "internal", filters }],
    vrfs: node === 1 ? [vrf] : [],
  });
}

/** A stretched subnet with an address in it: routes of the types 2 and 3. */
async function addStretched(frr: FrrInstance): Promise<void> {
  const commands = [
    "ip link add br100 type bridge",
    "ip link set br100 addrgenmode none up",
    `ip link add vx100 type vxlan id 100 local ${address(1)} dstport 4789 nolearning`,
    "ip link set vx100 addrgenmode none master br100 up",
    "ip link set vx100 type bridge_slave learning off",
    "ip link add port type veth peer name pod",
    "ip link set port master br100 up",
    "ip link set pod up",
    `bridge fdb add ${neighbor.mac} dev port master static`,
    "ip address add 10.100.0.1/24 dev br100",
    `ip neigh add ${neighbor.address} lladdr ${neighbor.mac} dev br100 nud permanent`,
  ];
  await frr.run("sh", "-ec", commands.join("\n"));
}

const subnet = "[3]:[0]:[32]:[192.168.124.1]";
const pod = `[2]:[0]:[48]:[${neighbor.mac}]:[32]:[${neighbor.address}]`;
const block = "[5]:[0]:[26]:[10.150.1.0]";

Deno.test("a peer's filters decide what is taken from it and sent to it, also when they change, and bgpd lives", async () => {
  await using frr1 = await startFrrInstance(NETNS);
  await using frr2 = await startFrrInstance(NETNS);
  await using agent1 = await startTestAgent(frr1);
  await using agent2 = await startTestAgent(frr2);
  await connectNodes(frr1, frr2);
  await addNamespace(frr1, { ...tenant });
  await untilState(
    agent1.client,
    "active VRF",
    ({ vrfs }) => vrfs.some(({ state }) => state === "active"),
  );
  await agent1.client.apply(configOf(1), signal());
  await agent2.client.apply(configOf(2), signal());
  await addLinks(frr1, tenant);
  await addStretched(frr1);
  const pids = () =>
    Promise.all([frr1, frr2].map(({ vtyDir }) => Deno.readTextFile(`${vtyDir}/bgpd.pid`)));
  const before = await pids();

  /** Waits until the second node has of these three routes exactly the wanted ones. */
  async function untilTaken(...wanted: string[]): Promise<void> {
    let found: string[] = [];
    const end = performance.now() + 40_000;
    while (JSON.stringify(found) !== JSON.stringify(wanted)) {
      if (performance.now() > end) throw new Error(`Expected "${wanted}", found "${found}"`);
      const [shown] = await runVtysh(frr2, ["show bgp l2vpn evpn"], signal());
      // Only routes that it has not just lost: those that are going have no star.
      const lines = (shown?.output ?? "").split("\n").filter((line) =>
        line.trimStart().startsWith("*")
      );
      found = [subnet, pod, block].filter((route) => lines.some((line) => line.includes(route)));
    }
  }
  const take = (filters?: FrrPeerFilters) => agent2.client.apply(configOf(2, filters), signal());
  const send = (filters?: FrrPeerFilters) => agent1.client.apply(configOf(1, filters), signal());
  await untilTaken(subnet, pod, block);
  await take({ in: [{ routeType: "prefix", action: "permit" }] });
  await untilTaken(block);
  await take({ in: [{ routeType: "prefix", action: "deny" }, { action: "permit" }] });
  await untilTaken(subnet, pod);
  await take({ in: [{ routeType: "macip", vni: 100, action: "permit" }] });
  await untilTaken(pod);
  await take({ in: [{ vni: tenant.vni, action: "permit" }] });
  await untilTaken(block);
  await take();
  await untilTaken(subnet, pod, block);
  await send({ out: [{ routeType: "multicast", action: "permit" }] });
  await untilTaken(subnet);
  await send({ out: [{ vni: 100, action: "deny" }, { action: "permit" }] });
  // bgpd does not look for the VNI of a route of the type 3.
  await untilTaken(subnet, block);
  await send();
  await untilTaken(subnet, pod, block);
  assert.deepEqual(await pids(), before);
});
