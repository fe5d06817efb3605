/** The control plane of a cluster on a lab's `api` machine: etcd, kube-apiserver, kube-controller-manager, kube-scheduler. */
import { join } from "node:path";
import type { Lab } from "../../lab/lab.ts";
import { kubeconfig } from "../../lab/machines.ts";
import { labNodes, underlay } from "../../lab/topology.ts";
import { type ApiClient, kubeconfigOf, type RealServer, startRealServer } from "../real_server.ts";
import type { ClusterPrograms } from "./programs.ts";

const controllerManager: ApiClient = { user: "system:kube-controller-manager", groups: [] };
const scheduler: ApiClient = { user: "system:kube-scheduler", groups: [] };

/** Who the kubelet of a node is, for the node authorizer. */
export function kubeletClient(node: { readonly name: string }): ApiClient {
  return { user: `system:node:${node.name}`, groups: ["system:nodes"] };
}

/** Who kube-proxy is on every node. */
export const proxyClient: ApiClient = { user: "system:kube-proxy", groups: [] };

/** Directory of the control plane's files. */
export function controlPlaneDirectory(lab: { readonly directory: string }): string {
  return `${lab.directory}/kube`;
}

/** Starts the control plane; resolves when the API is ready. It ends with the machine. */
export async function startControlPlane(
  lab: Lab,
  programs: ClusterPrograms,
  signal: AbortSignal,
): Promise<RealServer> {
  const directory = controlPlaneDirectory(lab);
  await Deno.mkdir(directory, { mode: 0o700 });
  const kubelets = labNodes(lab.nodes.length).map(kubeletClient);
  const server = await startRealServer({
    binaries: programs,
    directory,
    host: underlay.api,
    machine: lab.api,
    cluster: [controllerManager, scheduler, proxyClient, ...kubelets],
    signal,
  });
  await Deno.copyFile(server.kubeconfigPath, kubeconfig(lab));
  const start = (name: string, command: readonly string[]) =>
    lab.api.start(command, { log: join(lab.directory, `${name}.log`) });
  start("kube-controller-manager", [
    programs.controllerManager,
    `--kubeconfig=${kubeconfigOf(directory, controllerManager)}`,
    ...alone,
    // Each controller has a role of its own.
    "--use-service-account-credentials",
    `--root-ca-file=${directory}/ca.crt`,
    `--service-account-private-key-file=${directory}/service-account.key`,
  ]);
  start("kube-scheduler", [
    programs.scheduler,
    `--kubeconfig=${kubeconfigOf(directory, scheduler)}`,
    ...alone,
  ]);
  return server;
}

// There is no other to elect, and nobody looks at their ports.
const alone = ["--leader-elect=false", "--secure-port=0"];
