/** kube-proxy on a node of the lab: the way to services, and so to the API for pods. */
import { stringify } from "yaml";
import type { Lab, RunningNode } from "../../lab/lab.ts";
import { kubeconfigOf } from "../real_server.ts";
import { controlPlaneDirectory, proxyClient } from "./control_plane.ts";

/** Starts it, in nftables mode; it ends with the node. */
export async function startProxy(lab: Lab, node: RunningNode, program: string): Promise<void> {
  const config = `${lab.directory}/${node.name}-kube-proxy.yaml`;
  await Deno.writeTextFile(config, stringify(proxyConfiguration(lab, node)));
  node.holder.start([program, `--config=${config}`], {
    log: `${lab.directory}/${node.name}-kube-proxy.log`,
  });
}

/** @see https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/ */
function proxyConfiguration(lab: Lab, node: RunningNode): unknown {
  return {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "nftables",
    clientConnection: { kubeconfig: kubeconfigOf(controlPlaneDirectory(lab), proxyClient) },
    hostnameOverride: node.name,
    // The connection tracking of the machine is not the node's to set.
    conntrack: {
      maxPerCore: 0,
      min: 0,
      tcpEstablishedTimeout: "0s",
      tcpCloseWaitTimeout: "0s",
    },
  };
}
