/** What happens when nodes, leaders, bindings and namespaces come and go. */
import assert from "node:assert/strict";
import { transitions } from "./conditioned_objects.ts";
import {
  apply,
  assertMatrix,
  bound,
  domain,
  forgetPods,
  type LabCase,
  type LabWorld,
  nodeAt,
  patience,
  remove,
  untilCondition,
  untilMatrixHolds,
  valueOf,
} from "./lab_case.ts";
import { killDaemon, kubectl, startDaemon } from "./machines.ts";
import { peersInFrr } from "./peers_in_frr.ts";
import { announcePods, callPlugin, networkConfig, startPod, stopPod } from "./pods.ts";
import { until } from "./process.ts";

const { signal } = new AbortController();

/** The node whose daemon holds the manager's lease. */
async function leader(world: LabWorld): Promise<string> {
  const path = "jsonpath={.spec.holderIdentity}";
  const holder = await kubectl(world.lab, [
    ...["get", "lease", "pyroute2-cni-manager", "--namespace", "kube-system", "-o", path],
  ]);
  return holder.split("_")[0] ?? "";
}

/** All of them. */
export const comingAndGoingCases: readonly LabCase[] = [
  {
    name: "a node that is deleted leaves the mesh of the others, and comes back with its daemon",
    run: async (world) => {
      const [first, second, third] = [0, 1, 2].map((index) => nodeAt(world, index));
      assert.ok(first !== undefined && second !== undefined && third !== undefined);
      const others = [first, second];
      const untilPeers = (wanted: boolean) =>
        until(`"${third.name}" to be ${wanted ? "" : "no "}peer`, patience, async () => {
          const lists = await Promise.all(others.map(peersInFrr));
          return lists.every((peers) => peers.includes(third.address) === wanted)
            ? true
            : undefined;
        });
      await untilPeers(true);
      await killDaemon(third);
      try {
        await kubectl(world.lab, ["delete", "node", third.name]);
        await untilPeers(false);
        for (const { name } of others) {
          await until(`"${name}" to count its peers`, patience, async () => {
            const up = await valueOf(world, `vrns/${name}`, "{.status.peersUp}");
            return up === "1" ? true : undefined;
          });
        }
      } finally {
        await startDaemon(world.lab, third, world.dist, signal);
      }
      await untilPeers(true);
      await untilMatrixHolds(world);
    },
  },
  {
    name: "another node takes over from a leader that is killed, and nothing looks changed for it",
    run: async (world) => {
      const before = await transitions(world);
      const killed = await leader(world);
      const node = world.lab.nodes.find(({ name }) => name === killed);
      assert.ok(node, `"${killed}" leads`);
      await killDaemon(node);
      try {
        await until("another leader", patience, async () => {
          const found = await leader(world);
          return found !== "" && found !== killed ? true : undefined;
        });
        await apply(world, domain("late", 295, { prefix: "10.172.0.0" }));
        await untilCondition(world, "vrd/late", "Accepted", "True Accepted");
      } finally {
        await startDaemon(world.lab, node, world.dist, signal);
      }
      await untilCondition(world, "vrd/late", "Ready", "True Applied");
      await remove(world, "vrd/late");
      const after = await transitions(world);
      // The killed daemon's own node says anew what it has found.
      const kept = Object.entries(before).filter(([key]) => key in after && !key.includes(killed));
      for (const [key, time] of kept) {
        if (key.startsWith("VRFNodeState/")) continue;
        assert.equal(after[key], time, key);
      }
      await untilMatrixHolds(world);
    },
  },
  {
    name:
      "without binding and namespace running pods keep their network, and new ones follow the next",
    run: async (world) => {
      const node = nodeAt(world, 0);
      const namespace = "moving";
      const prefixes = { here: "10.173.0.0", there: "10.174.0.0" };
      await apply(
        world,
        domain("here", 296, { prefix: prefixes.here }),
        domain("there", 297, { prefix: prefixes.there }),
        ...bound(namespace, "here"),
      );
      for (const name of ["here", "there"]) {
        await untilCondition(world, `vrd/${name}`, "Ready", "True Applied");
      }
      const pods = await announcePods(
        world.lab,
        ["stays", "follows"].map((name) => ({ name, node: node.name, namespace, tenant: "here" })),
      );
      const [stays, follows] = pods;
      assert.ok(stays !== undefined && follows !== undefined);
      const started = await startPod(node, world.dist, stays);
      assert.match(started.ips[0]?.address ?? "", /^10\.173\./);
      const config = { ...networkConfig, prevResult: started };
      const checks = async () => {
        const answer = await callPlugin(node, world.dist, "CHECK", stays, config);
        assert.equal(answer.code, 0, answer.stdout);
      };
      try {
        const [, binding] = bound(namespace, "there");
        assert.ok(binding);
        await apply(world, binding);
        await until("new pods to follow", patience, async () => {
          const { ips } = await startPod(node, world.dist, follows);
          await stopPod(node, world.dist, follows);
          return ips[0]?.address.startsWith("10.174.") === true ? true : undefined;
        });
        await checks();
        await remove(world, `vrb/${namespace}`);
        await kubectl(world.lab, ["delete", "namespace", namespace, "--wait=false"]);
        await until("the node to be in step without them", patience, async () => {
          const reconciled = '{.status.conditions[?(@.type=="Reconciled")].status}';
          return await valueOf(world, `vrns/${node.name}`, reconciled) === "True"
            ? true
            : undefined;
        });
        await checks();
      } finally {
        await stopPod(node, world.dist, stays);
        await forgetPods(world, pods);
        await remove(world, `vrb/${namespace}`, "vrd/here", "vrd/there");
      }
      await assertMatrix(world);
    },
  },
];
