/**
 * Stretched subnets in the backend that PYROUTE2_LAB_BACKEND names: one lab for all tests, each of which leaves it as it found it. It has three
 * nodes, and two where every process is emulated.
 */
import assert from "node:assert/strict";
import { z } from "zod";
import { podMac } from "../../daemon/kernel/names.ts";
import { type ProxyStep, proxySteps, removalSteps } from "../kernel/kube_proxy.ts";
import { backend, labTest } from "./backend_test_case.ts";
import { askFrr } from "./frr_words.ts";
import { type Lab, type RunningNode, startLab } from "./lab.ts";
import { killFrr, kubectl, startAgent, startResponder } from "./machines.ts";
import { measure, mismatches } from "./matrix.ts";
import { askFrom, askOn } from "./questions.ts";
import { repository } from "./options.ts";
import { type PacketStream, startEcho, startStream } from "./packet_stream.ts";
import { emulated, jobs, patience } from "./patience.ts";
import { callPlugin, networkConfig, podNetns, startPod, stopPod } from "./pods.ts";
import { until } from "./process.ts";
import { customer, settingsWithEdge, startEdge } from "./stretched_edge.ts";
import {
  applyObjects,
  applyStretched,
  awaitNeighbors,
  blockName,
  flat,
  knownNeighbors,
  placePods,
  routed,
  stretchedPods,
  type StretchedTenant,
  stretchedTenants,
} from "./stretched_lab.ts";
import { answerPort, expectedMatrix, type LabPod, type PlacedPod } from "./topology.ts";
import { untilEqual } from "./until_equal.ts";
import { inVrf } from "./vrf_words.ts";

const dist = `${repository}/dist`;
const { signal } = new AbortController();
/** Datagrams that may be lost after a pod's ADD on its new node: those of a second. */
const lostInASecond = 100;

let lab: Lab;
let pods: PlacedPod[];

Deno.test.beforeAll(async () => {
  lab = await startLab({
    name: `l2vni-${backend}-${Deno.pid}`,
    backend,
    nodes: emulated ? 2 : 3,
    dist,
    keep: false,
    ...jobs,
    // The gratuitous ARP of pods takes a capability that nothing else does.
    confined: backend === "netns",
    signal,
    progress: (line) => console.error(`   ${line}`),
  });
  await applyStretched(lab);
  pods = await placePods(lab, dist, stretchedPods(lab), signal);
  await awaitNeighbors(lab, pods, signal);
});

Deno.test.afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

function nodeAt(index: number): RunningNode {
  const node = lab.nodes.at(index);
  assert.ok(node);
  return node;
}

function podOf(tenant: StretchedTenant, index: number): PlacedPod {
  const { name } = nodeAt(index);
  const pod = pods.find((each) => each.tenant === tenant.name && each.node === name);
  assert.ok(pod);
  return pod;
}

async function wrongCells(): Promise<unknown[]> {
  const home = new Map([
    ...pods.map((pod): [string, string] => [pod.name, pod.node]),
    ...lab.nodes.map(({ name }): [string, string] => [name, name]),
  ]);
  return mismatches(await measure(lab, expectedMatrix(lab.nodes, pods), home));
}

labTest(
  "pods reach each other over all nodes, nobody of the other tenant, and the outside",
  async () => {
    assert.deepEqual(await wrongCells(), []);
    const addresses = new Set(pods.map(({ address }) => address));
    assert.equal(addresses.size, pods.length / stretchedTenants.length);
  },
);

labTest("a pod's address has one subnet on all nodes, and its MAC goes with it", async () => {
  for (const tenant of stretchedTenants) {
    for (const node of lab.nodes) {
      const known = await knownNeighbors(lab, node, tenant.vrf);
      for (const { address } of pods.filter((pod) => pod.tenant === tenant.name)) {
        assert.equal(known.get(address), podMac(tenant.vrf, address));
      }
    }
  }
  const { name } = podOf(flat, 0);
  const shown = await nodeAt(0).holder.run([
    ...[
      "nsenter",
      `--net=${podNetns({ name })}`,
      "ip",
      "-4",
      "-o",
      "address",
      "show",
      "dev",
      "eth0",
    ],
  ]);
  assert.match(shown, /inet 10\.160\.0\.\d+\/16 /);
});

