/** Plugins to run the suite against: this project's on a lab node, and any other on a machine of its own. */
import { z } from "zod";
import { CodedError } from "../../../lib/errors.ts";
import { type Holder, startHolder } from "../../lab/holder.ts";
import { type Lab, startLab } from "../../lab/lab.ts";
import { kubectl, startAgent, startDaemon } from "../../lab/machines.ts";
import { networkConfig } from "../../lab/pods.ts";
import { until } from "../../lab/process.ts";
import { defaultTenant } from "../../lab/topology.ts";
import { type Invocation, invoke, type Subject } from "./subject.ts";

/** A subject, and what goes with it. */
export interface RunningSubject extends AsyncDisposable {
  /** The plugin. */
  readonly subject: Subject;
}

/** Where Debian's package containernetworking-plugins keeps its plugins. */
export const debianPlugins = "/usr/lib/cni";

/** A configuration that cannot be used. */
export class ConformanceError extends CodedError {
  /** @param message What was expected, what was found, what to do */
  constructor(message: string) {
    super("ConformanceInvalid", message);
  }
}

/** This project's plugin, with daemon and FRR on a lab node. */
export async function startOwnSubject(options: {
  readonly dist: string;
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}): Promise<RunningSubject> {
  const { dist, signal, progress } = options;
  const lab = await startLab({
    name: `conformance-${Deno.pid}`,
    backend: "netns",
    nodes: 1,
    dist,
    keep: false,
    signal,
    progress,
  });
  const [node] = lab.nodes;
  if (node === undefined) throw new Error("The lab has no node");
  // The default domain comes only where there is no other.
  await until(
    "the default domain",
    120,
    async () =>
      (await kubectl(lab, ["get", "vrd", "-o", "name"])).includes(defaultTenant) || undefined,
  );
  await kubectl(lab, ["apply", "-f", "-"], JSON.stringify(second));
  await kubectl(lab, ["wait", "--for=condition=Ready", "vrd/second", "--timeout=120s"]);
  const config = { name: networkConfig.name, type: networkConfig.type };
  const subject: Subject = {
    name: "pyroute2-cni-plugin",
    machine: node.holder,
    plugin: `${dist}/pyroute2-cni-plugin`,
    config,
    // The container could not tell two interfaces in one domain apart: the second goes to another one.
    secondInterface: { domain: second.metadata.name },
    path: [dist, debianPlugins],
    args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default",
    outages: {
      "daemon-away": () =>
        outage(
          () => node.holder.run(["pkill", "-KILL", "-f", "pyroute2-cni.* daemon"]),
          async () => {
            await startDaemon(lab, node, dist, signal);
          },
        ),
      "not-ready": () =>
        outage(async () => {
          await node.holder.run(["pkill", "-KILL", "-f", "pyroute2-cni.* frr-agent"]);
          await awaitStatus(subject, (code) => code !== 0);
        }, async () => {
          startAgent(lab, node, dist);
          await awaitStatus(subject, (code) => code === 0);
        }),
      "addresses-exhausted": () =>
        outage(() => exhaust(lab, subject), () => replenish(lab, subject)),
    },
  };
  return { subject, [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() };
}

/** A domain that pods of the default namespace may choose. */
const second = {
  apiVersion: "cni.pyroute2.org/v1alpha1",
  kind: "VRFDomain",
  metadata: { name: "second" },
  spec: {
    vrf: 600,
    table: 2600,
    prefix: "10.160.0.0",
    prefixlen: 16,
    ipblocklen: 26,
    attachments: [{ type: "l3vni", vni: 50600 }],
    allowedNamespaces: ["default"],
  },
};

/** Leaves the node a single domain with a single address, and gives it away. */
async function exhaust(lab: Lab, subject: Subject): Promise<void> {
  const spec = { ...second.spec, vrf: 700, table: 2700, prefixlen: 30, ipblocklen: 30 };
  const attachments = [{ type: "l3vni", vni: 50700 }];
  const tiny = { ...second, metadata: { name: "tiny" }, spec: { ...spec, attachments } };
  const binding = {
    apiVersion: second.apiVersion,
    kind: "VRFDomainBinding",
    metadata: { name: "tiny" },
    spec: { namespaceRef: { name: "default" }, vrfDomainRef: { name: "tiny" } },
  };
  for (const object of [tiny, binding]) {
    await kubectl(lab, ["apply", "-f", "-"], JSON.stringify(object));
  }
  await kubectl(lab, ["wait", "--for=condition=Ready", "vrd/tiny", "--timeout=120s"]);
  await kubectl(lab, ["delete", "vrd", defaultTenant, second.metadata.name]);
  await subject.machine.run(["sh", "-ec", `touch ${lastNetns}; unshare --net=${lastNetns} true`]);
  await until("the last address", 120, async () => {
    const { code } = await invoke(subject, lastPod(subject, "ADD"));
    return code === 0 || undefined;
  });
  await awaitStatus(subject, (code) => code !== 0);
}

async function replenish(lab: Lab, subject: Subject): Promise<void> {
  await invoke(subject, lastPod(subject, "DEL"));
  await subject.machine.run(["sh", "-ec", `umount ${lastNetns}; rm ${lastNetns}`]);
  await kubectl(lab, ["delete", "vrb/tiny", "vrd/tiny"]);
  await awaitDefault(lab);
  await kubectl(lab, ["apply", "-f", "-"], JSON.stringify(second));
  await awaitStatus(subject, (code) => code === 0);
}

const lastNetns = "/run/conformance-last";

function lastPod(subject: Subject, command: string): Invocation {
  const stdin = { cniVersion: "1.1.0", ...subject.config };
  return { command, containerId: "cnit-last", netns: lastNetns, ifname: "eth0", stdin };
}

/** The default domain comes only where there is no other. */
async function awaitDefault(lab: Lab): Promise<void> {
  await until("the default domain", 120, async () => {
    const domains = await kubectl(lab, ["get", "vrd", "-o", "name"]);
    return domains.includes(defaultTenant) || undefined;
  });
  await kubectl(lab, ["wait", "--for=condition=Ready", `vrd/${defaultTenant}`, "--timeout=120s"]);
}

async function outage(
  begin: () => Promise<unknown>,
  end: () => Promise<void>,
): Promise<AsyncDisposable> {
  await begin();
  return { [Symbol.asyncDispose]: end };
}

async function awaitStatus(subject: Subject, holds: (code: number) => boolean): Promise<void> {
  const stdin = { cniVersion: "1.1.0", ...subject.config };
  await until("STATUS to change", 120, async () => {
    const { code } = await invoke(subject, { command: "STATUS", stdin });
    return holds(code) || undefined;
  });
}

const confSchema = z.looseObject({
  name: z.string(),
  type: z.string().optional(),
  plugins: z.array(z.looseObject({ type: z.string() })).optional(),
});

/** Reads a network configuration, or the first plugin's of a list. @throws {ConformanceError} */
export function readConf(text: string, what: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ConformanceError(`Expected JSON in "${what}", found something else`);
  }
  const parsed = confSchema.safeParse(value);
  if (!parsed.success) {
    const problem = z.prettifyError(parsed.error);
    throw new ConformanceError(`Expected a network configuration in "${what}": ${problem}`);
  }
  const { plugins, cniVersion: _, ...fields } = parsed.data;
  const [first] = plugins ?? [];
  return first === undefined ? fields : { name: fields.name, ...first };
}

