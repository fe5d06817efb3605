/**
 * Nodes with IPv6 alone: API server, BGP and tunnels run over it, for tenants of both IP versions. In the backend that PYROUTE2_LAB_BACKEND
 * names.
 */
import assert from "node:assert/strict";
import { derivedRouterId } from "../../daemon/reconcile/router_id.ts";
import { backend, labTest } from "./backend_test_case.ts";
import {
  addressOf,
  applyDualStackTenants,
  askFrom,
  dualStackMismatches,
  type RunningPod,
  startAll,
  vrfOf,
} from "./dual_stack_tenants.ts";
import { type Lab, startLab } from "./lab.ts";
import { killFrr, kubectl, startAgent } from "./machines.ts";
import { repository } from "./options.ts";
import { jobs, patience } from "./patience.ts";
import { ipJson, podNetns } from "./pods.ts";
import { until } from "./process.ts";
import { untilEqual } from "./until_equal.ts";

const { signal } = new AbortController();

let lab: Lab;
let pods: RunningPod[];

Deno.test.beforeAll(async () => {
  lab = await startLab({
    name: `six-${backend}-${Deno.pid}`,
    backend,
    nodes: 2,
    dist: `${repository}/dist`,
    keep: false,
    ...jobs,
    ipv6: true,
    signal,
    progress: (line) => console.error(`   ${line}`),
  });
  await applyDualStackTenants(lab);
  pods = await startAll(lab, signal);
});

Deno.test.afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

/** The matrix comes to hold when BGP has converged; each measure waits silence out by itself. */
async function untilMatrixHolds(): Promise<void> {
  await until("the matrix", patience, async () => {
    const found = await dualStackMismatches(lab, pods);
    if (found.length > 0) throw new Error(found.join("\n"));
    return true;
  });
}

labTest(
  "pods of every tenant reach their own on both nodes over IPv6 tunnels, and nobody else's",
  async () => {
    await untilMatrixHolds();
    const addresses = await Promise.all(lab.nodes.map((node) => ipJson(node, ["-4", "address"])));
    assert.doesNotMatch(JSON.stringify(addresses), /"eth0"/);
  },
);

labTest("pods have the MTU that tunnels over IPv6 leave", async () => {
  for (const name of ["dual-a-1", "four-2"]) {
    const pod = pods.find((each) => each.name === name);
    const node = lab.nodes.find((each) => each.name === pod?.node);
    assert.ok(pod && node);
    const command = ["nsenter", `--net=${podNetns(pod)}`, "ip", "link", "show", "eth0"];
    assert.match(await node.holder.run(command), /mtu 1430 /);
  }
});

labTest(
  "kubectl shows the nodes' sessions up, and which routes their router ids stand for",
  async () => {
    for (const node of lab.nodes) {
      assert.match(await kubectl(lab, ["get", "node", node.name, "-o", "wide"]), /fd00:124::1/);
      const other = lab.nodes.find(({ name }) => name !== node.name);
      const path = "jsonpath={range .status.peers[*]}{.address}={.established} {end}";
      const look = () => kubectl(lab, ["get", "vrns", node.name, "-o", path]);
      await untilEqual("the session to be up", `${other?.address}=true `, look, patience);
      const routes = JSON.stringify(await ipJson(node, ["-4", "route", "show", "dev", "eth0"]));
      assert.ok(routes.includes(`"${derivedRouterId(other?.name ?? "")}"`), routes);
    }
  },
);

labTest(
  "FRR that was killed with its agent learns everything again, and the tunnels' ends stay",
  async () => {
    const node = lab.nodes[1];
    assert.ok(node);
    await killFrr(node);
    await node.holder.run(["sh", "-c", "rm -rf /run/frr/* /etc/frr/frr.conf"]);
    startAgent(lab, node, `${repository}/dist`);
    await until("the session", patience, async () => {
      const path = "jsonpath={.status.peersUp}";
      return await kubectl(lab, ["get", "vrns", node.name, "-o", path]) === "1" ? true : undefined;
    });
    await untilMatrixHolds();
  },
);

labTest("a stretched subnet is refused with the reason, and the others go on", async () => {
  const domain = {
    apiVersion: "cni.pyroute2.org/v1alpha1",
    kind: "VRFDomain",
    metadata: { name: "stretched" },
    spec: {
      vrf: 450,
      table: 2450,
      prefix: "10.170.0.0",
      prefixlen: 24,
      ipblocklen: 26,
      attachments: [{ type: "l2vni", vni: 450 }],
    },
  };
  await kubectl(lab, ["apply", "-f", "-"], JSON.stringify(domain));
  const path = '{.status.conditions[?(@.type=="Ready")].reason}';
  await until("the reason", patience, async () => {
    const reason = await kubectl(lab, ["get", "vrd/stretched", "-o", `jsonpath=${path}`]);
    return reason === "UnderlayUnsupported" ? true : undefined;
  });
  const [pod] = pods;
  assert.ok(pod);
  const [answer] = await askFrom(lab, pod, addressOf(pod, 4));
  assert.equal(answer?.name, pod.name);
  assert.ok(vrfOf(pod.tenant) > 0);
  await kubectl(lab, ["delete", "vrd", "stretched", `--timeout=${patience}s`]);
}, { anyBackend: true });
