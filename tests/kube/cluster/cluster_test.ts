/**
 * A whole cluster of one node: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and a kubelet whose pods get their
 * network from the plugin. The tests are one story: each goes on from where the one before it ended.
 */
import assert from "node:assert/strict";
import { killDaemon, startDaemonAgain } from "../../containerd/daemon_restart.ts";
import { configurationDirectory } from "../../containerd/node_directories.ts";
import { repository } from "../../lab/options.ts";
import { until } from "../../lab/process.ts";
import { tenantPrefix, tenants } from "../../lab/topology.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { endCluster, type HostState, readHostState, strayControlGroups } from "./host_state.ts";
import { createObserver, patience } from "./observer.ts";
import { findClusterPrograms } from "./programs.ts";
import {
  aliveFile,
  deployment,
  podsOf,
  type PodState,
  readyFile,
  statefulSet,
  unreadyMessage,
  webPort,
} from "./workload.ts";

const dist = `${repository}/dist`;
const { signal } = new AbortController();

const probe = await findClusterPrograms({
  assets: Deno.env.get("KUBEBUILDER_ASSETS"),
  report: (line) => console.error(line),
});
if (!probe.available) console.error(`Skipped, no cluster: ${probe.reason}`);

const [first, second] = tenants;
assert.ok(first && second);

/** What every address of both tenants begins with. */
const prefixBegin = tenantPrefix.replace(".0.0/16", ".");

let cluster: Cluster;
let hostBefore: HostState;

const { api, untilReady, everyPod, rowOf, untilOnly, assertUntouched, inPod, get } = createObserver(
  () => cluster,
  tenants.map(({ namespace }) => namespace),
);

Deno.test.beforeAll(async () => {
  if (!probe.available) return;
  hostBefore = await readHostState();
  cluster = await startCluster({
    name: `cluster-${Deno.pid}`,
    programs: probe.programs,
    dist,
    backend: "netns",
    signal,
    progress: (line) => console.error(`   ${line}`),
  });
  const manifests = `${repository}/tests/lab/manifests`;
  await api(["apply", "-f", `${manifests}/10-namespaces.yaml`]);
  await api(["apply", "-f", `${manifests}/20-tenants.yaml`]);
  for (const { namespace } of tenants) await api(["apply", "-f", "-"], deployment(namespace, 2));
});

Deno.test.afterAll(async () => {
  if (!probe.available) return;
  await endCluster(cluster, hostBefore);
});

/** A test on the cluster. What it starts there outlives it, so resources are not counted. */
function clusterTest(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: `kubelet: ${name}`,
    ignore: !probe.available,
    fn,
    sanitizeOps: false,
    sanitizeResources: false,
  });
}

clusterTest("the node is not ready, and pods wait, until a CNIConfig is there", async () => {
  const { lab, node } = cluster;
  await until("the kubelet to say what it waits for", patience, async () => {
    assert.match(await unreadyMessage(lab, node.name) ?? "", /cni plugin not initialized/);
    // The scheduler has looked at them and found no node.
    const pods = await everyPod();
    return pods.length === 4 && pods.every(({ unscheduled }) => unscheduled) ? true : undefined;
  });
  assert.equal(await node.holder.run(["ls", configurationDirectory]), "");
  await api(["apply", "-k", `${repository}/manifests/cni`]);
  await api(["wait", "--for=condition=Ready", `node/${node.name}`, `--timeout=${patience}s`]);
  assert.equal(await node.holder.run(["ls", configurationDirectory]), "05-pyroute2.conflist\n");
});

clusterTest("pods of two tenants with the same prefix become ready by HTTP probes", async () => {
  for (const { namespace, name } of tenants) {
    const available = ["wait", "--for=condition=Available", "deployment/web"];
    await api(["-n", namespace, ...available, `--timeout=${patience}s`]);
    for (const pod of await untilReady(namespace, 2)) {
      const row = rowOf(pod);
      assert.deepEqual([row.domain, row.address, row.state], [name, pod.address, "attached"]);
      assert.ok(pod.address.startsWith(prefixBegin), pod.address);
    }
  }
  await untilOnly(await everyPod());
  assert.deepEqual(await strayControlGroups(cluster), []);
});

clusterTest("a pod reaches those of its own tenant and nobody else's", async () => {
  const [a, other] = await untilReady(first.namespace, 2);
  const [b] = await untilReady(second.namespace, 2);
  assert.ok(a && other && b);
  assert.equal(await get(a, other.address, webPort), other.name);
  assert.equal(await get(other, a.address, webPort), a.name);
  assert.equal(await get(a, b.address, webPort), "");
  assert.equal(await get(b, a.address, webPort), "");
  assert.equal(await get(b, b.address, webPort), b.name);
});

clusterTest("a pod that fails its readiness probe is not ready until it passes", async () => {
  const { namespace } = second;
  const [pod] = await untilReady(namespace, 2);
  assert.ok(pod);
  await inPod(pod, ["/bin/rm", readyFile]);
  await until(`"${pod.name}" to be not ready`, patience, async () => {
    const pods = await podsOf(cluster.lab, namespace);
    return pods.some(({ name, ready }) => name === pod.name && !ready) ? true : undefined;
  });
  await inPod(pod, ["/bin/touch", readyFile]);
  await untilReady(namespace, 2);
  await assertUntouched([pod]);
});

