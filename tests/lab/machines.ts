/** What runs on the lab's machines: the API server on one, FRR with its agent and the daemon on each node. */
import type { Lab, RunningNode } from "./lab.ts";
import { repository } from "./options.ts";
import { until } from "./process.ts";
import { underlay } from "./topology.ts";

/** Seconds for a part to come up; a guest without acceleration needs most of it. */
const patience = 120;

/** Starts the API server; resolves when it listens. */
export async function startApi(lab: Lab, dist: string, signal: AbortSignal): Promise<void> {
  await startAndAwait(lab, lab.api, "api", "API server listens", [
    `${dist}/pyroute2-cni`,
    "apiserver",
    ...["--data-dir", `${lab.directory}/api`, "--host", underlay.api, "--port", "6443"],
    ...["--kubeconfig", kubeconfig(lab)],
  ], signal);
}

/**
 * Starts a program on a machine; resolves when its log has the message. Reading the log starts no process, which an emulated
 * machine is grateful for.
 *
 * @throws {Error} When the program ends first, or does not come so far in time
 */
async function startAndAwait(
  lab: { readonly directory: string },
  machine: Lab["api"],
  name: string,
  message: string,
  command: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const log = `${lab.directory}/${name}.log`;
  const before = await Deno.readTextFile(log).then(({ length }) => length, () => 0);
  const process = machine.start(command, { log });
  const ended = new AbortController();
  process.status.then(({ code }) => ended.abort(new Error(`It ended with ${code}, see "${log}"`)));
  await until(
    `"${message}" in "${log}"`,
    patience,
    async () => (await Deno.readTextFile(log)).slice(before).includes(message) || undefined,
    AbortSignal.any([signal, ended.signal]),
  );
}

/** Path of the kubeconfig that the API server writes. */
export function kubeconfig(lab: { readonly directory: string }): string {
  return `${lab.directory}/kubeconfig`;
}

/** Runs kubectl against the lab's API. */
export function kubectl(lab: Lab, args: readonly string[], stdin?: string): Promise<string> {
  return lab.api.run(["kubectl", "--kubeconfig", kubeconfig(lab), ...args], {
    env: { HOME: lab.directory },
    ...stdin === undefined ? {} : { stdin },
  });
}

/** Starts FRR, its agent and the daemon on a node; resolves when the daemon is ready. */
export async function startNode(
  lab: Lab,
  node: RunningNode,
  dist: string,
  signal: AbortSignal,
): Promise<void> {
  await node.holder.run(["sh", "-ec", privateDirectories]);
  await node.holder.run(["sh", "-ec", "cat > /etc/frr/daemons"], {
    stdin: await frrDaemons(lab.backend),
  });
  startAgent(lab, node, dist);
  await startDaemon(lab, node, dist, signal);
}

/** Starts FRR and its agent on a node. */
export function startAgent(lab: Lab, node: RunningNode, dist: string): void {
  node.holder.start([
    `${dist}/pyroute2-cni`,
    ...["frr-agent", "--start-daemons"],
  ], { log: `${lab.directory}/${node.name}-frr-agent.log` });
}

/** Starts the daemon on a node; resolves when it says that it is ready. */
export async function startDaemon(
  lab: Lab,
  node: RunningNode,
  dist: string,
  signal: AbortSignal,
): Promise<void> {
  const config = `${lab.directory}/${node.name}.ini`;
  await Deno.writeTextFile(config, serverIni(lab, node));
  const command = [`${dist}/pyroute2-cni`, "daemon", "--config", config];
  await startAndAwait(lab, node.holder, `${node.name}-daemon`, "Node ready", command, signal);
}

/** Starts a responder on a machine; it ends with the machine. Resolves when it listens in all namespaces. */
export async function startResponder(
  lab: { readonly directory: string },
  machine: Lab["api"],
  answers: readonly { readonly path: string; readonly name: string }[],
  signal: AbortSignal,
): Promise<void> {
  const script = new URL("./responder.ts", import.meta.url).pathname;
  await startAndAwait(lab, machine, `${machine.name}-responder`, "listening", [
    Deno.execPath(),
    ...["run", "-A", "--no-check", "--quiet", script],
    ...answers.map(({ path, name }) => `${path}=${name}`),
  ], signal);
}

// Everything that FRR and the daemon keep on a node is the machine's own: /run with the VRFs' namespaces, FRR's folders.
const privateDirectories = `
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/pods /run/frr /run/lock
chown frr:frr /run/frr
mount -t tmpfs tmpfs /var/tmp
chmod 1777 /var/tmp
mount -t tmpfs tmpfs /etc/frr
cp ${repository}/frr/vtysh.conf /etc/frr/vtysh.conf
chown -R frr:frr /etc/frr
`;

/** The project's own choice of daemons, and where VRFs are namespaces zebra told so. */
async function frrDaemons(backend: "device" | "netns"): Promise<string> {
  const text = await Deno.readTextFile(`${repository}/frr/daemons`);
  return backend === "netns"
    ? text.replace('zebra_options="', 'zebra_options="--vrfwnetns ')
    : text;
}

/** The folder in which a node's runtime would look for CNI configurations: never this machine's own. */
export function cniConfigDir(
  lab: { readonly directory: string },
  node: { readonly name: string },
): string {
  return `${lab.directory}/${node.name}-net.d`;
}

function serverIni(lab: Lab, node: RunningNode): string {
  return `[node]
name = ${node.name}
vrf_backend = ${lab.backend}
register = true

[kubernetes]
kubeconfig = ${kubeconfig(lab)}

[default]
fw_interval_seconds = ${lab.emulated ? 30 : 5}
gc_interval_seconds = ${lab.emulated ? 30 : 5}
cni_config_dir = ${cniConfigDir(lab, node)}

[logging]
level = info
`;
}
