/** What FRR makes of the route that ends packets for what nobody has of a tenant's prefix: each node has one, and announces it. */
import { unreachableMetric } from "../../daemon/kernel/routes.ts";
import { renderFrr } from "../../frr/render.ts";
import { startTestAgent, type TestAgent } from "../../frr/testing/agent.ts";
import { type FrrInstance, startFrrInstance } from "../../frr/testing/frr_instance.ts";
import { addLinks, addNamespace, type NetnsVrf, untilState } from "../../frr/testing/netns_vrf.ts";
import { connectNodes, underlayAddress } from "../../frr/testing/underlay.ts";
import { until } from "../lab/process.ts";

const prefix = "10.150.0.0/16";
const signal = () => AbortSignal.timeout(30_000);
const ending = `unreachable ${prefix} proto 142 metric ${unreachableMetric}`;

function tenant(node: number): NetnsVrf {
  const mac = `02:00:00:00:00:0${node}`;
  return {
    number: 200,
    vni: 50200,
    local: underlayAddress(node),
    gateway: `10.150.${node}.1/26`,
    mac,
  };
}

function configOf(node: number): string {
  return renderFrr({
    asn: 65000,
    routerId: underlayAddress(node),
    neighbors: [{ address: underlayAddress(3 - node), remoteAs: "internal" }],
    vrfs: [{
      name: "vrf-200",
      l3vni: 50200,
      rd: `${underlayAddress(node)}:200`,
      routerId: underlayAddress(node),
      routeTargets: { import: ["65000:200"], export: ["65000:200"] },
      prefix,
    }],
  });
}

/** A node that carries the tenant, with its ending route. */
async function carry(node: number, frr: FrrInstance, { client }: TestAgent): Promise<void> {
  await addNamespace(frr, tenant(node));
  await untilState(client, "the VRF", ({ vrfs }) => vrfs.some(({ state }) => state === "active"));
  await client.apply(configOf(node), signal());
  await addLinks(frr, tenant(node));
  await inVrf(frr, "add", ending);
}

function inVrf(frr: FrrInstance, verb: "add" | "del", route: string): Promise<string> {
  return frr.run("ip", "-n", "vrf-200", "route", verb, ...route.split(" "));
}

Deno.test("a node whose own route for the whole prefix was away for a moment prefers it to another node's again, and announces it", async () => {
  const options = { zebraOptions: ["--vrfwnetns"] };
  await using frr1 = await startFrrInstance(options);
  await using frr2 = await startFrrInstance(options);
  await using agent1 = await startTestAgent(frr1);
  await using agent2 = await startTestAgent(frr2);
  await connectNodes(frr1, frr2);
  await carry(1, frr1, agent1);
  await carry(2, frr2, agent2);

  /** Who leads the first node to the whole prefix. */
  const leading = async () =>
    (await agent1.client.routes("vrf-200", signal())).routes
      .filter((route) => route.prefix === prefix && route.selected).map(({ protocol }) => protocol);
  /** From where the second node has heard of it. */
  const heard = async () =>
    (await agent2.client.routes("vrf-200", signal())).prefixRoutes
      .filter((route) => route.prefix === prefix).map(({ peer }) => peer).toSorted();
  const settled = async () =>
    `${await leading()}` === "kernel" && (await heard()).includes(underlayAddress(1))
      ? true
      : undefined;

  await until("its own route is preferred and announced", 20, settled);
  await inVrf(frr1, "del", ending);
  await until(
    "the other node's takes its place",
    20,
    async () =>
      `${await leading()}` === "bgp" && !(await heard()).includes(underlayAddress(1))
        ? true
        : undefined,
  );
  await inVrf(frr1, "add", ending);
  await until("its own is preferred and announced again", 20, settled);
});
