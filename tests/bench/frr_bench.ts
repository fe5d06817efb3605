/** What FRR takes: from a new domain, a new prefix and a new peer to a ping between two nodes, and what its reloads cost. */
import { type Lab, type RunningNode, startLab } from "../lab/lab.ts";
import { kubectl, readDaemonLog } from "../lab/machines.ts";
import {
  addressOf,
  callPlugin,
  makePodNetns,
  networkConfig,
  parseResult,
  podNetns,
} from "../lab/pods.ts";
import { executeRaw, until } from "../lab/process.ts";
import type { LabPod } from "../lab/topology.ts";
import { addDomains, bindDomain, createDomain, domainName } from "./bench_domains.ts";
import type { Bench } from "./bench_definition.ts";
import { cpuSeconds, memoryOf, processesOf } from "./processes.ts";
import { ours, type Row, row } from "./report.ts";
import type { Surroundings } from "./subjects.ts";

/** Nodes and VRFs, unless told otherwise; each pair is a lab of its own. */
const sizes: readonly Size[] = [
  { nodes: 2, domains: 10 },
  { nodes: 2, domains: 100 },
  { nodes: 4, domains: 10 },
  { nodes: 8, domains: 10 },
];

interface Size {
  readonly nodes: number;
  readonly domains: number;
}

interface Site {
  readonly lab: Lab;
  readonly dist: string;
  readonly signal: AbortSignal;
  readonly first: RunningNode;
  readonly last: RunningNode;
}

/** Milliseconds by what was done. */
type Samples = Map<string, number[]>;

/** FRR by the number of nodes and VRFs. */
export const frrBench: Bench = {
  name: "frr",
  about: "from a new domain, prefix and peer to a ping between two nodes, in a full mesh",
  rounds: 3,
  async run({ rounds, ...surroundings }) {
    const { nodes, domains } = surroundings;
    const chosen = nodes === undefined && domains === undefined
      ? sizes
      : [{ nodes: nodes ?? 2, domains: domains ?? 10 }];
    const rows: Row[] = [];
    for (const size of chosen) rows.push(...await measureSize(size, rounds, surroundings));
    return {
      rows,
      notes: [
        "VRFs are network namespaces. A new domain is made and bound, a pod of it starts on each of two nodes, and one pings the other.",
        "A new prefix is the first block of a domain on a second node. A new peer is the second node that speaks with nobody before.",
        "A reload is a configuration that changed, as the first node's daemon logs it; FRR's CPU is of all its processes and the agent.",
      ],
    };
  },
};

async function measureSize(
  { nodes, domains }: Size,
  rounds: number,
  { dist, signal, progress }: Surroundings,
): Promise<Row[]> {
  const label = `${nodes} nodes, ${domains} VRFs`;
  progress(label);
  await using lab = await startLab({
    name: `bench-frr-${Deno.pid}`,
    backend: "netns",
    nodes,
    dist,
    keep: false,
    signal,
    progress,
  });
  const [first, last] = [lab.nodes[0], lab.nodes.at(-1)];
  if (first === undefined || last === undefined || first === last) {
    throw new Error(`Expected two nodes or more, found ${nodes}`);
  }
  const site: Site = { lab, dist, signal, first, last };
  await addDomains(lab, 0, domains);
  const samples: Samples = new Map();
  const before = await usedBy(first);
  const logged = (await readDaemonLog(lab, first)).length;
  for (let round = 0; round < rounds; round++) {
    progress(`${label}, round ${round + 1}`);
    await oneRound(site, round, domains, samples);
  }
  const after = await usedBy(first);
  const reloads = reloadsIn((await readDaemonLog(lab, first)).slice(logged));
  return [
    ...[...samples].map(([what, times]) => row(`${label}: ${what}`, ours, "ms", times)),
    ...reloads.length === 0 ? [] : [row(`${label}: one reload`, ours, "ms", reloads)],
    row(`${label}: reloads a round`, ours, "", [reloads.length / rounds]),
    row(`${label}: FRR's CPU a round`, ours, "ms", [(after.cpu - before.cpu) / rounds]),
    row(`${label}: bgpd's CPU a round`, ours, "ms", [(after.bgpdCpu - before.bgpdCpu) / rounds]),
    row(`${label}: bgpd, resident`, ours, "MiB", [after.bgpdResident]),
  ];
}

