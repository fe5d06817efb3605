/**
 * How long the plugin takes: a lab with one node, the same pod attached and detached many times by the built executable, as a
 * container runtime runs it. Prints a table, or with `--json` one object; nothing is judged.
 *
 *     deno run -A tests/bench/cni_latency.ts [--runs 30] [--json] [--dist DIR]
 */
import { parseArgs } from "node:util";
import { z } from "zod";
import { type Lab, removeAbandonedLabs, type RunningNode, startLab } from "../lab/lab.ts";
import { kubectl } from "../lab/machines.ts";
import { build, interruption, progressLine } from "../lab/options.ts";
import { callPlugin, networkConfig, podNetns } from "../lab/pods.ts";
import { executeRaw, until } from "../lab/process.ts";
import { defaultTenant, type LabPod } from "../lab/topology.ts";

/** Order statistics of one kind of run, in milliseconds. */
interface Timing {
  readonly what: string;
  readonly runs: number;
  readonly least: number;
  readonly median: number;
  readonly p95: number;
  readonly most: number;
}

/** Memory of one process, in MiB. */
interface Memory {
  readonly process: string;
  /** Resident now. */
  readonly resident: number;
  /** The most that was ever resident. */
  readonly peak: number;
}

/** What the bench found. */
interface Summary {
  readonly timings: readonly Timing[];
  readonly memory: readonly Memory[];
  /** Load average over one minute before and after. */
  readonly load: readonly [number, number];
}

const logLine = z.object({ message: z.string(), verb: z.string(), milliseconds: z.number() });

async function measure(lab: Lab, dist: string, runs: number): Promise<Omit<Summary, "load">> {
  const [node] = lab.nodes;
  if (node === undefined) throw new Error("Expected a lab with one node, found one without nodes");
  const pod: LabPod = {
    name: "bench",
    node: node.name,
    namespace: "default",
    tenant: defaultTenant,
  };
  const path = podNetns(pod);
  await node.holder.run(["sh", "-ec", `touch ${path}; unshare --net=${path} ip link set lo up`]);
  const call = (command: string) => async () => {
    const { code, stdout } = await callPlugin(node, dist, command, pod, networkConfig);
    if (code !== 0) throw new Error(`"${command}" failed: ${stdout}`);
  };
  // The first pod of a domain waits for its block: that is the reconciler's time, not the plugin's.
  await call("ADD")();
  await call("DEL")();
  const before = await Deno.readTextFile(daemonLog(lab, node)).then(({ length }) => length);
  const entering = await timed(runs, () => executeRaw(node.holder.inside(["env", "-i", "true"])));
  const version = await timed(runs, call("VERSION"));
  const add: number[] = [];
  const del: number[] = [];
  for (let run = 0; run < runs; run++) {
    add.push(...await timed(1, call("ADD")));
    del.push(...await timed(1, call("DEL")));
  }
  const inside = await daemonTimes(lab, node, before);
  return {
    timings: [
      timing("entering the node, no plugin", entering),
      timing("VERSION, whole process", version),
      timing("ADD, whole process", add),
      timing("DEL, whole process", del),
      timing("ADD, in the daemon", inside("ADD")),
      timing("DEL, in the daemon", inside("DEL")),
    ],
    memory: [...await memoryOf(lab.api.pid), ...await memoryOf(node.holder.pid)],
  };
}

async function timed(runs: number, action: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let run = 0; run < runs; run++) {
    const start = performance.now();
    await action();
    times.push(performance.now() - start);
  }
  return times;
}

function timing(what: string, times: readonly number[]): Timing {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) =>
    Math.round((sorted[Math.ceil(share * sorted.length) - 1] ?? NaN) * 10) / 10;
  return {
    what,
    runs: sorted.length,
    least: at(1 / sorted.length),
    median: at(0.5),
    p95: at(0.95),
    most: at(1),
  };
}