labTest(
  "a Service is answered from another node of the same subnet, past which the answer could go",
  async () => {
    const node = nodeAt(0);
    const services = stretchedTenants.flatMap((tenant, index) =>
      [1, 0].map((at) => ({
        clusterIp: `10.96.${index}.${at}`,
        endpoint: podOf(tenant, at).address,
        port: answerPort,
      }))
    );
    const run = async (steps: readonly ProxyStep[]) => {
      for (const { command, stdin } of steps) await node.holder.run(command, { stdin });
    };
    try {
      await run(proxySteps("nftables", { clusterCidr: "10.0.0.0/8", services }));
      const questions = services.map(({ clusterIp: address }, index) => {
        const tenant = stretchedTenants[Math.floor(index / 2)] ?? flat;
        return { netns: podNetns(podOf(tenant, 0)), address, port: 80 };
      });
      const answers = await askOn(lab, node.name, questions);
      assert.deepEqual(
        answers.map((answer) => answer?.name),
        stretchedTenants.flatMap((tenant) => [podOf(tenant, 1).name, podOf(tenant, 0).name]),
      );
    } finally {
      await run(removalSteps);
    }
  },
);

labTest("nodes answer ARP for each other's pods: no broadcast has to leave the node", async () => {
  const node = nodeAt(0);
  const [from, to] = [podOf(flat, 0), podOf(flat, 1)];
  const noBroadcast = ["ip", "link", "set", `l2vx-${flat.l2vni}`, "type", "bridge_slave"];
  await inVrf(lab, node, flat.vrf, [...noBroadcast, "bcast_flood", "off"]);
  const netns = `--net=${podNetns(from)}`;
  await node.holder.run(["nsenter", netns, "ip", "neighbour", "flush", "dev", "eth0"]);
  const cells = [{ from: from.name, to: to.name, address: to.address, expected: to.name }];
  assert.deepEqual(mismatches(await measure(lab, cells, new Map([[from.name, node.name]]))), []);
});

labTest(
  "with an l3vni besides, each node routes to the others' pods, and all announce the prefix",
  async () => {
    const routes = z.record(z.string(), z.array(z.object({ protocol: z.string() })));
    for (const node of lab.nodes) {
      const show = `show ip route vrf vrf-${routed.vrf} json`;
      const others = pods.filter(({ tenant, node: home }) =>
        tenant === routed.name && home !== node.name
      );
      await until(`"${node.name}" to have a route to each pod`, patience, async () => {
        const found = routes.parse(JSON.parse(await askFrr(node.holder, "zebra", show)));
        return others.every(({ address }) =>
            found[`${address}/32`]?.some(({ protocol }) => protocol === "bgp")
          )
          ? true
          : undefined;
      });
      const routesOfPrefixes = "show bgp l2vpn evpn route type prefix";
      const prefixes = await askFrr(node.holder, "bgpd", routesOfPrefixes);
      const announced = prefixes.match(/\[5\]:\[0\]:\[16\]:\[10\.160\.0\.0\]/g) ?? [];
      assert.equal(announced.length, lab.nodes.length);
    }
  },
);

labTest(
  "a router outside has a route to each pod's own node, and its traffic goes both ways",
  async () => {
    await using edge = await startEdge(lab);
    const { machine } = edge.router;
    const answers = [{ path: edge.hostNetns, name: customer.name }];
    await startResponder(lab, machine, answers, signal);
    await applyObjects(lab, settingsWithEdge(lab));
    try {
      const mine = pods.filter(({ tenant }) => tenant === routed.name);
      const hops = z.record(
        z.string(),
        z.array(z.object({ nexthops: z.array(z.object({ ip: z.string().optional() })) })),
      );
      await until("the router to know each pod's node", patience, async () => {
        const show = `show ip route vrf vrf-${routed.vrf} json`;
        const routes = hops.parse(JSON.parse(await askFrr(machine, "zebra", show)));
        const leads = ({ address, node }: PlacedPod) =>
          routes[`${address}/32`]?.[0]?.nexthops[0]?.ip ===
            lab.nodes.find(({ name }) => name === node)?.address;
        return mine.every(leads) && routes["10.160.0.0/16"] !== undefined ? true : undefined;
      });
      const port = answerPort;
      const back = await askFrom(
        lab,
        machine,
        mine.map(({ address }) => ({ netns: edge.hostNetns, address, port })),
      );
      assert.deepEqual(back, mine.map(({ name }) => ({ name, seen: "1.2.3.4" })));
      for (const pod of mine) {
        const question = { netns: podNetns(pod), address: "1.2.3.4", port };
        const [out] = await askOn(lab, pod.node, [question]);
        assert.deepEqual(out, { name: customer.name, seen: pod.address });
      }
      const stranger = podOf(flat, 0);
      const question = { netns: podNetns(stranger), address: "1.2.3.4", port };
      assert.deepEqual(await askOn(lab, stranger.node, [question]), [null]);
    } finally {
      await kubectl(lab, ["delete", "vrnc", "--all"]);
    }
  },
);

