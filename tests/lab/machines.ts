/** What runs on the lab's machines: the API server on one, FRR with its agent and the daemon on each node. */
import type { Lab, RunningNode } from "./lab.ts";
import { repository } from "./options.ts";
import { until } from "./process.ts";
import { answerPort, underlay } from "./topology.ts";

/** Seconds for a part to come up; a guest without acceleration needs most of it. */
const patience = 120;

/** Starts the API server; resolves when it answers. */
export async function startApi(lab: Lab, dist: string, signal: AbortSignal): Promise<void> {
  lab.api.start([
    `${dist}/pyroute2-cni`,
    "apiserver",
    ...["--data-dir", `${lab.directory}/api`, "--host", underlay.api, "--port", "6443"],
    ...["--kubeconfig", kubeconfig(lab)],
  ], { log: `${lab.directory}/api.log` });
  await until(
    "the API server",
    patience,
    async () => await kubectl(lab, ["get", "--raw", "/readyz"]).then(() => true),
    signal,
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
  const process = node.holder.start([`${dist}/pyroute2-cni`, "daemon", "--config", config], {
    log: `${lab.directory}/${node.name}-daemon.log`,
  });
  let ended: Deno.CommandStatus | undefined;
  process.status.then((status) => ended = status);
  await until(
    `the daemon of "${node.name}" to be ready (see ${lab.directory})`,
    patience,
    async () => {
      if (ended !== undefined) {
        throw new Error(
          `The daemon of "${node.name}" ended with ${ended.code}, see ${lab.directory}`,
        );
      }
      return await isReady(node) ? true : undefined;
    },
    signal,
  );
}

/** Whether the daemon itself says that its node takes pods: the API may still tell of the one before. */
async function isReady(node: RunningNode): Promise<boolean> {
  const ask =
    "exec 3<>/dev/tcp/127.0.0.1/24800 && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && " +
    "read -r line <&3 && [[ $line == *' 200 '* ]]";
  return await node.holder.run(["bash", "-c", ask]).then(() => true, () => false);
}

/** Starts a responder on a machine; it ends with the machine. */
export function startResponder(
  lab: { readonly directory: string },
  machine: Lab["api"],
  answers: readonly { readonly path: string; readonly name: string }[],
  log: string,
): void {
  const script = new URL("./responder.ts", import.meta.url).pathname;
  machine.start([
    Deno.execPath(),
    ...["run", "-A", "--no-check", "--quiet", script],
    ...answers.map(({ path, name }) => `${path}=${name}`),
  ], { log: `${lab.directory}/${machine.name}-${log}.log` });
}

/** Waits until a responder listens in a namespace of a machine. */
export async function awaitResponders(
  machine: Lab["api"],
  paths: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const port = answerPort.toString(16).toUpperCase().padStart(4, "0");
  const script = paths.map((path) =>
    `${
      path === "-" ? "" : `nsenter --net=${path} `
    }grep -q ':${port} 00000000:0000 0A' /proc/net/tcp`
  ).join(" && ");
  await until(
    `the responders on "${machine.name}"`,
    patience,
    async () => await machine.run(["sh", "-c", script]).then(() => true),
    signal,
  );
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

function serverIni(lab: Lab, node: RunningNode): string {
  return `[node]
name = ${node.name}
vrf_backend = ${lab.backend}
register = true

[kubernetes]
kubeconfig = ${kubeconfig(lab)}

[default]
fw_interval_seconds = 5
gc_interval_seconds = 5

[logging]
level = info
`;
}
