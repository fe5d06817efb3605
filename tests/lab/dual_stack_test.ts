/**
 * Tenants with both IP versions, with IPv6 alone and with IPv4 alone beside each other, in the backend that PYROUTE2_LAB_BACKEND names.
 */
import assert from "node:assert/strict";
import { ipBlockName } from "../../daemon/resources/ip_block.ts";
import { backend, labTest } from "./backend_test_case.ts";
import { type Lab, type RunningNode, startLab } from "./lab.ts";
import { kubectl, startResponder } from "./machines.ts";
import { askOn } from "./questions.ts";
import { repository } from "./options.ts";
import {
  addressOf,
  applyDualStackTenants,
  askFrom,
  dualStackMismatches,
  type RunningPod,
  six,
  start,
  startAll,
  vrfOf,
} from "./dual_stack_tenants.ts";
import { jobs, patience } from "./patience.ts";
import { callPlugin, ipJson, networkConfig, podNetns, stopPod } from "./pods.ts";
import { until } from "./process.ts";
import { answerPort, outsideName } from "./topology.ts";

const dist = `${repository}/dist`;
const { signal } = new AbortController();

/** IPv6 on the underlay; the daemons and tunnels do without it. */
const outside6 = "fd00:124::100";

let lab: Lab;
let pods: RunningPod[];

Deno.test.beforeAll(async () => {
  lab = await startLab({
    name: `dual-${backend}-${Deno.pid}`,
    backend,
    nodes: 2,
    dist,
    keep: false,
    ...jobs,
    nodeSettings: { node2: "nat66 = true" },
    signal,
    progress: (line) => console.error(`   ${line}`),
  });
  await Promise.all([
    ...lab.nodes.map(({ holder }, at) => ({ holder, address: `fd00:124::${11 + at}` })),
    { holder: lab.outside, address: outside6 },
  ].map(({ holder, address }) =>
    holder.run(["ip", "address", "add", `${address}/64`, "dev", "eth0", "nodad"])
  ));
  await applyDualStackTenants(lab);
  pods = await startAll(lab, signal);
});

Deno.test.afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

function nodeOf({ node }: { readonly node: string }): RunningNode {
  const found = lab.nodes.find(({ name }) => name === node);
  assert.ok(found);
  return found;
}

function podNamed(name: string): RunningPod {
  const found = pods.find((pod) => pod.name === name);
  assert.ok(found);
  return found;
}

/** The matrix comes to hold when BGP has converged; each measure waits silence out by itself. */
async function untilMatrixHolds(): Promise<void> {
  await until("the matrix", patience, async () => {
    const found = await dualStackMismatches(lab, pods);
    if (found.length > 0) throw new Error(found.join("\n"));
    return true;
  });
}

labTest("a pod has an address of each IP version of its tenant, and a way out by each", () => {
  const families = (name: string) =>
    podNamed(name).addresses.map((address) => address.includes(":") ? 6 : 4);
  assert.deepEqual(families("dual-a-1"), [4, 6]);
  assert.deepEqual(families("six-1"), [6]);
  assert.deepEqual(families("four-1"), [4]);
  assert.deepEqual(podNamed("dual-a-1").result.routes?.map(({ dst }) => dst), [
    "0.0.0.0/0",
    "::/0",
  ]);
  const [here, there] = [podNamed("dual-a-1"), podNamed("dual-b-2")];
  assert.equal(addressOf(here, 6), addressOf(there, 6), "two tenants, the very same address");
  return Promise.resolve();
});

labTest(
  "over each IP version every pod reaches its tenant's pods on both nodes and nobody else's, and a node its own pods",
  untilMatrixHolds,
);

labTest("kubectl shows the IPv6 prefix, the blocks of both IP versions and their use", async () => {
  assert.match(await kubectl(lab, ["get", "vrd", "dual-a", "-o", "wide"]), /fd00:150::/);
  const name = ipBlockName(vrfOf("dual-a"), "fd00:150::/64");
  const status = await until("the block's status", patience, async () => {
    const text = await kubectl(lab, ["get", "ipb", name, "-o", "jsonpath={.status}"]);
    const found = text === "" ? undefined : JSON.parse(text);
    return Object.keys(found?.allocations ?? {}).length === 3 ? found : undefined;
  });
  assert.equal(status.capacity, Number.MAX_SAFE_INTEGER);
  // The gateway and two pods.
  const used = ["dual-a-1", "dual-a-x"].map((name) => addressOf(podNamed(name), 6));
  assert.deepEqual(Object.keys(status.allocations).toSorted(), ["fd00:150::1", ...used].toSorted());
});

labTest("a pod is on the network of both IP versions when ADD has returned", async () => {
  const node = nodeOf({ node: "node1" });
  const pod = await start(lab, node, { name: "early", tenant: "dual-a" });
  try {
    const inPod = ["nsenter", `--net=${podNetns(pod)}`, "ip", "-json", "address"];
    const addresses = await node.holder.run([...inPod, "show", "tentative"]);
    const answers = await askFrom(
      lab,
      pod,
      ...["dual-a-1", "dual-a-2"].flatMap((name) => podNamed(name).addresses),
    );
    assert.doesNotMatch(addresses, /"local"/);
    const names = answers.map((answer) => answer?.name);
    assert.deepEqual(names, ["dual-a-1", "dual-a-1", "dual-a-2", "dual-a-2"]);
    assert.deepEqual(answers.map((answer) => answer?.seen), [...pod.addresses, ...pod.addresses]);
  } finally {
    await stopPod(node, dist, pod);
  }
});