labTest("the nodes' state shows each VNI with its type and how many nodes share it", async () => {
  const schema = z.object({
    status: z.object({
      vnis: z.array(z.object({
        vni: z.number(),
        vrf: z.string(),
        type: z.string(),
        state: z.string(),
        remoteVteps: z.number().optional(),
      })),
    }),
  });
  const remoteVteps = lab.nodes.length - 1;
  const wanted = [
    { vni: 50400, vrf: "vrf-400", type: "l2vni", state: "Up", remoteVteps },
    { vni: 50500, vrf: "vrf-500", type: "l2vni", state: "Up", remoteVteps },
    { vni: 50501, vrf: "vrf-500", type: "l3vni", state: "Up" },
  ];
  for (const { name } of lab.nodes) {
    await until(`the VNIs in the state of "${name}"`, patience, async () => {
      const state = await kubectl(lab, ["get", "vrns", name, "-o", "json"]);
      const { vnis } = schema.parse(JSON.parse(state)).status;
      const found = vnis.filter(({ vrf }) => vrf !== "vrf-42");
      return JSON.stringify(found) === JSON.stringify(wanted) ? true : undefined;
    });
  }
});

labTest(
  "bridges and VXLAN devices that someone deletes come back with their silent pods",
  async () => {
    const node = nodeAt(1);
    await inVrf(lab, node, flat.vrf, ["ip", "link", "del", `l2br-${flat.vrf}`]);
    await inVrf(lab, node, routed.vrf, ["ip", "link", "del", `l2vx-${routed.l2vni}`]);
    await until("the node to heal", patience, async () => {
      const links = await Promise.all([
        inVrf(lab, node, flat.vrf, ["ip", "link", "show", "dev", `l2br-${flat.vrf}`]),
        inVrf(lab, node, routed.vrf, ["ip", "link", "show", "dev", `l2vx-${routed.l2vni}`]),
      ]);
      return links.every((link) => link.includes("UP")) ? true : undefined;
    });
    await awaitNeighbors(lab, pods, signal);
    await until(
      "the matrix",
      patience,
      async () => (await wrongCells()).length === 0 ? true : undefined,
    );
  },
);

labTest("FRR that was killed with its agent learns everything anew", async () => {
  const node = nodeAt(-1);
  await killFrr(node);
  await node.holder.run(["sh", "-c", "rm -rf /run/frr/* /etc/frr/frr.conf"]);
  startAgent(lab, node, dist);
  await until(
    "the matrix",
    patience,
    async () => (await wrongCells()).length === 0 ? true : undefined,
  );
  await awaitNeighbors(lab, pods, signal);
});

const mtuSchema = z.array(
  z.object({ ifname: z.string(), mtu: z.number(), master: z.string().optional() }),
);

/** MTUs of everything on a node that carries a tenant's packets, by name. */
async function mtus(
  node: RunningNode,
  { vrf, name }: StretchedTenant,
): Promise<Map<string, number>> {
  const show = ["ip", "-json", "link"];
  const links = mtuSchema.parse(JSON.parse(await inVrf(lab, node, vrf, show)));
  const bridges = [`l2br-${vrf}`, `l3br-${vrf}`];
  const mine = links.filter(({ ifname, master = "" }) =>
    bridges.includes(ifname) || (/^l[23]vx-/.test(ifname) && bridges.includes(master))
  );
  const found = new Map(mine.map(({ ifname, mtu }) => [ifname, mtu]));
  for (const pod of pods.filter((pod) => pod.tenant === name && pod.node === node.name)) {
    const inside = await node.holder.run([
      "nsenter",
      `--net=${podNetns(pod)}`,
      ...show,
      "show",
      "eth0",
    ]);
    found.set(pod.name, mtuSchema.parse(JSON.parse(inside))[0]?.mtu ?? 0);
  }
  return found;
}

