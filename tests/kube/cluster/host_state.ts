/** That a cluster of a test leaves nothing on this machine. */
import assert from "node:assert/strict";
import { runtimeDirectory } from "../../containerd/node_directories.ts";
import {
  cgroupsOf,
  hostMounts,
  hostPaths,
  pidNamespace,
  processesIn,
  removeCgroups,
} from "../../containerd/traces.ts";
import { until } from "../../lab/process.ts";
import type { Cluster } from "./cluster.ts";
import { controlGroup, hostTunables } from "./kubelet.ts";

/** What a machine was like before a cluster was made on it. */
export interface HostState {
  /** Files where runtimes and kubelets write by themselves. */
  readonly paths: readonly string[];
  /** Sysctls of the whole machine that a kubelet sets. */
  readonly tunables: readonly string[];
}

/** Writes down what this machine is like. */
export async function readHostState(): Promise<HostState> {
  return { paths: await hostPaths(), tunables: await hostTunables() };
}

/** Control groups of the node's processes, containers' among them, that would be left: neither the lab's nor this machine's own. */
export async function strayControlGroups({ lab, node }: Cluster): Promise<string[]> {
  // Some process ends while it is read.
  const read = "cat /proc/[0-9]*/cgroup 2>/dev/null || true";
  const all = (await node.holder.run(["sh", "-c", read])).split("\n").filter(Boolean);
  const own = (await Deno.readTextFile(`/proc/${node.holder.pid}/cgroup`)).split("\n");
  return [...new Set(all)].filter((line) =>
    !own.includes(line) && !line.includes(`:${controlGroup(lab)}/`)
  );
}

/** Ends a cluster and asserts that the machine is as it was before, and that nothing of the cluster is left. */
export async function endCluster(cluster: Cluster, before: HostState): Promise<void> {
  const { lab, node } = cluster;
  const namespace = await pidNamespace(node.holder.pid);
  assert.ok(namespace);
  const strays = await strayControlGroups(cluster);
  await lab[Symbol.asyncDispose]();
  await until("the control groups", 60, () => removeCgroups(lab.name).then(() => true));
  assert.deepEqual(strays, []);
  assert.deepEqual(await processesIn(namespace), []);
  assert.deepEqual(await cgroupsOf(lab.name), []);
  const words = [lab.directory, runtimeDirectory, "/etc/cni", "/opt/cni", "/var/lib/kubelet"];
  assert.deepEqual(await hostMounts(words), []);
  assert.deepEqual(await readHostState(), before);
}