clusterTest(
  "a container that fails its liveness probe is started anew at its address",
  async () => {
    const { namespace } = second;
    const [pod] = await untilReady(namespace, 2);
    assert.ok(pod);
    await inPod(pod, ["/bin/rm", aliveFile]);
    const restarted = await until(`"${pod.name}" to be restarted`, patience, async () => {
      const pods = await podsOf(cluster.lab, namespace);
      return pods.find(({ name, restarts, ready }) => name === pod.name && restarts > 0 && ready);
    });
    assert.notEqual(restarted.container, pod.container);
    assert.equal(restarted.address, pod.address);
    await untilOnly(await everyPod());
  },
);

clusterTest("a pod that is deleted is replaced by one that becomes ready", async () => {
  const { namespace } = first;
  const [doomed, stays] = await untilReady(namespace, 2);
  assert.ok(doomed && stays);
  await api(["-n", namespace, "delete", "pod", doomed.name]);
  const pods = await untilReady(namespace, 2);
  await assertUntouched([stays]);
  assert.ok(pods.every(({ uid }) => uid !== doomed.uid));
  await untilOnly(await everyPod());
});

clusterTest("addresses come and go as a Deployment is scaled up and down", async () => {
  const { namespace } = first;
  for (const replicas of [8, 1, 2]) {
    await api(["-n", namespace, "scale", "deployment/web", `--replicas=${replicas}`]);
    const pods = await untilReady(namespace, replicas);
    assert.equal(new Set(pods.map(({ address }) => address)).size, replicas);
    await untilOnly(await everyPod());
  }
});

clusterTest(
  "a StatefulSet's pod keeps its address, and gets the one that its template names",
  async () => {
    const { namespace } = second;
    const others = await untilReady(namespace, 2);
    const apply = (annotations: Readonly<Record<string, string>>) =>
      api(["apply", "-f", "-"], statefulSet("db", namespace, annotations));
    const untilBack = (what: string, differs: (pod: PodState) => boolean) =>
      until(what, patience, async () => {
        const pods = await podsOf(cluster.lab, namespace);
        return pods.find((pod) => pod.name === "db-0" && pod.ready && !pod.ending && differs(pod));
      });

    await apply({ "cni.pyroute2.org/keep-address": "true" });
    const first = await untilBack("the StatefulSet's pod", () => true);
    await api(["-n", namespace, "delete", "pod", "db-0"]);
    const again = await untilBack("its successor", ({ uid }) => uid !== first.uid);
    assert.equal(again.address, first.address);
    assert.equal(await get(again, again.address, webPort), "db-0");

    // The last address of the same block that a pod can have.
    const named = first.address.replace(/\d+$/, (octet) => String(Number(octet) | 62));
    await apply({ "cni.pyroute2.org/ips": named });
    const placed = await untilBack("the pod at its new address", ({ uid }) => uid !== again.uid);
    assert.equal(placed.address, named);

    await apply({ "cni.pyroute2.org/ips": "192.0.2.1" });
    const events = ["-n", namespace, "get", "events", "-o", "json"];
    await until("the event of a wish that cannot be met", patience, async () => {
      const said = await api([...events, "--field-selector=reason=FailedCreatePodSandBox"]);
      return /Expected an address in the prefix .*192\.0\.2\.1/.test(said) ? true : undefined;
    });
    await api(["-n", namespace, "delete", "statefulset", "db"]);
    // Neither what was kept nor what was named is left: the wish for it was taken back.
    await until("the StatefulSet's pod to be gone", patience, async () => {
      return (await podsOf(cluster.lab, namespace)).length === others.length ? true : undefined;
    });
    await untilOnly(await everyPod());
  },
);

clusterTest("pods outlive the kubelet, and a new one looks after them", async () => {
  const before = await everyPod();
  await cluster.restartKubelet();
  const { namespace } = first;
  await api(["-n", namespace, "scale", "deployment/web", "--replicas=3"]);
  const pods = [...await untilReady(namespace, 3), ...await untilReady(second.namespace, 2)];
  await assertUntouched(before);
  await untilOnly(pods);
});

clusterTest("pods outlive a daemon that is killed, and new ones wait for the next", async () => {
  const { lab, node } = cluster;
  const { namespace } = first;
  const before = await everyPod();
  await killDaemon(node);
  await api(["-n", namespace, "scale", "deployment/web", "--replicas=4"]);
  const events = ["-n", namespace, "get", "events", "-o", "json"];
  await until("the event of a pod without network", patience, async () => {
    const said = await api([...events, "--field-selector=reason=FailedCreatePodSandBox"]);
    return /Expected the daemon to listen on .*, found nobody/.test(said) ? true : undefined;
  });
  for (const pod of before) assert.equal(await get(pod, pod.address, webPort), pod.name);
  await startDaemonAgain(lab, node, dist, signal);
  const pods = [...await untilReady(namespace, 4), ...await untilReady(second.namespace, 2)];
  await assertUntouched(before);
  await untilOnly(pods);
});

clusterTest("with its namespace a tenant's pods go, and the other's stay", async () => {
  const before = await untilReady(second.namespace, 2);
  await api(["delete", "namespace", first.namespace, `--timeout=${patience}s`]);
  await untilOnly(before);
  await untilReady(second.namespace, 2);
  await assertUntouched(before);
  await api(["delete", "namespace", second.namespace, `--timeout=${patience}s`]);
  await untilOnly([]);
});
