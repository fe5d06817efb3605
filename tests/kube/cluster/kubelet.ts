/** A kubelet with a containerd on a node of the lab. */
import { stringify } from "yaml";
import { cgroupPrefix } from "../../containerd/traces.ts";
import { containerdSocket, importImage, startContainerd } from "../../containerd/containerd.ts";
import { runtimeDirectory } from "../../containerd/node_directories.ts";
import type { Lab, RunningNode } from "../../lab/lab.ts";
import { executeRaw, until } from "../../lab/process.ts";
import { kubeconfigOf } from "../real_server.ts";
import { controlPlaneDirectory, kubeletClient } from "./control_plane.ts";

/** Sysctls of the whole machine that the kubelet sets (pkg/util/sysctl), and what it wants there. */
const kernelTunables: Readonly<Record<string, string>> = {
  "vm/overcommit_memory": "1",
  "vm/panic_on_oom": "0",
  "kernel/panic": "10",
  "kernel/panic_on_oops": "1",
  "kernel/keys/root_maxkeys": "1000000",
  "kernel/keys/root_maxbytes": "25000000",
};

// The kubelet finds what it wants in files of the node's own, and writes its logs, whose path is built in, into its memory.
const ownDirectories = `
mount -t tmpfs tmpfs /var/log
mkdir -p ${runtimeDirectory}/sysctl
${
  Object.entries(kernelTunables).map(([name, value], index) =>
    `echo ${value} > ${runtimeDirectory}/sysctl/${index}
mount --bind ${runtimeDirectory}/sysctl/${index} /proc/sys/${name}`
  ).join("\n")
}
`;

// The kubelet wants its root to be there, in each hierarchy of version 1; a new set of processors is empty.
const controlGroups = `
for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
  [ -e $root/cgroup.procs ] || continue
  mkdir -p "$root$1"
  for file in cpuset.cpus cpuset.mems; do
    if [ -e $root/cgroup.clone_children ] && [ -e $root/$file ]; then cat $root/$file > "$root$1/$file"; fi
  done
done
`;

/** The control group of all of a lab's pods, below each hierarchy's root. */
export function controlGroup(lab: { readonly name: string }): string {
  return `/${cgroupPrefix}${lab.name}`;
}

/** Values of those sysctls on this machine, which a kubelet of the lab leaves alone. */
export async function hostTunables(): Promise<readonly string[]> {
  const names = Object.keys(kernelTunables);
  return await Promise.all(names.map((name) => Deno.readTextFile(`/proc/sys/${name}`)));
}

/**
 * Starts containerd on a node and makes the image known to it; it ends with the node.
 *
 * @param dist Folder with the built plugin; absent where something else shall install it
 */
export async function startRuntime(
  lab: Lab,
  node: RunningNode,
  dist: string | undefined,
): Promise<void> {
  // As on a machine of its own: what containers mount where they may is seen by the node and by other containers.
  await node.holder.run(["mount", "--make-rshared", "/"]);
  await startContainerd({
    holder: node.holder,
    directory: lab.directory,
    ...dist === undefined ? {} : { dist },
    namespace: cgroupPrefix + lab.name,
  });
  await importImage(node.holder);
  await node.holder.run(["sh", "-ec", ownDirectories]);
  await node.holder.run(["sh", "-ec", controlGroups, "sh", controlGroup(lab)]);
}

/** Starts the kubelet of a node, which registers the node. It ends with the node. */
export async function startKubelet(
  lab: Lab,
  node: RunningNode,
  program: string,
): Promise<void> {
  const config = `${lab.directory}/${node.name}-kubelet.yaml`;
  await Deno.writeTextFile(config, stringify(kubeletConfiguration(lab)));
  node.holder.start([
    program,
    `--config=${config}`,
    `--kubeconfig=${kubeconfigOf(controlPlaneDirectory(lab), kubeletClient(node))}`,
    `--hostname-override=${node.name}`,
    `--node-ip=${node.address}`,
  ], { log: `${lab.directory}/${node.name}-kubelet.log` });
}

/** Kills the kubelet of a node; resolves when it is gone. */
export async function killKubelet(node: RunningNode): Promise<void> {
  await node.holder.run(["pkill", "-KILL", "-x", "kubelet"]);
  await until("the kubelet's end", 60, async () => {
    const { code } = await executeRaw(node.holder.inside(["pgrep", "-x", "kubelet"]));
    return code === 0 ? undefined : true;
  });
}

/** @see https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/ */
function kubeletConfiguration(lab: Lab): unknown {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    // Only the lab's machines can reach it.
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    // The machine is shared: all control groups are below one that is removed at the end, and nothing is limited.
    cgroupDriver: "cgroupfs",
    cgroupRoot: controlGroup(lab),
    enforceNodeAllocatable: [],
    // And its memory and disks are others' business.
    failSwapOn: false,
    evictionHard: { "memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%" },
    imageGCHighThresholdPercent: 100,
    localStorageCapacityIsolation: false,
    makeIPTablesUtilChains: false,
    podLogsDir: `${runtimeDirectory}/pod-logs`,
    volumePluginDir: "/var/lib/kubelet/volume-plugins",
    resolvConf: "",
  };
}
