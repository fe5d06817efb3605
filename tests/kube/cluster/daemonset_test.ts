/**
 * Our manifests on a cluster of one node: the kubelet runs daemon and FRR as the DaemonSet, from images of this machine's Debian
 * packages, and these give the other pods their network. The tests are one story: each goes on from where the one before it ended.
 */
import assert from "node:assert/strict";
import { configurationDirectory, pluginDirectory } from "../../containerd/node_directories.ts";
import { repository } from "../../lab/options.ts";
import { until } from "../../lab/process.ts";
import { tenants } from "../../lab/topology.ts";
import { apiServiceAddress } from "../real_server_commands.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { endCluster, type HostState, readHostState } from "./host_state.ts";
import { createObserver, patience } from "./observer.ts";
import { findClusterPrograms } from "./programs.ts";
import { deployment, podsOf, type PodState, service, unreadyMessage, webPort } from "./workload.ts";

const { signal } = new AbortController();

const probe = await findClusterPrograms({
  assets: Deno.env.get("KUBEBUILDER_ASSETS"),
  report: (line) => console.error(line),
});
if (!probe.available) console.error(`Skipped, no cluster: ${probe.reason}`);

const [first, second] = tenants;
assert.ok(first && second);
const namespace = "pyroute2-cni";
const daemonSet = `daemonset/${namespace}`;

let cluster: Cluster;
let hostBefore: HostState;

const { api, untilReady, everyPod, rowOf, untilOnly, assertUntouched, get } = createObserver(
  () => cluster,
  ["default", ...tenants.map((tenant) => tenant.namespace)],
);

Deno.test.beforeAll(async () => {
  if (!probe.available) return;
  hostBefore = await readHostState();
  cluster = await startCluster({
    name: `daemonset-${Deno.pid}`,
    programs: probe.programs,
    dist: `${repository}/dist`,
    backend: "netns",
    daemonSet: true,
    signal,
    progress: (line) => console.error(`   ${line}`),
  });
});

Deno.test.afterAll(async () => {
  if (!probe.available) return;
  await endCluster(cluster, hostBefore);
});

/** A test on the cluster. What it starts there outlives it, so resources are not counted. */
function clusterTest(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: `DaemonSet: ${name}`,
    ignore: !probe.available,
    fn,
    sanitizeOps: false,
    sanitizeResources: false,
  });
}

/** Waits until the DaemonSet has one pod, both of whose containers are ready, and gives it. */
async function untilRunning(): Promise<PodState> {
  await api(["-n", namespace, "rollout", "status", daemonSet, `--timeout=${patience}s`]);
  const [pod] = await untilReady(namespace, 1);
  assert.ok(pod);
  return pod;
}

/** What the node says of itself, once it says it. */
async function untilState(pattern: RegExp): Promise<void> {
  await until(`the node's state to be as "${pattern}"`, patience, async () => {
    const { node } = cluster;
    return pattern.test(await api(["get", "vrns", node.name, "--no-headers"])) ? true : undefined;
  });
}

clusterTest("the manifests alone make a node ready", async () => {
  const { lab, node } = cluster;
  const plugin = `${pluginDirectory}/pyroute2-cni-plugin`;
  await until("the kubelet to say what it waits for", patience, async () => {
    const message = await unreadyMessage(lab, node.name) ?? "";
    return message.includes("cni plugin not initialized") || undefined;
  });
  await assert.rejects(node.holder.run(["ls", plugin]), /No such file/);
  await api(["apply", "-k", `${repository}/tests/kube/cluster/manifests`]);
  await api(["apply", "-k", `${repository}/manifests/cni`]);
  await api(["wait", "--for=condition=Ready", `node/${node.name}`, `--timeout=${patience}s`]);
  const pod = await untilRunning();
  assert.equal(pod.restarts, 0);
  assert.equal(pod.address, node.address);
  await node.holder.run(["test", "-x", plugin]);
  assert.equal(await node.holder.run(["ls", configurationDirectory]), "05-pyroute2.conflist\n");
  await untilState(/^node1\s+true\s+1\s/);
});

clusterTest(
  "FRR's container is under the profile that came with the manifests, and writes to its mounts alone",
  async () => {
    const { name } = await untilRunning();
    const inFrr = (...command: readonly string[]) =>
      api(["-n", namespace, "exec", name, "-c", "pyroute2-frr", "--", ...command]);
    // The runtime's own profile lets a container with CAP_SYS_ADMIN do both.
    await assert.rejects(
      inFrr("unshare", "--uts", "true"),
      /unshare failed: Operation not permitted/,
    );
    await assert.rejects(inFrr("mount", "-t", "tmpfs", "none", "/tmp"), /permission denied/i);
    await assert.rejects(inFrr("touch", "/usr/lib/frr/new"), /Read-only file system/);
    // The agent has written there, as the user frr's.
    assert.match(await inFrr("stat", "--format=%U %a", "/etc/frr/frr.conf"), /^frr 640$/m);
  },
);