function daemonLog(lab: Lab, node: RunningNode): string {
  return `${lab.directory}/${node.name}-daemon.log`;
}

/** What the daemon says of each command, in whole milliseconds. */
async function daemonTimes(
  lab: Lab,
  node: RunningNode,
  from: number,
): Promise<(verb: string) => number[]> {
  const lines = (await Deno.readTextFile(daemonLog(lab, node))).slice(from).trim().split("\n");
  const done = lines.map((line) => logLine.safeParse(JSON.parse(line)).data)
    .filter((line) => line?.message === "Command done");
  return (verb) =>
    done.filter((line) => line?.verb === verb).map((line) => line?.milliseconds ?? 0);
}

/** Memory of the project's and FRR's processes in a machine's PID namespace. */
async function memoryOf(holder: number): Promise<Memory[]> {
  const proc = `/proc/${holder}/root/proc`;
  const found: Memory[] = [];
  for await (const { name } of Deno.readDir(proc)) {
    if (!/^\d+$/.test(name)) continue;
    const words = (await read(`${proc}/${name}/cmdline`)).split("\0");
    const at = words.findIndex((word) => word.endsWith("/pyroute2-cni"));
    const frr = /^\/usr\/lib\/frr\/(\w+)$/.exec(words[0] ?? "")?.[1];
    const process = at >= 0 ? `pyroute2-cni ${words[at + 1]}` : frr;
    if (process === undefined) continue;
    const status = await read(`${proc}/${name}/status`);
    const mebibytes = (field: string) =>
      Math.round(Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1]) / 102.4) / 10;
    found.push({ process, resident: mebibytes("VmRSS"), peak: mebibytes("VmHWM") });
  }
  return found;
}

/** A file of /proc; empty when its process has just ended. */
function read(path: string): Promise<string> {
  return Deno.readTextFile(path).catch(() => "");
}

function show({ timings, memory, load }: Summary): void {
  const cell = (value: string | number) => String(value).padStart(8);
  console.log(
    `${"milliseconds".padEnd(32)}${["least", "median", "p95", "most"].map(cell).join("")}`,
  );
  for (const { what, least, median, p95, most } of timings) {
    console.log(`${what.padEnd(32)}${[least, median, p95, most].map(cell).join("")}`);
  }
  console.log(`\n${"MiB".padEnd(32)}${["resident", "peak"].map(cell).join(" ")}`);
  for (const { process, resident, peak } of memory) {
    console.log(`${process.padEnd(32)}${[resident, peak].map(cell).join(" ")}`);
  }
  console.log(`\n${timings[1]?.runs ?? 0} runs each; load ${load.join(" before, ")} after`);
}

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: "string", default: "30" },
      json: { type: "boolean", default: false },
      dist: { type: "string" },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new TypeError(`Expected --runs 1 or more`);
  const progress = progressLine();
  using stop = interruption();
  await removeAbandonedLabs();
  const dist = values.dist ?? await build(stop.signal);
  await using lab = await startLab({
    name: `bench-${Deno.pid}`,
    backend: "netns",
    nodes: 1,
    dist,
    keep: false,
    signal: stop.signal,
    progress,
  });
  await until(
    "the default domain",
    60,
    () => kubectl(lab, ["get", "vrfdomain", defaultTenant]).then(() => true),
    stop.signal,
  );
  const ready = ["wait", "--for=condition=Ready", "--timeout=60s", `vrfdomain/${defaultTenant}`];
  await kubectl(lab, ready);
  progress(`${runs} runs of each command`);
  const [before = 0] = Deno.loadavg();
  const found = await measure(lab, dist, runs);
  const [after = 0] = Deno.loadavg();
  const round = (load: number) => Math.round(load * 100) / 100;
  const summary: Summary = { ...found, load: [round(before), round(after)] };
  if (values.json) console.log(JSON.stringify(summary));
  else show(summary);
}

if (import.meta.main) await main(Deno.args);