labTest(
  "an IPv6 address that comes back with another MAC is answered at once, near and far",
  async () => {
    const node = nodeOf({ node: "node1" });
    const address = "fd00:150::40";
    for (const mac of ["02:00:00:00:00:40", "02:00:00:00:00:41"]) {
      const annotations = { "cni.pyroute2.org/ips": address, "cni.pyroute2.org/mac": mac };
      const pod = await start(
        lab,
        node,
        { name: `again-${mac.slice(-2)}`, tenant: "dual-a" },
        annotations,
      );
      try {
        assert.equal(addressOf(pod, 6), address);
        await startResponder(lab, node.holder, [{ path: podNetns(pod), name: mac }], signal);
        for (const from of ["dual-a-1", "dual-a-2"]) {
          const [answer] = await askFrom(lab, podNamed(from), address);
          assert.equal(answer?.name, mac, from);
        }
        const [answer] = await askOn(lab, node.name, [{ netns: null, address, port: answerPort }]);
        assert.equal(answer?.name, mac, node.name);
      } finally {
        await stopPod(node, dist, pod);
      }
    }
  },
);

labTest("CHECK sees what is missing of IPv6, and DEL frees both addresses", async () => {
  const node = nodeOf({ node: "node2" });
  const pod = await start(lab, node, { name: "checked", tenant: "dual-b" });
  const config = { ...networkConfig, prevResult: pod.result };
  const check = async () => (await callPlugin(node, dist, "CHECK", pod, config)).stdout;
  try {
    assert.equal(await check(), "");
    const inPod = ["nsenter", `--net=${podNetns(pod)}`, "ip", "-6"];
    await node.holder.run([...inPod, "route", "del", "default"]);
    assert.match(await check(), /default route by \\"fd00:150::1\\"/);
    await node.holder.run([...inPod, "address", "flush", "dev", "eth0", "scope", "global"]);
    assert.match(await check(), /no address \\"fd00:150::/);
  } finally {
    await stopPod(node, dist, pod);
  }
  const next = await start(lab, node, { name: "next", tenant: "dual-b" });
  await stopPod(node, dist, next);
  assert.equal(next.addresses.length, 2);
});

labTest(
  "outside a pod is seen with its own IPv6 address, unless its node masquerades IPv6",
  async () => {
    const toNode1 = ["fd00:150::/64", "via", "fd00:124::11"];
    await lab.outside.run(["ip", "-6", "route", "add", ...toNode1]);
    try {
      const ask = async (name: string) => (await askFrom(lab, podNamed(name), outside6))[0];
      const plain = podNamed("dual-a-1");
      assert.deepEqual(await ask(plain.name), { name: outsideName, seen: addressOf(plain, 6) });
      assert.deepEqual(await ask("six-2"), { name: outsideName, seen: "fd00:124::12" });
      assert.equal(await ask("six-1"), null, "outside knows no way back");
    } finally {
      await lab.outside.run(["ip", "-6", "route", "del", ...toNode1]);
    }
  },
);

labTest("a tenant gets IPv6 later and keeps it; its pods go on as they are", async () => {
  const patch = (spec: unknown) =>
    kubectl(lab, ["patch", "vrd", "four", "--type=merge", "-p", JSON.stringify({ spec })]);
  const node = nodeOf({ node: "node2" });
  await patch(six);
  const added = await until("a pod with IPv6", patience, async () => {
    const pod = await start(lab, node, { name: "later", tenant: "four" });
    if (pod.addresses.length === 2) return pod;
    await stopPod(node, dist, pod);
    return undefined;
  });
  try {
    await startResponder(lab, node.holder, [{ path: podNetns(added), name: added.name }], signal);
    pods = [...pods, added];
    await untilMatrixHolds();
    const old = podNamed("four-2");
    const config = { ...networkConfig, prevResult: old.result };
    assert.equal((await callPlugin(node, dist, "CHECK", old, config)).code, 0);
  } finally {
    pods = pods.filter((pod) => pod !== added);
    await stopPod(node, dist, added);
  }
  const gone = { prefix6: null, prefixlen6: null, ipblocklen6: null };
  for (const change of [gone, { ...six, prefix6: "fd00:151::" }]) {
    await assert.rejects(patch(change), /prefix6/);
  }
});

labTest("a removed tenant with IPv6 leaves no rule, and the others go on", async () => {
  const gone = pods.filter(({ tenant }) => tenant === "six");
  pods = pods.filter((pod) => !gone.includes(pod));
  for (const pod of gone) await stopPod(nodeOf(pod), dist, pod);
  await kubectl(lab, ["delete", "vrb", "six"]);
  await kubectl(lab, ["delete", "vrd", "six", `--timeout=${patience}s`]);
  for (const node of lab.nodes) {
    const rules = JSON.stringify(await ipJson(node, ["-6", "rule"]));
    assert.ok(!rules.includes(`"${vrfOf("six") + 2000}"`), rules);
    assert.ok(rules.includes(`"${vrfOf("dual-a") + 2000}"`), rules);
  }
  await untilMatrixHolds();
});
