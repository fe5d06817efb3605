/** What nodes do while the API is away or refuses them, and afterwards. */
import assert from "node:assert/strict";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { testCertificate } from "../../daemon/kube/testing/scripted_api.ts";
import {
  apply,
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
import type { RunningNode } from "./lab.ts";
import {
  askProbe,
  killDaemon,
  kubeconfig,
  kubectl,
  readDaemonLog,
  startDaemon,
} from "./machines.ts";
import {
  addressOf,
  announcePods,
  callPlugin,
  networkConfig,
  startPod,
  stopPod,
  tryPod,
  untilKnown,
} from "./pods.ts";
import { until } from "./process.ts";
import type { LabPod } from "./topology.ts";

const errorSchema = z.object({ code: z.number(), msg: z.string() });

/** Pods that their node has heard of, so that they start without the API. */
async function knownPods(
  { lab, dist }: LabWorld,
  node: RunningNode,
  namespace: string,
  names: readonly string[],
): Promise<(LabPod & { readonly uid: string })[]> {
  const pods = names.map((name) => ({ name, node: node.name, namespace, tenant: namespace }));
  const announced = await announcePods(lab, pods);
  // Whoever knows the last one knows them all.
  const last = announced.at(-1);
  if (last !== undefined) await untilKnown(node, dist, last);
  return announced;
}

async function allocations(world: LabWorld, block: string): Promise<Record<string, string>> {
  const text = await valueOf(world, `ipb/${block}`, "{.status.allocations}");
  return z.record(z.string(), z.string()).parse(JSON.parse(text === "" ? "{}" : text));
}

function untilAllocations(
  world: LabWorld,
  block: string,
  holds: (found: Record<string, string>) => boolean,
): Promise<true> {
  return until(`the status of "${block}"`, patience, async () => {
    const found = await allocations(world, block);
    const count = await valueOf(world, `ipb/${block}`, "{.status.allocated}");
    return holds(found) && Number(count) === Object.keys(found).length ? true : undefined;
  });
}

function untilProbe(
  node: RunningNode,
  what: string,
  status: number,
  body: RegExp = /./,
): Promise<true> {
  return until(`"${node.name}" to ${what}`, patience, async () => {
    const found = await askProbe(node, "/readyz");
    return found.status === status && body.test(found.body) ? true : undefined;
  });
}

/** All of them. */
export const apiAwayCases: readonly LabCase[] = [
  {
    name: "pods start and end from local blocks while the API is away, and statuses follow later",
    run: async (world) => {
      const { lab, dist } = world;
      const node = nodeAt(world, 0);
      const block = "vrf-200-10-150-0-0-26";
      const [first, second] = await knownPods(world, node, "team-a", ["away-1", "away-2"]);
      assert.ok(first !== undefined && second !== undefined);
      const gone = addressOf(await startPod(node, dist, first));
      await untilAllocations(world, block, (found) => found[gone] === first.uid);
      await world.killApi();
      let come: string;
      try {
        await assert.rejects(kubectl(lab, ["get", "vrd", "--request-timeout=2s"]));
        come = addressOf(await startPod(node, dist, second));
        await stopPod(node, dist, first);
        assert.equal((await askProbe(node, "/readyz")).status, 200);
      } finally {
        await world.startApi();
      }
      await untilAllocations(world, block, (found) => {
        return found[come] === second.uid && !(gone in found);
      });
      await stopPod(node, dist, second);
      await untilAllocations(world, block, (found) => !(come in found));
      await forgetPods(world, [first, second]);
      await untilMatrixHolds(world);
    },
  },
  {
    name:
      "a pod that finds its node's blocks full while the API is away is told so, and starts later",
    run: async (world) => {
      const { dist } = world;
      const node = nodeAt(world, 0);
      // Five pods to a block.
      await apply(world, domain("narrow", 260, { ipblocklen: 29 }), ...bound("narrow", "narrow"));
      await untilCondition(world, "vrd/narrow", "Ready", "True Applied");
      const names = Array.from({ length: 12 }, (_, index) => `narrow-${index}`);
      const pods = await knownPods(world, node, "narrow", names);
      const started: LabPod[] = [];
      const attempt = async (pod: LabPod) => {
        const answer = await tryPod(node, dist, pod);
        if (answer.code === 0) started.push(pod);
        return answer;
      };
      try {
        const [first, ...more] = pods;
        assert.ok(first);
        await until("the namespace to be bound", patience, async () => {
          const address = addressOf(await startPod(node, dist, first));
          if (address.startsWith("10.160.")) return true;
          await stopPod(node, dist, first);
          return undefined;
        });
        started.push(first);
        await world.killApi();
        let refused: LabPod | undefined;
        try {
          for (const pod of more) {
            const { code, stdout } = await attempt(pod);
            if (code === 0) continue;
            refused = pod;
            const error = errorSchema.parse(JSON.parse(stdout));
            assert.equal(error.code, 11);
            assert.match(error.msg, /claim a block for the VRFDomain "narrow"/);
            assert.match(error.msg, /check that the API server runs and is reachable/);
            assert.match(error.msg, /tried again with the next request/);
            break;
          }
          assert.ok(refused, "no pod was refused");
          assert.ok(started.length >= 5, `only ${started.length} pods started`);
          const [other] = world.pods.filter(({ node: name }) => name === node.name);
          assert.ok(other);
          const status = await callPlugin(node, dist, "STATUS", other, networkConfig);
          assert.equal(status.code, 0, "the node takes pods of other domains");
        } finally {
          await world.startApi();
        }
        const pod = refused;
        await until("the pod to start", patience, async () => {
          return (await attempt(pod)).code === 0 || undefined;
        });
      } finally {
        for (const pod of started) await stopPod(node, dist, pod);
        await forgetPods(world, pods);
        await remove(world, "vrb/narrow", "vrd/narrow");
        await kubectl(world.lab, ["delete", "namespace", "narrow", "--wait=false"]);
      }
    },
  },
  {
    name:
      "a daemon that the API refuses, or that does not believe it, says why and is mended in place",
    run: async (world) => {
      const { lab, dist } = world;
      const node = nodeAt(world, 1);
      const right = await Deno.readTextFile(kubeconfig(lab));
      const path = `${lab.directory}/${node.name}.kubeconfig`;
      const [pod] = await knownPods(world, node, "team-a", ["refused"]);
      assert.ok(pod);
      const { signal } = new AbortController();
      await Deno.writeTextFile(path, withAuthority(right, testCertificate), { mode: 0o600 });
      const before = (await readDaemonLog(lab, node)).length;
      await killDaemon(node);
      try {
        await startDaemon(lab, node, dist, signal, { kubeconfig: path, awaits: "Daemon started" });
        const missing =
          /no list from the API yet of vrfdomains,.*UnknownIssuer.*certificate authority/;
        await untilProbe(node, "say what it does not believe", 503, missing);
        await until("some attempts of each resource", patience, async () => {
          const { body } = await askProbe(node, "/metrics");
          const counts = body.matchAll(/^pyroute2_cni_api_restarts_total\{.*\} (\d+)$/gm);
          return [...counts].every(([, count]) => Number(count) >= 3) ? true : undefined;
        });
        const said = (await readDaemonLog(lab, node)).slice(before).split("\n")
          .filter((line) => line.includes("UnknownIssuer"))
          .map((line) => line.replace(/"time":"[^"]*",/, ""));
        assert.equal(said.filter((line) => line.includes("List and watch failed")).length, 1);
        assert.equal(new Set(said).size, said.length, said.join("\n"));
        await Deno.writeTextFile(path, right);
        await untilProbe(node, "be ready", 200);
        // Being ready takes no list of pods, and this pod is known to nobody else.
        await untilKnown(node, dist, pod);

        await Deno.writeTextFile(path, withToken(right, "wrong"));
        await until("the new token to be used", patience, async () => {
          const log = (await readDaemonLog(lab, node)).slice(before);
          return log.includes("status 401") ? true : undefined;
        });
        // A watch that is open is not asked for its token again.
        await world.killApi();
        await world.startApi();
        const refused = /not followed any more, of .*status 401.*check the token/;
        await untilProbe(node, "say that it is refused", 503, refused);
        await startPod(node, dist, pod);
        const status = await callPlugin(node, dist, "STATUS", pod, networkConfig);
        assert.equal(status.code, 0, status.stdout);
        await stopPod(node, dist, pod);
        await Deno.writeTextFile(path, right);
        await untilProbe(node, "be ready again", 200);
      } finally {
        await killDaemon(node);
        await startDaemon(lab, node, dist, signal);
        await Deno.remove(path);
      }
      await forgetPods(world, [pod]);
      await untilMatrixHolds(world);
    },
  },
];

interface Kubeconfig {
  readonly clusters: readonly { readonly name: string; readonly cluster: object }[];
  readonly users: readonly { readonly name: string; readonly user: object }[];
}

function withAuthority(text: string, authority: string): string {
  const config: Kubeconfig = parse(text);
  const clusters = config.clusters.map(({ name, cluster }) => ({
    name,
    cluster: { ...cluster, "certificate-authority-data": btoa(authority) },
  }));
  return stringify({ ...config, clusters });
}

function withToken(text: string, token: string): string {
  const config: Kubeconfig = parse(text);
  const users = config.users.map(({ name, user }) => ({ name, user: { ...user, token } }));
  return stringify({ ...config, users });
}
