/** What runs on the lab's machines: the API server on one, FRR with its agent and the daemon on each node. */
import { confined } from "../confinement/container_rights.ts";
import type { Holder } from "./holder.ts";
import type { Lab, RunningNode } from "./lab.ts";
import { repository } from "./options.ts";
import { executeRaw, type SpawnedProcess, until } from "./process.ts";

/** Seconds for a part to come up; a guest without acceleration needs most of it. */
const patience = 400;

/** Starts the API server; resolves when it listens. */
export async function startApi(lab: Lab, dist: string, signal: AbortSignal): Promise<void> {
  await startAndAwait(lab, lab.api, "api", "API server listens", [
    `${dist}/pyroute2-cni`,
    "apiserver",
    ...["--data-dir", `${lab.directory}/api`, "--host", lab.underlay.api, "--port", "6443"],
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
  process.status.then(async ({ code }) =>
    ended.abort(new Error(`"${name}" ended with ${code}: ${await lastLine(log)}`))
  );
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

/** Gives a node the directories that FRR and the daemon write to. */
export async function prepareNode(lab: Lab, node: RunningNode): Promise<void> {
  await node.holder.run(["sh", "-ec", privateDirectories]);
  await node.holder.run(["sh", "-ec", "cat > /etc/frr/daemons"], {
    stdin: await frrDaemons(lab.backend),
  });
}

/**
 * Starts FRR, its agent and the daemon on a node; resolves when the daemon is ready.
 *
 * @throws {Error} When one of them ends first, or is not ready in time
 */
export async function startNode(
  lab: Lab,
  node: RunningNode,
  dist: string,
  signal: AbortSignal,
): Promise<void> {
  const agent = startAgent(lab, node, dist);
  // Without its agent the node is never ready, and nothing starts it again here.
  const ended = new AbortController();
  agent.status.then(async ({ code }) => {
    const said = await lastLine(`${lab.directory}/${agentLog(node)}.log`);
    ended.abort(new Error(`The FRR agent of "${node.name}" ended with ${code}: ${said}`));
  });
  await startDaemon(lab, node, dist, AbortSignal.any([signal, ended.signal]));
}

/** Starts FRR and its agent on a node. */
export function startAgent(lab: Lab, node: RunningNode, dist: string): SpawnedProcess {
  return node.holder.start([
    ...lab.confined ? confined("pyroute2-frr") : [],
    `${dist}/pyroute2-cni`,
    ...["frr-agent", "--start-daemons"],
  ], { log: `${lab.directory}/${agentLog(node)}.log` });
}

/** How a daemon is started, where not as usual. */
export interface DaemonStart {
  /** Path of its kubeconfig; the lab's when absent. */
  readonly kubeconfig?: string;
  /** Message of its log to wait for; that it is ready when absent. */
  readonly awaits?: string;
}

/** Starts the daemon on a node; resolves when it says that it is ready. */
export async function startDaemon(
  lab: Lab,
  node: RunningNode,
  dist: string,
  signal: AbortSignal,
  start: DaemonStart = {},
): Promise<void> {
  const config = `${lab.directory}/${node.name}.ini`;
  await Deno.writeTextFile(config, serverIni(lab, node, start.kubeconfig ?? kubeconfig(lab)));
  const command = [
    ...lab.confined ? confined("pyroute2-cni") : [],
    ...[`${dist}/pyroute2-cni`, "daemon", "--config", config],
  ];
  const awaits = start.awaits ?? "Node ready";
  await startAndAwait(lab, node.holder, daemonLog(node), awaits, command, signal);
}

/** Kills the daemon of a node; resolves when it is gone. */
export function killDaemon(node: RunningNode): Promise<void> {
  return killBy(node.holder, "[ ]daemon --config");
}

/** Kills the embedded API server of a lab; resolves when it is gone. */
export function killApi(lab: Lab): Promise<void> {
  return killBy(lab.api, "[ ]apiserver --data-dir");
}

/** Kills a node's FRR with its agent. */
export async function killFrr(node: RunningNode): Promise<void> {
  await killBy(node.holder, "[ ]frr-agent --start");
  for (const name of ["watchfrr", "zebra", "bgpd", "staticd"]) {
    await node.holder.run(["sh", "-c", `pkill -KILL ${name} || true`]);
  }
}

/** @param words Of the program's command line, and in another form than there, since the command that looks for them has them, too */
async function killBy(machine: Holder, words: string): Promise<void> {
  await machine.run(["pkill", "-KILL", "-f", words]);
  await until(`"${words}" to be gone on "${machine.name}"`, patience, async () => {
    const left = await executeRaw(machine.inside(["pgrep", "-f", words]));
    return left.code === 0 ? undefined : true;
  });
}

/** What a node's daemon has logged so far. */
export function readDaemonLog(lab: Lab, node: RunningNode): Promise<string> {
  return Deno.readTextFile(`${lab.directory}/${daemonLog(node)}.log`);
}

function daemonLog({ name }: RunningNode): string {
  return `${name}-daemon`;
}

function agentLog({ name }: RunningNode): string {
  return `${name}-frr-agent`;
}

/** What a program said at its end: the lab's directory goes when the lab does not start. */
async function lastLine(log: string): Promise<string> {
  const text = await Deno.readTextFile(log).catch(() => "");
  return text.trim().split("\n").at(-1) ?? "";
}

/** Asks the probes of a node's daemon, such as for `/readyz`. */
export async function askProbe(
  node: RunningNode,
  path: string,
): Promise<{ readonly status: number; readonly body: string }> {
  const ask = ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}"];
  const said = await node.holder.run([...ask, `http://127.0.0.1:24800${path}`]);
  const end = said.lastIndexOf("\n");
  return { status: Number(said.slice(end + 1)), body: said.slice(0, end) };
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

/**
 * The folder in which a node's runtime looks for CNI configurations: never this machine's own. Where there is a kubelet the
 * node has the usual one for itself.
 */
export function cniConfigDir(
  lab: Pick<Lab, "directory" | "kubelets">,
  node: { readonly name: string },
): string {
  return lab.kubelets ? "/etc/cni/net.d" : `${lab.directory}/${node.name}-net.d`;
}

function serverIni(lab: Lab, node: RunningNode, kubeconfigPath: string): string {
  return `[node]
name = ${node.name}
vrf_backend = ${lab.backend}
register = ${!lab.kubelets}
${lab.nodeSettings[node.name] ?? ""}

[kubernetes]
kubeconfig = ${kubeconfigPath}

[default]
fw_interval_seconds = ${lab.jobSeconds}
gc_interval_seconds = ${lab.jobSeconds}
cni_config_dir = ${cniConfigDir(lab, node)}

[logging]
level = info
`;
}
