/** The fabric with route reflectors and a provider edge. */
import assert from "node:assert/strict";
import { awaitRoutes } from "../demo_lab.ts";
import { askFrr } from "../frr_words.ts";
import { killDaemon, kubectl, startDaemon } from "../machines.ts";
import { startEcho, startStream } from "../packet_stream.ts";
import { lostAtMost, patience } from "../patience.ts";
import { podNetns } from "../pods.ts";
import { until } from "../process.ts";
import { askFrom, askOn } from "../questions.ts";
import { watchRoutes } from "../route_monitor.ts";
import { answerPort } from "../topology.ts";
import { inVrf, tableOf } from "../vrf_words.ts";
import {
  configureNodes,
  type FabricCase,
  learnt,
  nodeAt,
  podOf,
  untilMatrixHolds,
  untilPeer,
  untilPeers,
} from "./fabric.ts";
import {
  customerAddress,
  giveFirstReflector,
  outsidePrefix,
  reflectorAddresses,
  startReflector,
  tenant,
} from "./fabric_routers.ts";

/** In this order: each begins where the one before has ended. */
export const reflectorCases: readonly FabricCase[] = [
  {
    name: "nodes that are given route reflectors peer with them and not with each other",
    run: async (fabric) => {
      const { lab, pods, edge, signal } = fabric;
      await configureNodes(fabric, () => ({ routeReflectors: reflectorAddresses }));
      await untilPeers(fabric, () => reflectorAddresses);
      await awaitRoutes(lab, pods, signal);
      await untilMatrixHolds(fabric);
      await giveFirstReflector(edge);
    },
  },
  {
    name:
      "a prefix that a provider edge announces for a tenant carries that tenant's traffic both ways",
    run: async (fabric) => {
      const { lab, edge, customerNetns } = fabric;
      for (const node of lab.nodes) {
        await until(`"${node.name}" to learn ${outsidePrefix}`, patience, async () => {
          return (await learnt(node, 200)).includes(outsidePrefix) ? true : undefined;
        });
        assert.ok(!(await learnt(node, 300)).includes(outsidePrefix));
        const mine = podOf(fabric, node, "tenant-a");
        const [out, stranger] = await askOn(lab, node.name, [
          { netns: podNetns(mine), address: customerAddress, port: answerPort },
          {
            netns: podNetns(podOf(fabric, node, "tenant-b")),
            address: customerAddress,
            port: answerPort,
          },
        ]);
        assert.deepEqual(out, { name: "customer", seen: mine.address });
        assert.equal(stranger, null);
        const [back] = await askFrom(lab, edge.machine, [
          { netns: customerNetns, address: mine.address, port: answerPort },
        ]);
        assert.deepEqual(back, { name: mine.name, seen: customerAddress });
      }
    },
  },
  {
    name:
      "of two reflectors one dies and comes back: no prefix is left without a route, and no more packets than a lost next hop costs",
    run: async (fabric) => {
      const { lab, reflectors, edge, customerNetns } = fabric;
      const [node, other] = [nodeAt(fabric, 0), nodeAt(fabric, 1)];
      // What the nodes held when they changed their peers goes first: it is no loss of this reflector.
      await until("all held routes to go", patience, async () => {
        const show = ["ip", "route", "show", ...tableOf(lab, tenant.number)];
        const routes = await inVrf(lab, node, tenant.number, show);
        return routes.includes("metric 20142") ? undefined : true;
      });
      const from = podNetns(podOf(fabric, node, "tenant-a"));
      const pod = podOf(fabric, other, "tenant-a");
      await startEcho(other.holder, podNetns(pod), `${lab.directory}/${pod.name}-echo.log`);
      await startEcho(edge.machine, customerNetns, `${lab.directory}/customer-echo.log`);
      await using toPod = await startStream(node.holder, from, pod.address);
      await using toCustomer = await startStream(node.holder, from, customerAddress);
      await using monitor = await watchRoutes(lab, node, tenant.number);
      await reflectors[0][Symbol.asyncDispose]();
      await untilPeer(fabric, reflectorAddresses[0], false);
      reflectors[0] = await startReflector(lab, 0);
      await untilPeer(fabric, reflectorAddresses[0], true);
      for (const stream of [toPod, toCustomer]) {
        const { sent, lost } = await stream.stop();
        assert.ok(sent > 0);
        assert.ok(lost.length <= lostAtMost, `${lost.length} of ${sent} datagrams were lost`);
      }
      // A deletion of the test's own shows that deletions are seen.
      const own = "203.0.113.0/24";
      const route = ["blackhole", own, ...tableOf(lab, tenant.number)];
      for (const verb of ["add", "del"]) {
        await inVrf(lab, node, tenant.number, ["ip", "route", verb, ...route]);
      }
      await until("the test's own deletion, and nothing else to be lost", patience, async () => {
        return (await monitor.lost()).join() === own || undefined;
      });
    },
  },
  {
    name: "next hops that FRR loses while no daemon runs are put back by the next daemon",
    run: async (fabric) => {
      const { lab, dist, reflectors, signal } = fabric;
      const node = nodeAt(fabric, 0);
      await killDaemon(node);
      await reflectors[0][Symbol.asyncDispose]();
      await until("FRR to notice", patience, async () => {
        const established = "show bgp l2vpn evpn summary established";
        const shown = await askFrr(node.holder, "bgpd", established);
        return shown.includes(reflectorAddresses[0]) ? undefined : true;
      });
      await startDaemon(lab, node, dist, signal);
      await untilMatrixHolds(fabric);
    },
  },
  {
    name: "a reflector that is taken out of the settings leaves FRR",
    run: async (fabric) => {
      const { lab } = fabric;
      await configureNodes(fabric, () => ({ routeReflectors: [reflectorAddresses[1]] }));
      await untilPeers(fabric, () => [reflectorAddresses[1]]);
      for (const node of lab.nodes) {
        const running = await askFrr(node.holder, "bgpd", "show running-config");
        assert.ok(!running.includes(reflectorAddresses[0]), running);
      }
      await untilMatrixHolds(fabric);
    },
  },
];

/** The last one: nodes without settings of their own. */
export const meshAgainCase: FabricCase = {
  name: "nodes whose settings go mesh again",
  run: async (fabric) => {
    const { lab, pods, signal } = fabric;
    await kubectl(lab, ["delete", "vrnc", ...lab.nodes.map(({ name }) => name)]);
    await untilPeers(
      fabric,
      (node) => lab.nodes.filter(({ name }) => name !== node.name).map(({ address }) => address),
    );
    await awaitRoutes(lab, pods, signal);
    await untilMatrixHolds(fabric);
  },
};
