/** What an operator sees with kubectl: conditions, events, columns. */
import assert from "node:assert/strict";
import { conditionedObjects } from "./conditioned_objects.ts";
import {
  apiVersion,
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
import { kubectl } from "./machines.ts";
import { peersInFrr } from "./peers_in_frr.ts";
import { announcePods, callPlugin, networkConfig, podNetns, startPod } from "./pods.ts";
import { until } from "./process.ts";

function untilEvent(world: LabWorld, about: string, reason: string, text: RegExp): Promise<true> {
  return until(`the event ${reason} about "${about}"`, patience, async () => {
    const path =
      "{range .items[*]}{.involvedObject.kind}/{.involvedObject.name} {.type} {.reason} " +
      "{.message}{'\\n'}{end}";
    const events = await kubectl(world.lab, ["get", "events", "-A", "-o", `jsonpath=${path}`]);
    return events.split("\n").some((line) =>
        line.startsWith(`${about} Warning ${reason} `) && text.test(line)
      )
      ? true
      : undefined;
  });
}

/** All of them. */
export const operatorCases: readonly LabCase[] = [
  {
    name: "each kind tells whether it is applied, of which generation, and since when",
    run: async (world) => {
      const config = {
        apiVersion,
        kind: "CNIConfig",
        metadata: { name: "seen" },
        spec: {
          fileName: "seen.conflist",
          enabled: true,
          priority: 1,
          plugins: [{ type: "pyroute2-cni-plugin" }],
        },
      };
      const policy = {
        apiVersion,
        kind: "VRFRoutingPolicy",
        metadata: { name: "seen" },
        spec: { vrfDomainRef: { name: "tenant-a" }, match: [{ dst: "192.0.2.0/24" }] },
      };
      const settings = {
        apiVersion,
        kind: "VRFNodeConfig",
        metadata: { name: "seen" },
        spec: { nodeRef: { name: nodeAt(world, 0).name }, interfaces: [] },
      };
      await apply(world, config, policy, settings);
      try {
        for (const kind of ["vrp", "cnic", "vrnc"]) {
          await untilCondition(world, `${kind}/seen`, "Ready", "True Applied");
        }
        await untilCondition(world, "cnics/default", "Ready", "True Applied");
        const objects = await conditionedObjects(world);
        assert.equal(new Set(objects.map(({ kind }) => kind)).size, 8);
        for (const { kind, metadata, status } of objects) {
          const ready = status.conditions.find(({ type }) => type === "Ready");
          assert.equal(ready?.status, "True", `${kind}/${metadata.name}`);
          for (const { observedGeneration } of kind === "VRFNodeState" ? [] : status.conditions) {
            assert.equal(observedGeneration, metadata.generation, `${kind}/${metadata.name}`);
          }
        }
        const states = await kubectl(world.lab, ["get", "vrns"]);
        assert.match(states, /^NAME +READY +DOMAINS +PEERSUP +AGE/);
        for (const { name } of world.lab.nodes) {
          assert.match(states, new RegExp(`^${name} +true +3 +2 `, "m"));
        }
        assert.match(await kubectl(world.lab, ["describe", "vrd", "tenant-a"]), /Type: +Ready/);
      } finally {
        await remove(world, "vrp/seen", "cnic/seen", "vrnc/seen");
      }
    },
  },
  {
    name: "a policy that no kernel can apply is refused by the API, and breaks no other rule",
    run: async (world) => {
      const match = [{ src: "fd00::/64", dst: "10.0.0.0/8" }];
      const spec = { vrfDomainRef: { name: "tenant-a" }, match };
      const metadata = { name: "mixed" };
      await assert.rejects(
        apply(world, { apiVersion, kind: "VRFRoutingPolicy", metadata, spec }),
        /one IP version/,
      );
      await assertMatrix(world);
    },
  },
  {
    name:
      "of two domains that contradict each other the older one works, and the newer one names it",
    run: async (world) => {
      const service = { table: 300, prefix: "10.170.0.0" };
      await apply(world, domain("older", 270, service));
      await untilCondition(world, "vrd/older", "Ready", "True Applied");
      const contradictions: [string, string, string, Record<string, unknown>][] = [
        ["same-vrf", "VRFInUse", "tenant-a", { vrf: 200, table: 2999 }],
        ["same-table", "TableInUse", "tenant-a", { table: 2200 }],
        ["same-vni", "VNIInUse", "tenant-a", { attachments: [{ type: "l3vni", vni: 50200 }] }],
        ["same-prefix", "PrefixInUse", "older", { table: 301, prefix: "10.170.0.0" }],
        ["same-target", "RouteTargetInUse", "tenant-a", {
          routeTargets: { export: ["65000:200"] },
        }],
      ];
      const names = contradictions.map(([name]) => `vrd/${name}`);
      try {
        await apply(
          world,
          ...contradictions.map(([name, , , change], index) => domain(name, 280 + index, change)),
        );
        for (const [name, reason, other] of contradictions) {
          await untilCondition(world, `vrd/${name}`, "Accepted", `False ${reason}`);
          const path = '{.status.conditions[?(@.type=="Accepted")].message}';
          assert.match(await valueOf(world, `vrd/${name}`, path), new RegExp(`"${other}"`));
          await untilEvent(world, `VRFDomain/${name}`, reason, new RegExp(`"${other}"`));
        }
        for (const name of ["tenant-a", "older"]) {
          await untilCondition(world, `vrd/${name}`, "Ready", "True Applied");
        }
        await assertMatrix(world);
      } finally {
        await remove(world, ...names, "vrd/older");
      }
    },
  },
  {
    name: "a domain whose blocks are exhausted says so of the node, in conditions and by an event",
    run: async (world) => {
      const node = nodeAt(world, 0);
      // One block for all nodes, of one address beside the gateway's.
      const spec = { prefix: "10.171.0.0", prefixlen: 30, ipblocklen: 30 };
      await apply(world, domain("scarce", 290, spec), ...bound("scarce", "scarce"));
      await untilCondition(world, "vrd/scarce", "Ready", "True Applied");
      const made = await announcePods(
        world.lab,
        ["scarce-1", "scarce-2"].map((name) => ({
          name,
          node: node.name,
          namespace: "scarce",
          tenant: "scarce",
        })),
      );
      const [first, second] = made;
      assert.ok(first !== undefined && second !== undefined);
      try {
        await startPod(node, world.dist, first);
        await assert.rejects(startPod(node, world.dist, second), /"code": 101/);
        await untilCondition(world, "vrd/scarce", "AddressesHealthy", "False BlocksExhausted");
        const path = '{.status.conditions[?(@.type=="AddressesHealthy")].message}';
        assert.match(await valueOf(world, "vrd/scarce", path), new RegExp(`^${node.name}: `));
        const state = `vrns/${node.name}`;
        await untilCondition(world, state, "AddressesHealthy", "False BlocksExhausted");
        await untilCondition(world, "vrd/scarce", "Ready", "True Applied");
        await untilEvent(world, "VRFDomain/scarce", "BlocksExhausted", /larger prefix/);
      } finally {
        for (const pod of made) {
          await callPlugin(node, world.dist, "DEL", pod, networkConfig);
          const path = podNetns(pod);
          await node.holder.run(["sh", "-c", `umount ${path}; rm -f ${path}; true`]);
        }
        await forgetPods(world, made);
        await remove(world, "vrb/scarce", "vrd/scarce");
        await kubectl(world.lab, ["delete", "namespace", "scarce", "--wait=false"]);
      }
      await untilCondition(world, `vrns/${node.name}`, "AddressesHealthy", "True Healthy");
    },
  },
  {
    name: "what FRR refuses is told by condition and event, and the last good configuration stays",
    run: async (world) => {
      const node = nodeAt(world, 0);
      const before = await peersInFrr(node);
      // No FRR takes itself for a neighbour.
      await apply(world, {
        apiVersion,
        kind: "VRFNodeConfig",
        metadata: { name: "itself" },
        spec: {
          nodeRef: { name: node.name },
          routeReflectors: [node.address],
          interfaces: [],
        },
      });
      try {
        await untilCondition(world, "vrnc/itself", "Ready", "False FrrRefused");
        await untilEvent(world, `VRFNodeState/${node.name}`, "FrrRefused", /./);
        assert.deepEqual(await peersInFrr(node), before);
        await assertMatrix(world);
      } finally {
        await remove(world, "vrnc/itself");
      }
      await untilCondition(world, `vrns/${node.name}`, "Reconciled", "True InStep");
      await untilMatrixHolds(world);
    },
  },
];
