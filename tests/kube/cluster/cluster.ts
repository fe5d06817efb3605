/** A cluster of one node: a control plane on one machine of a lab, kubelet, containerd, daemon and FRR on another. */
import { type Lab, removeAbandonedLabs, type RunningNode, startLab } from "../../lab/lab.ts";
import { removeAbandonedCgroups } from "../../containerd/traces.ts";
import { importArchive } from "../../containerd/containerd.ts";
import { startControlPlane } from "./control_plane.ts";
import { makeDaemonSetImages } from "./images.ts";
import { startProxy } from "./kube_proxy.ts";
import { killKubelet, startKubelet, startRuntime } from "./kubelet.ts";
import type { ClusterPrograms } from "./programs.ts";

/** How a cluster is started. */
export interface ClusterOptions {
  /** Name of its lab. */
  readonly name: string;
  /** The executables. */
  readonly programs: ClusterPrograms;
  /** Folder with our own. */
  readonly dist: string;
  /** Whether daemon and FRR are left to the DaemonSet of our manifests, with kube-proxy for its way to the API. */
  readonly daemonSet?: boolean;
  /** Where the node keeps its VRFs. */
  readonly backend: "device" | "netns";
  /** Ends the making of it. */
  readonly signal: AbortSignal;
  /** Called with a line for each step. */
  readonly progress: (line: string) => void;
}

/** A cluster that is up. */
export interface Cluster {
  /** Its lab; disposing of it ends everything. */
  readonly lab: Lab;
  /** The node. */
  readonly node: RunningNode;
  /** Kills the kubelet and starts another one. */
  restartKubelet(): Promise<void>;
}

/** Starts a cluster; resolves when API and daemon are ready. The node is not yet: no runtime finds a network configuration. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { programs, dist, signal, progress } = options;
  await removeAbandonedLabs();
  await removeAbandonedCgroups();
  const lab = await startLab({
    ...options,
    nodes: 1,
    keep: false,
    daemonsAsPods: options.daemonSet ?? false,
    async startApi(lab) {
      await startControlPlane(lab, programs, signal);
    },
    async startKubelet(lab, node) {
      progress(`containerd and kubelet on "${node.name}"`);
      await startRuntime(lab, node, options.daemonSet === true ? undefined : dist);
      await startKubelet(lab, node, programs.kubelet);
      if (options.daemonSet === true) {
        await startProxy(lab, node, programs.proxy);
        await importArchive(node.holder, await makeDaemonSetImages(dist, lab.directory));
      }
    },
  });
  const [node] = lab.nodes;
  if (node === undefined) throw new Error("The lab has no node");
  return {
    lab,
    node,
    async restartKubelet() {
      await killKubelet(node);
      await startKubelet(lab, node, programs.kubelet);
    },
  };
}
