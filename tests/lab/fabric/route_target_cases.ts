/** Route targets of tenants, of their own and of others. */
import assert from "node:assert/strict";
import { bound, domain } from "../lab_case.ts";
import { kubectl, startResponder } from "../machines.ts";
import { readConditions } from "../object_status.ts";
import { patience } from "../patience.ts";
import { addressOf, podNetns, startPod, stopPod } from "../pods.ts";
import { until } from "../process.ts";
import { askOn } from "../questions.ts";
import { applyObjects } from "../stretched_lab.ts";
import { answerPort, type PlacedPod } from "../topology.ts";
import {
  type FabricCase,
  learnt,
  nodeAt,
  nodeNamed,
  patchTargets,
  podOf,
  untilMatrixHolds,
} from "./fabric.ts";
import { customerAddress, outsidePrefix } from "./fabric_routers.ts";

/** In this order: each begins where the one before has ended. */
export const routeTargetCases: readonly FabricCase[] = [
  {
    name: "a domain follows the route targets of the provider",
    run: async (fabric) => {
      const { lab, edge } = fabric;
      const provider = "64999:1200";
      await edge.configure(`router bgp 65000 vrf vrf-200
 address-family l2vpn evpn
  no route-target import 65000:200
  no route-target export 65000:200
  route-target import ${provider}
  route-target export ${provider}
`);
      const node = nodeAt(fabric, 0);
      await until("the prefix to go", patience, async () => {
        return (await learnt(node, 200)).includes(outsidePrefix) ? undefined : true;
      });
      try {
        await patchTargets(fabric, { import: [provider], export: [provider] });
        await until("the pods to reach the customer", patience, async () => {
          const mine = podOf(fabric, node, "tenant-a");
          const question = { netns: podNetns(mine), address: customerAddress, port: answerPort };
          const [answer] = await askOn(lab, node.name, [question]);
          return answer?.name === "customer" && answer.seen === mine.address ? true : undefined;
        });
        await untilMatrixHolds(fabric);
      } finally {
        await patchTargets(fabric, null);
      }
      await until("the prefix to go again", patience, async () => {
        return (await learnt(node, 200)).includes(outsidePrefix) ? undefined : true;
      });
    },
  },
  {
    name: "a tenant reaches another whose route target it imports, and not the other way",
    run: async (fabric) => {
      const { lab, dist, signal } = fabric;
      const shopPods = lab.nodes.map((node) => ({
        name: `shop-${node.name}`,
        node: node.name,
        namespace: "shop",
        tenant: "shop",
      }));
      // A tenant whose addresses are nobody else's.
      await applyObjects(lab, [domain("shop", 400), ...bound("shop", "shop")]);
      await kubectl(lab, ["wait", "--for=condition=Ready", `--timeout=${patience}s`, "vrd/shop"]);
      const placed: PlacedPod[] = [];
      /** Waits until the tenant's pod on each node gets these answers from the shop's pods. */
      const untilAnswers = (wanted: readonly (string | null)[]) =>
        until(`the answers ${JSON.stringify(wanted)}`, patience, async () => {
          for (const node of lab.nodes) {
            const netns = podNetns(podOf(fabric, node, "tenant-a"));
            const found = await askOn(
              lab,
              node.name,
              placed.map(({ address }) => ({ netns, address, port: answerPort })),
            );
            const names = found.map((answer) => answer?.name ?? null);
            if (JSON.stringify(names) !== JSON.stringify(wanted)) return undefined;
          }
          return true;
        });
      try {
        for (const pod of shopPods) {
          const node = nodeNamed(fabric, pod.node);
          placed.push({ ...pod, address: addressOf(await startPod(node, dist, pod)) });
          const answers = [{ path: podNetns(pod), name: pod.name }];
          await startResponder(lab, { ...node.holder, name: pod.name }, answers, signal);
        }
        await untilAnswers([null, null]);
        await patchTargets(fabric, { import: ["65000:400"] });
        await untilAnswers(placed.map(({ name }) => name));
        for (const { name, node } of placed) {
          const { address } = podOf(fabric, nodeNamed(fabric, node), "tenant-a");
          const question = { netns: podNetns({ name }), address, port: answerPort };
          assert.deepEqual(await askOn(lab, node, [question]), [null]);
        }
        await patchTargets(fabric, null);
        await untilAnswers([null, null]);
        await untilMatrixHolds(fabric);
      } finally {
        await patchTargets(fabric, null);
        for (const pod of placed) await stopPod(nodeNamed(fabric, pod.node), dist, pod);
        await kubectl(lab, ["delete", "vrb", "shop"]);
        await kubectl(lab, ["delete", "vrd", "shop"]);
      }
    },
  },
  {
    name: "a domain whose routes would enter another one is refused, and the other goes on",
    run: async (fabric) => {
      const { lab, api } = fabric;
      const routeTargets = { export: ["65000:200"] };
      await applyObjects(lab, [domain("intruder", 400, { routeTargets })]);
      try {
        await until("the refusal", patience, async () => {
          const found = await readConditions(api, "vrfdomains", "Accepted");
          const intruder = found.find(({ name }) => name === "intruder");
          return intruder?.reason === "RouteTargetInUse" &&
              intruder.message.includes('"tenant-a"') ||
            undefined;
        });
        await untilMatrixHolds(fabric);
      } finally {
        await kubectl(lab, ["delete", "vrd", "intruder"]);
      }
    },
  },
];
