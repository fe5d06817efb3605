/**
 * The data plane while what steers it is killed, upgraded and changed, in the backend that PYROUTE2_LAB_BACKEND names: a datagram every ten
 * milliseconds between pods of two nodes, there and back, and how many of them are lost.
 */
import assert from "node:assert/strict";
import { z } from "zod";
import { backend, labTest } from "./backend_test_case.ts";
import { applyTenants, awaitRoutes, startPods } from "./demo_lab.ts";
import { askFrr } from "./frr_words.ts";
import { type Lab, type RunningNode, startLab } from "./lab.ts";
import { killDaemon, kubectl, startAgent, startDaemon } from "./machines.ts";
import { repository } from "./options.ts";
import { startEcho, startStream } from "./packet_stream.ts";
import { jobs, lostAtMost, patience } from "./patience.ts";
import { podNetns } from "./pods.ts";
import { until } from "./process.ts";
import { type PlacedPod, tenants } from "./topology.ts";
import { inVrf, tableOf } from "./vrf_words.ts";

const dist = `${repository}/dist`;
const { signal } = new AbortController();

let lab: Lab;
let pods: PlacedPod[];
let near: PlacedPod;
let far: PlacedPod;

Deno.test.beforeAll(async () => {
  lab = await startLab({
    name: `uptime-${backend}-${Deno.pid}`,
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
  near = podOn(nodeAt(0));
  far = podOn(nodeAt(1));
  await startEcho(nodeAt(1).holder, podNetns(far), `${lab.directory}/echo.log`);
});

Deno.test.afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
});

function nodeAt(index: number): RunningNode {
  const node = lab.nodes[index];
  assert.ok(node);
  return node;
}

function podOn(node: RunningNode): PlacedPod {
  const pod = pods.find((each) => each.node === node.name && each.tenant === tenants[0]?.name);
  assert.ok(pod);
  return pod;
}

const summarySchema = z.object({
  peers: z.record(
    z.string(),
    z.object({ state: z.string(), connectionsEstablished: z.number().optional() }),
  ),
});

/** FRR's peers, and how often each session has come up. */
async function sessions(node: RunningNode): Promise<z.infer<typeof summarySchema>["peers"]> {
  const text = await askFrr(node.holder, "bgpd", "show bgp l2vpn evpn summary json");
  return summarySchema.parse(JSON.parse(text)).peers;
}

/** Waits until FRR and both daemons have nothing left to do: all sessions up, and no route but FRR's own. */
async function settled(): Promise<void> {
  await awaitRoutes(lab, pods, signal);
  await until("all held routes to go", patience, async () => {
    for (const node of lab.nodes) {
      const all = Object.values(await sessions(node));
      if (all.length === 0 || all.some(({ state }) => state !== "Established")) return undefined;
      const show = ["ip", "route", "show", ...tableOf(lab, 200)];
      const routes = await inVrf(lab, node, 200, show);
      if (routes.includes("metric 20142") || !routes.includes("proto bgp")) return undefined;
    }
    return true;
  });
}

/** Does something to the second node under a stream, and sees how much of the stream is lost until all has settled. */
async function lostDuring(fault: (node: RunningNode) => Promise<void>): Promise<number> {
  await settled();
  const stream = await startStream(nodeAt(0).holder, podNetns(near), far.address);
  await fault(nodeAt(1));
  await settled();
  const { sent, lost } = await stream.stop();
  console.error(`   ${lost.length} of ${sent} datagrams lost`);
  return lost.length;
}

function kill(node: RunningNode, name: string, ...words: readonly string[]): Promise<string> {
  return node.holder.run(["pkill", `-${name}`, ...words]);
}

const daemonWords = ["-f", "[ ]daemon --config"];
const agentWords = ["-f", "[ ]frr-agent --start"];

labTest("killing the daemon and starting it again loses no packet", async () => {
  const lost = await lostDuring(async (node) => {
    await killDaemon(node);
    await startDaemon(lab, node, dist, signal);
  });
  assert.equal(lost, 0);
});

