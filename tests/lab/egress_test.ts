/** The way out, services and policies in a lab of two nodes, told by ordinary objects of the API. */
import assert from "node:assert/strict";
import { type ProxyMode, proxySteps, removalSteps } from "../kernel/kube_proxy.ts";
import { backend, labTest } from "./backend_test_case.ts";
import { applyTenants, awaitRoutes, startPods } from "./demo_lab.ts";
import { type Lab, type RunningNode, startLab } from "./lab.ts";
import { kubectl } from "./machines.ts";
import { askFrom, askOn } from "./questions.ts";
import { repository } from "./options.ts";
import { jobs, patience } from "./patience.ts";
import { podNetns } from "./pods.ts";
import type { Question } from "./tcp_question.ts";
import { untilEqual } from "./until_equal.ts";
import { answerPort, outsideName, type PlacedPod, underlay } from "./topology.ts";

const dist = `${repository}/dist`;
const { signal } = new AbortController();

let lab: Lab;
let pods: PlacedPod[];

Deno.test.beforeAll(async () => {
  lab = await startLab({
    name: `egress-${backend}-${Deno.pid}`,
    backend,
    nodes: 2,
    dist,
    keep: false,
    ...jobs,
    signal,
    progress: (line) => console.error(`   ${line}`),
  });
  await applyTenants(lab, signal);
  pods = await startPods(lab, dist, signal);
  await awaitRoutes(lab, pods, signal);
});

Deno.test.afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

function nodeAt(index: number): RunningNode {
  const node = lab.nodes[index];
  assert.ok(node);
  return node;
}

function pod(name: string): PlacedPod {
  const found = pods.find((each) => each.name === name);
  assert.ok(found, name);
  return found;
}

/** Who answers a pod, or a node where it is one's name. */
async function answering(
  from: string,
  ...addresses: readonly (string | readonly [string, number])[]
): Promise<(string | undefined)[]> {
  const home = lab.nodes.find(({ name }) => name === from)?.name ?? pod(from).node;
  const answers = await askOn(
    lab,
    home,
    addresses.map((each): Question => {
      const [address, port] = typeof each === "string" ? [each, answerPort] : each;
      return { netns: home === from ? null : podNetns({ name: from }), address, port };
    }),
  );
  return answers.map((answer) => answer?.name);
}

/** Waits until answers are as expected: an object's change takes a moment to reach the nodes. */
const untilAnswers = <T>(what: string, expected: T, look: () => Promise<T>) =>
  untilEqual(what, expected, look, patience);

const clusterIps = { here: "10.96.0.10", there: "10.96.0.11", own: "10.96.0.20" } as const;

/** kube-proxy's rules on a node, for Services with their only endpoint on the first or the second node. */
async function proxy(node: RunningNode, mode: ProxyMode): Promise<void> {
  const service = (clusterIp: string, endpoint: string) => ({
    clusterIp,
    endpoint,
    port: answerPort,
  });
  const options = {
    clusterCidr: "10.244.0.0/16",
    services: [
      service(clusterIps.here, pod("plain-1").address),
      service(clusterIps.there, pod("plain-2").address),
      service(clusterIps.own, pod("team-a-2").address),
    ],
  };
  for (const { command, stdin } of proxySteps(mode, options)) {
    await node.holder.run(command, { stdin });
  }
}

labTest(
  "Services in the default domain and in the own one are reached from both nodes, in each mode of kube-proxy",
  async () => {
    const { here, there, own } = clusterIps;
    const ports = [[here, 80], [there, 80], [own, 80]] as const;
    try {
      for (const mode of ["nftables", "iptables-nft", "iptables-legacy"] as const) {
        for (const node of lab.nodes) await proxy(node, mode);
        const expected = ["plain-1", "plain-2", "team-a-2"];
        assert.deepEqual(await answering("team-a-1", ...ports), expected, mode);
        assert.deepEqual(await answering("team-a-2", ...ports), expected, `${mode}, to itself`);
        // The other tenant has a pod of its own at the third address, on another node.
        assert.deepEqual(
          await answering("team-b-2", ...ports),
          ["plain-1", "plain-2", "team-b-1"],
          mode,
        );
      }
    } finally {
      for (const node of lab.nodes) {
        for (const { command, stdin } of removalSteps) await node.holder.run(command, { stdin });
      }
    }
  },
);