/** Waits until all of a tenant's links and pods on a node have an MTU. */
function untilMtu(node: RunningNode, tenant: StretchedTenant, mtu: number): Promise<true> {
  return until(`the MTU ${mtu} of "${tenant.name}" on "${node.name}"`, patience, async () => {
    const values = [...(await mtus(node, tenant)).values()];
    return values.length > 2 && values.every((value) => value === mtu) ? true : undefined;
  });
}

/**
 * Gives a node's link to the underlay an MTU, at both ends: what one end sends must fit the other, or connections to the API that have stood
 * before wait for ever for an answer that is too large.
 */
async function setUnderlayMtu(node: RunningNode, mtu: number): Promise<void> {
  await lab.api.run(["ip", "link", "set", `u-${node.name}`, "mtu", String(mtu)]);
  await node.holder.run(["ip", "link", "set", "eth0", "mtu", String(mtu)]);
}

labTest("running pods follow the underlay's MTU, and new ones have it from the start", async () => {
  const node = nodeAt(0);
  const fresh = { ...podOf(routed, 0), name: "team-routed-fresh" };
  try {
    await setUnderlayMtu(node, 1400);
    for (const tenant of stretchedTenants) await untilMtu(node, tenant, 1350);
    if (backend === "netns") {
      const leg = await node.holder.run(["ip", "link", "show", "dev", `pr2h-${routed.vrf}`]);
      assert.match(leg, / mtu 1400 /);
    }
    const result = await startPod(node, dist, fresh);
    await stopPod(node, dist, fresh);
    assert.deepEqual(result.interfaces.map(({ mtu }) => mtu), [1350, 1350]);
    assert.deepEqual(await wrongCells(), []);
  } finally {
    await setUnderlayMtu(node, 1500);
  }
  for (const tenant of stretchedTenants) await untilMtu(node, tenant, 1450);
});

labTest(
  "a domain's own MTU reaches its running pods on every node, and one that does not fit is told",
  async () => {
    const ask = (mtu: number | null) =>
      kubectl(lab, [
        ...["patch", "vrd", flat.name, "--type=merge", "-p", JSON.stringify({ spec: { mtu } })],
      ]);
    const untilReady = (wanted: string) =>
      until(`"${flat.name}" to be "${wanted}"`, patience, async () => {
        const path =
          '{.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason}';
        const found = await kubectl(lab, ["get", "vrd", flat.name, "-o", `jsonpath=${path}`]);
        return found === wanted ? true : undefined;
      });
    try {
      await ask(1300);
      for (const node of lab.nodes) await untilMtu(node, flat, 1300);
      await untilReady("True Applied");
      const path = `{.status.domains[?(@.name=="${flat.name}")].mtu}`;
      const state = ["get", "vrns", nodeAt(-1).name, "-o", `jsonpath=${path}`];
      await untilEqual("the node to tell of it", "1300", () => kubectl(lab, state), patience);
      await untilMtu(nodeAt(1), routed, 1450);
      await ask(8950);
      await untilReady("False MTUTooLarge");
      for (const node of lab.nodes) await untilMtu(node, flat, 1450);
      assert.deepEqual(await wrongCells(), []);
    } finally {
      await ask(null);
    }
    await untilReady("True Applied");
  },
);

/** An address of a block that no node has. */
const moving = { network: "10.160.1.0", address: "10.160.1.2" } as const;

/** Asks for that address, and for a MAC if one is given. */
function wishing(mac?: string): unknown {
  return { ...networkConfig, args: { cni: { ips: [moving.address], mac } } };
}

/** A pod for that address, wherever it is, with an echo in its namespace that is there before the interface. */
async function moverOn(node: RunningNode, { name, namespace }: StretchedTenant): Promise<LabPod> {
  const pod = { name: `${namespace}-mover-${node.name}`, node: node.name, namespace, tenant: name };
  const path = podNetns(pod);
  await node.holder.run(["sh", "-ec", `touch ${path}; unshare --net=${path} ip link set lo up`]);
  await startEcho(node.holder, path, `${lab.directory}/${pod.name}-echo.log`);
  return pod;
}