/** A new domain; the first prefix of one that has been there, on the second node; a peer. */
async function oneRound(site: Site, round: number, domains: number, samples: Samples) {
  const { first, last } = site;
  const note = (what: string, since: number) =>
    samples.set(what, [...samples.get(what) ?? [], performance.now() - since]);
  let start = performance.now();
  await createDomain(site.lab, domains + round);
  await bindDomain(site.lab, domains + round);
  const here = await startWhenTaken(site, podOf(first, domains + round));
  const there = await startWhenTaken(site, podOf(last, domains + round));
  await untilAnswers(site, here.pod, there.address);
  note("new domain", start);

  await bindDomain(site.lab, round);
  const old = await startWhenTaken(site, podOf(first, round));
  start = performance.now();
  const added = await startWhenTaken(site, podOf(last, round));
  await untilAnswers(site, old.pod, added.address);
  note("new prefix", start);

  await speakWithNobody(site);
  await until("the peer to be gone", 120, async () => {
    return await answers(site, here.pod, there.address) ? undefined : true;
  }, site.signal);
  start = performance.now();
  await kubectl(site.lab, ["delete", "vrfnodeconfig", last.name]);
  await untilAnswers(site, here.pod, there.address);
  note("new peer", start);
}

function podOf(node: RunningNode, domain: number): LabPod {
  const namespace = domainName(domain);
  return { name: `${namespace}-${node.name}`, node: node.name, namespace, tenant: namespace };
}

/** Starts a pod; while the node has not heard of its domain, or is not there yet, a runtime tries again. */
async function startWhenTaken(
  { first, last, dist, signal }: Site,
  pod: LabPod,
): Promise<{ readonly pod: LabPod; readonly address: string }> {
  const node = pod.node === first.name ? first : last;
  await makePodNetns(node, pod);
  return await until(`the pod "${pod.name}" to start`, 120, async () => {
    const { code, stdout } = await callPlugin(node, dist, "ADD", pod, networkConfig);
    if (code !== 0) return undefined;
    const address = addressOf(parseResult(stdout));
    // Until the binding has arrived, its pods go to the default domain.
    if (isOfDomain(address)) return { pod, address };
    await callPlugin(node, dist, "DEL", pod, networkConfig);
    return undefined;
  }, signal);
}

function isOfDomain(address: string): boolean {
  return Number(address.split(".")[1]) < 244;
}

async function answers({ first }: Site, from: LabPod, address: string): Promise<boolean> {
  const ping = ["busybox", "ping", "-c", "1", "-W", "1", address];
  const netns = `--net=${podNetns(from)}`;
  return (await executeRaw(first.holder.inside(["nsenter", netns, ...ping]))).code === 0;
}

async function untilAnswers(site: Site, from: LabPod, address: string): Promise<void> {
  await until(
    `"${from.name}" to reach ${address}`,
    120,
    async () => await answers(site, from, address) ? true : undefined,
    site.signal,
  );
}

/** The settings of the last node: no mesh, and no other peers. */
async function speakWithNobody({ lab, last }: Site): Promise<void> {
  const settings = {
    apiVersion: "cni.pyroute2.org/v1alpha1",
    kind: "VRFNodeConfig",
    metadata: { name: last.name },
    spec: {
      nodeRef: { name: last.name },
      fullMesh: false,
      interfaces: [{ name: lab.underlay.ifname, local: last.address }],
    },
  };
  await kubectl(lab, ["apply", "-f", "-"], JSON.stringify(settings));
}

interface Use {
  readonly cpu: number;
  readonly bgpdCpu: number;
  readonly bgpdResident: number;
}

/** Milliseconds of FRR, its agent included, and what bgpd holds. */
async function usedBy({ holder }: RunningNode): Promise<Use> {
  const processes = (await processesOf(holder)).filter(({ name }) => name !== "daemon");
  const times = await Promise.all(processes.map(cpuSeconds));
  const bgpd = processes.findIndex(({ name }) => name === "bgpd");
  const found = processes[bgpd];
  return {
    cpu: times.reduce((a, b) => a + b, 0) * 1000,
    bgpdCpu: (times[bgpd] ?? 0) * 1000,
    bgpdResident: found === undefined ? NaN : (await memoryOf(found)).resident,
  };
}

/** Milliseconds of each configuration that changed something, as the agent has measured it. */
function reloadsIn(log: string): number[] {
  return log.split("\n").filter((line) => line.includes('"FRR configuration applied"'))
    .flatMap((line) => {
      const seconds = /"seconds":([\d.]+)/.exec(line)?.[1];
      return seconds === undefined ? [] : [Number(seconds) * 1000];
    });
}