labTest(
  "stopping the daemon and starting another one, as an upgrade does, loses no packet",
  async () => {
    const lost = await lostDuring(async (node) => {
      await kill(node, "TERM", ...daemonWords);
      await until("the daemon to end", patience, () => ended(node, daemonWords));
      await startDaemon(lab, node, dist, signal);
    });
    assert.equal(lost, 0);
  },
  { anyBackend: true },
);

labTest("a killed bgpd takes no established path along", async () => {
  const lost = await lostDuring(async (node) => {
    await kill(node, "KILL", "bgpd");
  });
  assert.ok(lost <= lostAtMost, `${lost} datagrams were lost`);
});

labTest("a killed zebra takes no established path along", async () => {
  const lost = await lostDuring(async (node) => {
    await kill(node, "KILL", "zebra");
    await until("zebra to run again", patience, async () => {
      const run = await node.holder.run(["pgrep", "-x", "zebra"]).catch(() => "");
      return run.trim() === "" ? undefined : true;
    });
  });
  assert.ok(lost <= lostAtMost, `${lost} datagrams were lost`);
});

labTest(
  "FRR that is stopped with its agent and started anew takes no established path along",
  async () => {
    const lost = await lostDuring(async (node) => {
      await kill(node, "TERM", ...agentWords);
      await until("FRR to end", patience, () => ended(node, agentWords));
      startAgent(lab, node, dist);
    });
    assert.ok(lost <= lostAtMost, `${lost} datagrams were lost`);
  },
);

labTest(
  "FRR and daemon that are replaced together, as by a new image, take no established path along",
  async () => {
    const lost = await lostDuring(async (node) => {
      await Promise.all([kill(node, "TERM", ...agentWords), kill(node, "TERM", ...daemonWords)]);
      for (const words of [agentWords, daemonWords]) {
        await until("both to end", patience, () => ended(node, words));
      }
      startAgent(lab, node, dist);
      await startDaemon(lab, node, dist, signal);
    });
    assert.ok(lost <= lostAtMost, `${lost} datagrams were lost`);
  },
);

async function ended(node: RunningNode, words: readonly string[]): Promise<true | undefined> {
  const found = await node.holder.run(["pgrep", ...words]).catch(() => "");
  return found.trim() === "" ? true : undefined;
}

labTest(
  "a domain that comes and goes moves neither the sessions nor the routes of others",
  async () => {
    const before = await Promise.all(lab.nodes.map(sessions));
    const log = `${lab.directory}/routes.log`;
    const watch = backend === "netns" ? ["ip", "netns", "exec", "vrf-200"] : [];
    nodeAt(0).holder.start([...watch, "ip", "monitor", "route"], { log });
    const domain = {
      apiVersion: "cni.pyroute2.org/v1alpha1",
      kind: "VRFDomain",
      metadata: { name: "passing" },
      spec: {
        vrf: 800,
        table: 2800,
        prefix: "10.180.0.0",
        prefixlen: 16,
        ipblocklen: 26,
        attachments: [{ type: "l3vni", vni: 50800 }],
      },
    };
    const lost = await lostDuring(async () => {
      await kubectl(lab, ["apply", "-f", "-"], JSON.stringify(domain));
      await kubectl(lab, [
        "wait",
        "--for=condition=Ready",
        "vrd/passing",
        `--timeout=${patience}s`,
      ]);
      await kubectl(lab, ["delete", "vrd", "passing", `--timeout=${patience}s`]);
    });
    assert.equal(lost, 0);
    assert.deepEqual(await Promise.all(lab.nodes.map(sessions)), before);
    const changes = (await Deno.readTextFile(log)).split("\n").filter((line) =>
      line.includes("10.150.0.") && line.includes("proto bgp")
    );
    assert.deepEqual(changes, []);
  },
);