/** Any plugin, on a machine with a link `uplink0` that leads nowhere and folders of its own for what plugins keep. */
export async function startForeignSubject(options: {
  readonly name: string;
  readonly plugin: string;
  readonly config: Readonly<Record<string, unknown>>;
}): Promise<RunningSubject> {
  const { name, plugin, config } = options;
  const machine = await startHolder(`conformance-${name}`, true);
  await machine.run(["sh", "-ec", foreignHost]);
  return {
    subject: {
      name,
      machine,
      plugin,
      config,
      secondInterface: {},
      path: [plugin.slice(0, plugin.lastIndexOf("/")), debianPlugins],
      outages: {},
    },
    [Symbol.asyncDispose]: () => end(machine),
  };
}

/** What the plugins write below /var/lib goes to memory: other tests see to it that nothing new is in this machine's own. */
const foreignHost = `
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/lib /run/lib-work
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/run/lib,workdir=/run/lib-work /var/lib
mkdir -p /var/lib/cni
ip link set lo up
ip link add uplink0 type veth peer name uplink1
ip link set uplink0 up
ip link set uplink1 up
`;

async function end({ pid }: Holder): Promise<void> {
  Deno.kill(pid, "SIGKILL");
  const gone = () => Deno.stat(`/proc/${pid}`).then(() => undefined, () => true);
  await until("the machine to end", 10, gone);
}

/** Debian's plugins, with the configurations that people use. */
export const peers: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  bridge: {
    name: "peer",
    type: "bridge",
    bridge: "cnit0",
    isGateway: true,
    ipMasq: false,
    ipam: hostLocal("10.77.0.0/16"),
  },
  ptp: { name: "peer", type: "ptp", ipam: hostLocal("10.78.0.0/16") },
  macvlan: { name: "peer", type: "macvlan", master: "uplink0", ipam: hostLocal("10.79.0.0/16") },
};

function hostLocal(subnet: string): Readonly<Record<string, unknown>> {
  return { type: "host-local", subnet, routes: [{ dst: "0.0.0.0/0" }] };
}