labTest(
  "a domain's way out follows its object on every node; services and health checks do not mind",
  async () => {
    const patch = (egress: string | null) =>
      kubectl(lab, [
        "patch",
        "vrd",
        "tenant-a",
        "--type=merge",
        "-p",
        JSON.stringify({ spec: { egress } }),
      ]);
    const tenant = ["team-a-1", "team-a-2"] as const;
    const look = async () => {
      const others = [underlay.outside, pod("plain-1").address, pod("plain-2").address];
      return {
        pods: [await answering(tenant[0], ...others), await answering(tenant[1], ...others)],
        health: [
          ...await answering("node1", pod("team-a-1").address),
          ...await answering("node2", pod("team-a-2").address),
        ],
        other: await answering("team-b-1", underlay.outside),
      };
    };
    const services = ["plain-1", "plain-2"];
    const expected = (outside: string | undefined) => ({
      pods: [[outside, ...services], [outside, ...services]],
      health: [...tenant],
      other: [outsideName],
    });
    const seen = async () => {
      const question = { address: underlay.outside, port: answerPort };
      const found = await Promise.all(tenant.map(async (name) => {
        const [answer] = await askOn(lab, pod(name).node, [{
          netns: podNetns({ name }),
          ...question,
        }]);
        return answer?.seen;
      }));
      return found;
    };
    try {
      await untilAnswers("NAT", expected(outsideName), look);
      assert.deepEqual(await seen(), lab.nodes.map(({ address }) => address));
      await patch("none");
      await untilAnswers("no egress", expected(undefined), look);
      assert.deepEqual(await answering("team-a-1", nodeAt(0).address, nodeAt(1).address), [
        undefined,
        undefined,
      ]);
      await patch("routed");
      for (const [index, name] of tenant.entries()) {
        const words = [`${pod(name).address}/32`, "via", nodeAt(index).address];
        await lab.outside.run(["ip", "route", "replace", ...words]);
      }
      await untilAnswers("own addresses outside", tenant.map((name) => pod(name).address), seen);
      assert.deepEqual(await look(), expected(outsideName));
      const inbound = await askFrom(
        lab,
        lab.outside,
        tenant.map((name) => ({ netns: null, address: pod(name).address, port: answerPort })),
      );
      assert.deepEqual(inbound.map((answer) => answer?.name), [...tenant]);
    } finally {
      await patch(null);
    }
    await untilAnswers("NAT again", lab.nodes.map(({ address }) => address), seen);
  },
);

labTest("an unknown way out is refused", async () => {
  await assert.rejects(
    () =>
      kubectl(lab, [
        "patch",
        "vrd",
        "tenant-a",
        "--type=merge",
        "-p",
        '{"spec":{"egress":"open"}}',
      ]),
    /spec\.egress/,
  );
});

labTest(
  "a routing policy leads its packets into the tenant's VRF, over to the other node, and ends with the object",
  async () => {
    const far = pod("team-a-2").address;
    const look = () => answering("node1", far);
    const nobody = await look();
    assert.notEqual(nobody[0], "team-a-2");
    const policy = {
      apiVersion: "cni.pyroute2.org/v1alpha1",
      kind: "VRFRoutingPolicy",
      metadata: { name: "from-node" },
      spec: {
        vrfDomainRef: { name: "tenant-a" },
        match: [{ iifname: "lo", dst: `${far}/32` }],
      },
    };
    try {
      await kubectl(lab, ["apply", "-f", "-"], JSON.stringify(policy));
      await untilAnswers("the policy", ["team-a-2"], look);
      const rules = await nodeAt(0).holder.run(["ip", "rule", "show", "priority", "11000"]);
      assert.match(rules, new RegExp(`to ${far} iif lo lookup 2200`));
    } finally {
      await kubectl(lab, ["delete", "vrp", "from-node", "--ignore-not-found"]);
    }
    await untilAnswers("the end of the policy", nobody, look);
    // Each node hears of it for itself.
    for (const node of lab.nodes) {
      const rules = () => node.holder.run(["ip", "rule", "show", "priority", "11000"]);
      await untilEqual("the rule to go", "", rules, patience);
    }
  },
);

labTest(
  "a node whose pods use a service VRF holds a block of it, though no pod of its own has an address there",
  async () => {
    const spec = {
      vrf: 60,
      table: 60,
      prefix: "10.60.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      attachments: [{ type: "l3vni", vni: 60 }],
    };
    const domain = {
      apiVersion: "cni.pyroute2.org/v1alpha1",
      kind: "VRFDomain",
      metadata: { name: "shared" },
      spec,
    };
    try {
      await kubectl(lab, ["apply", "-f", "-"], JSON.stringify(domain));
      await untilAnswers("blocks", ["node1", "node2"], async () => {
        const path = '{range .items[?(@.spec.vrfTable==60)]}{.spec.nodeName}{"\\n"}{end}';
        const text = await kubectl(lab, ["get", "ipb", "-o", `jsonpath=${path}`]);
        return text.trim().split("\n").toSorted();
      });
    } finally {
      await kubectl(lab, ["delete", "vrd", "shared", `--timeout=${patience}s`]);
    }
    assert.ok(!(await kubectl(lab, ["get", "ipb", "-o", "name"])).includes("vrf-60-"));
  },
);