/** Attaches it as soon as no other node holds its block. */
function attach(node: RunningNode, pod: LabPod, mac?: string): Promise<true> {
  return until(`"${moving.address}" on "${node.name}"`, patience, async () => {
    const { code, stdout } = await callPlugin(node, dist, "ADD", pod, wishing(mac));
    if (code !== 0) throw new Error(stdout);
    return true as const;
  });
}

const moves: readonly (readonly [StretchedTenant, string, string | undefined])[] = [
  [flat, "", undefined],
  [routed, "", undefined],
  [flat, " with another MAC", "02:00:00:00:00:77"],
];

for (const [tenant, how, mac] of moves) {
  labTest(
    `a pod of "${tenant.name}" that comes up on another node${how} is reached again within a second`,
    async () => {
      const [before, after, watcher] = [nodeAt(0), nodeAt(1), nodeAt(-1)];
      const old = await moverOn(before, tenant);
      const young = await moverOn(after, tenant);
      const release = [
        "delete",
        "ipb",
        blockName(tenant.vrf, moving.network),
        "--ignore-not-found",
      ];
      await attach(before, old);
      await using far = await startStream(
        watcher.holder,
        podNetns(podOf(tenant, -1)),
        moving.address,
      );
      await using near = await startStream(
        before.holder,
        podNetns(podOf(tenant, 0)),
        moving.address,
      );
      await stopPod(before, dist, old);
      await kubectl(lab, release);
      await attach(after, young, mac);
      const added = Date.now();
      try {
        for (const [name, stream] of [["far", far], ["near", near]] as const) {
          const lost = await lostAfter(stream, added);
          assert.ok(lost <= lostInASecond, `${lost} datagrams were lost ${name}`);
        }
      } finally {
        await stopPod(after, dist, young);
        await kubectl(lab, release);
      }
    },
  );
}

/** An address that IPAM knows nothing of, and that pods take over from each other. */
const shared = "10.160.250.9";

/** Gives a pod the shared address and has it announced, or takes it away. */
async function share(node: RunningNode, pod: PlacedPod, has: boolean): Promise<void> {
  const enter = ["nsenter", `--net=${podNetns(pod)}`, "sh", "-ec"];
  // Setting the MAC, even to what it is, announces all addresses: the interface was told so when it was made.
  const mac = podMac(flat.vrf, pod.address);
  const words = has
    ? `ip address add ${shared}/32 dev eth0; ip link set eth0 address ${mac}`
    : `ip address del ${shared}/32 dev eth0`;
  await node.holder.run([...enter, words]);
}

labTest(
  "an address that a pod takes over by a gratuitous ARP is reached there within a second",
  async () => {
    const [before, after, watcher] = [nodeAt(0), nodeAt(1), nodeAt(-1)];
    const [old, young] = [podOf(flat, 0), podOf(flat, 1)];
    await share(before, old, true);
    for (const [node, pod] of [[before, old], [after, young]] as const) {
      await startEcho(node.holder, podNetns(pod), `${lab.directory}/${pod.name}-echo.log`);
    }
    await using far = await startStream(watcher.holder, podNetns(podOf(flat, -1)), shared);
    await until("every node to know the address", patience, async () => {
      const known = await Promise.all(lab.nodes.map((node) => knownNeighbors(lab, node, flat.vrf)));
      const mac = podMac(flat.vrf, old.address);
      return known.every((neighbors) => neighbors.get(shared) === mac) ? true : undefined;
    });
    await share(before, old, false);
    await share(after, young, true);
    const taken = Date.now();
    try {
      const lost = await lostAfter(far, taken);
      assert.ok(lost <= lostInASecond, `${lost} datagrams were lost`);
      await until("every node to know where the address is", patience, async () => {
        const known = await Promise.all(
          lab.nodes.map((node) => knownNeighbors(lab, node, flat.vrf)),
        );
        const mac = podMac(flat.vrf, young.address);
        return known.every((neighbors) => neighbors.get(shared) === mac) ? true : undefined;
      });
    } finally {
      await share(after, young, false);
    }
  },
);

/** How many datagrams were lost that were sent after a moment, once the stream runs again. */
async function lostAfter(stream: PacketStream, moment: number): Promise<number> {
  const before = stream.received();
  await until(
    "the stream to run again",
    patience,
    () => stream.received() > before + 1 ? true : undefined,
  );
  const { lost } = await stream.stop();
  return lost.filter((sent) => sent > moment).length;
}
