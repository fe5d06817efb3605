/**
 * A short soak with a seed that stays, and a proof on its lab that each kind of thing that is left behind, or goes, is seen. `deno task soak` is the
 * long one.
 */
import assert from "node:assert/strict";
import { type Lab, type RunningNode, startLab } from "../lab/lab.ts";
import { kubectl } from "../lab/machines.ts";
import { repository } from "../lab/options.ts";
import { compareLab } from "./checkpoint.ts";
import { useLines } from "./growth.ts";
import { runSoak } from "./soak_run.ts";
import type { World } from "./world.ts";

/** With a reboot of a node with pods, kills of FRR and of the daemon, and pods in every tenant. */
const seed = 80512;
const { signal } = new AbortController();
const progress = (line: string) => console.error(`   ${line}`);

let lab: Lab;
/** What the model says after the short soak. */
let wanted: Omit<World, "blocks">;

Deno.test.beforeAll(async () => {
  lab = await startLab({
    ...{ name: `soak-test-${Deno.pid}`, backend: "netns", nodes: 2, keep: false },
    ...{ dist: `${repository}/dist`, signal, progress },
  });
});

Deno.test.afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

/** A test on the lab. What it starts in the lab outlives it, so resources are not counted. */
function labTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `soak: ${name}`, fn, sanitizeOps: false, sanitizeResources: false });
}

labTest(
  `after 60 random operations and faults of the seed ${seed}, a reboot among them, everything agrees with the model`,
  async () => {
    const report = await runSoak({
      ...{ lab, dist: `${repository}/dist`, seed, signal, progress },
      ...{ operations: 60, pods: 60, every: 30 },
    });
    wanted = report.wanted;
    for (const line of useLines(report.use.end)) progress(line);
    assert.equal(report.operations, 60);
    assert.equal(report.checkpoints, 2);
    assert.equal(report.kinds["reboot"], 1);
    assert.ok(wanted.pods.length > 5);
  },
);

/** What is left behind, and the fact that tells it; the daemon neither knows nor mends any of it. */
const leftovers = [
  {
    words: "ip link add stray type veth peer name stray2",
    fact: "left over: link stray veth down",
  },
  {
    words: "ip rule add priority 32001 to 10.99.0.0/16 lookup 99",
    fact: "left over: rule 4 32001 to 10.99.0.0/16 lookup 99",
  },
  {
    words: "bridge -n vrf-330 fdb append 02:00:00:00:00:07 dev l2vx-50330 dst 192.168.124.12 self",
    fact: "left over: vrf-330 fdb l2vx-50330 02:00:00:00:00:07 to 192.168.124.12",
  },
  {
    words: "ip -n vrf-200 neighbor add 10.99.0.9 lladdr 02:00:00:00:00:09 dev l3br-200",
    fact: "left over: vrf-200 neighbor l3br-200 10.99.0.9 02:00:00:00:00:09 permanent",
  },
  { words: "nft add table inet stray", fact: "left over: nft table inet stray" },
  { words: "ip netns add stray", fact: "left over: netns stray" },
];

labTest("whatever is left behind on a node is seen, each as what it is", async () => {
  const node = firstNode();
  const [pod] = wanted.pods.filter((each) => each.node === node.name);
  assert.ok(pod);
  const all = [...leftovers, {
    words: `nsenter --net=${pod.netns} ip address add 10.99.0.1/24 dev eth0`,
    fact: `left over: ${pod.netns} address eth0 10.99.0.1/24`,
  }];
  await node.holder.run(["sh", "-ec", all.map(({ words }) => words).join("\n")]);
  const found = await compareLab(lab, wanted);
  for (const { fact } of all) {
    assert.ok(found.includes(`${node.name}: ${fact}`), `${fact}\nin\n${found.join("\n")}`);
  }
});

labTest(
  "a pod's route, a journal row and an address at the API that go or stay are seen",
  async () => {
    const [pod] = wanted.pods.filter(({ node }) => node === firstNode().name);
    assert.ok(pod);
    await firstNode().holder.run([
      "nsenter",
      `--net=${pod.netns}`,
      "ip",
      "route",
      "del",
      "default",
    ]);
    const found = await compareLab(lab, {
      ...wanted,
      pods: wanted.pods.filter(({ name }) => name !== pod.name),
    });
    const [first] = pod.addresses;
    assert.ok(first);
    // The model without the pod: all that is there of it is left over.
    const facts = [
      `${pod.node}: left over: pod ${pod.netns}`,
      `${pod.node}: left over: ${pod.netns} address eth0 ${first.address}/${first.length}`,
      `${pod.node}: left over: journal attachment ${pod.container}/eth0 ${pod.domain.name} attached ${pod.hostIfname} ${
        pod.addresses.map(({ address }) => address).join(" ")
      }`,
    ];
    for (const fact of facts) assert.ok(found.includes(fact), `${fact}\nin\n${found.join("\n")}`);
    assert.ok(found.some((line) => line.endsWith(`${first.address} ${pod.uid}`)), found.join("\n"));
    const missing = await compareLab(lab, wanted);
    const route = `${pod.node}: missing:   ${pod.netns} route main default via ${first.gateway}`;
    assert.ok(missing.some((line) => line.startsWith(route)), missing.join("\n"));
  },
);

labTest(
  "a block that nobody should have claimed is seen at the API, on the node and in FRR",
  async () => {
    const block = {
      apiVersion: "ipam.pyroute2.org/v1alpha1",
      kind: "IPBlock",
      metadata: { name: "vrf-200-10-150-255-248-29" },
      spec: { cidr: "10.150.255.248/29", nodeName: "node9", vrfTable: 200 },
    };
    await kubectl(lab, ["apply", "-f", "-"], JSON.stringify(block));
    const found = await compareLab(lab, wanted);
    const fact = "API: missing:   block vrf-200-10-150-255-248-29 10.150.255.249 gateway";
    assert.ok(found.includes(fact), found.join("\n"));
  },
);

function firstNode(): RunningNode {
  const [node] = lab.nodes;
  assert.ok(node);
  return node;
}