clusterTest("pods of two tenants with the same prefix become ready, each on its own", async () => {
  const manifests = `${repository}/tests/lab/manifests`;
  await api(["apply", "-f", `${manifests}/10-namespaces.yaml`]);
  await api(["apply", "-f", `${manifests}/20-tenants.yaml`]);
  await untilState(/^node1\s+true\s+3\s/);
  const placed: PodState[] = [];
  for (const tenant of tenants) {
    await api(["apply", "-f", "-"], deployment(tenant.namespace, 2));
    const pods = await untilReady(tenant.namespace, 2);
    for (const pod of pods) assert.equal(rowOf(pod).domain, tenant.name);
    placed.push(...pods);
  }
  await untilOnly(placed);
  const [a, other, b] = placed;
  assert.ok(a && other && b);
  assert.equal(await get(a, other.address, webPort), other.name);
  assert.equal(await get(a, b.address, webPort), "");
});

/** Exposes the Deployment of a namespace by a Service and gives its address. */
async function exposed(space: string): Promise<string> {
  await api(["apply", "-f", "-"], service(space));
  return await api(["-n", space, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"]);
}

/** Asks a Service until each of its pods has answered. */
async function untilAllAnswer(
  from: PodState,
  address: string,
  pods: readonly PodState[],
): Promise<void> {
  const silent = new Set(pods.map(({ name }) => name));
  await until(`"${[...silent].join(" ")}" to answer by their Service`, patience, async () => {
    silent.delete(await get(from, address, 80));
    return silent.size === 0 ? true : undefined;
  });
}

clusterTest("Services lead to the API, to the default domain and to the own tenant", async () => {
  await api(["apply", "-f", "-"], deployment("default", 1));
  const everyones = await untilReady("default", 1);
  for (const pod of everyones) assert.equal(rowOf(pod).domain, "vrf-42");
  const address = await exposed("default");
  for (const tenant of tenants) {
    const pods = await untilReady(tenant.namespace, 2);
    const [pod] = pods;
    assert.ok(pod);
    await untilAllAnswer(pod, address, everyones);
    await untilAllAnswer(pod, await exposed(tenant.namespace), pods);
    assert.match(await get(pod, apiServiceAddress, 443), /HTTP request to an HTTPS server/);
  }
});

clusterTest("pods outlive those of the DaemonSet, and new ones start after", async () => {
  const before = await everyPod();
  const old = await untilRunning();
  await api(["-n", namespace, "delete", "pod", old.name]);
  const pod = await untilRunning();
  assert.notEqual(pod.uid, old.uid);
  await api(["-n", first.namespace, "scale", "deployment/web", "--replicas=3"]);
  await untilReady(first.namespace, 3);
  await assertUntouched(before);
  const pods = await everyPod();
  for (const pod of pods) assert.equal(await get(pod, pod.address, webPort), pod.name);
  await untilOnly(pods);
});

clusterTest("an FRR that is killed is started by the kubelet, and configured again", async () => {
  const before = await everyPod();
  const old = await untilRunning();
  const show = ["exec", old.name, "-c", "pyroute2-frr", "--", "vtysh", "-c", "show running-config"];
  const isConfigured = async () => /vni 50200/.test(await api(["-n", namespace, ...show]));
  assert.ok(await isConfigured());
  // With the agent, which is the container's first process, all others go.
  await cluster.node.holder.run(["pkill", "-KILL", "-f", "cni frr-agent"]);
  await until("the kubelet to start it anew", patience, async () => {
    const [pod] = await podsOf(cluster.lab, namespace);
    return pod !== undefined && pod.restarts > 0 && pod.ready ? true : undefined;
  });
  await until("its configuration", patience, async () => await isConfigured() ? true : undefined);
  await untilState(/^node1\s+true\s+3\s/);
  await assertUntouched(before);
});

clusterTest("with the namespaces the pods go, and nothing of them is left", async () => {
  for (const tenant of tenants) {
    await api(["delete", "namespace", tenant.namespace, `--timeout=${patience}s`]);
  }
  await api(["delete", "deployment/web", `--timeout=${patience}s`]);
  await untilOnly([]);
  assert.equal((await untilRunning()).address, cluster.node.address);
});
