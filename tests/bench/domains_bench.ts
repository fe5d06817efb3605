/** What a node's daemon takes with few and with many domains: to start again, and to carry one more. */
import { killDaemon, kubectl, readDaemonLog, startDaemon } from "../lab/machines.ts";
import { addDomains, domainName } from "./bench_domains.ts";
import type { Bench } from "./bench_definition.ts";
import { cpuSeconds, daemonOf, processesOf } from "./processes.ts";
import { ours, type Row, row } from "./report.ts";
import { type BenchLab, startBenchLab, type Surroundings } from "./subjects.ts";

const few = 1;
const many = 100;

/** Start and change, by the number of domains. */
export const domainsBench: Bench = {
  name: "domains",
  about:
    `with ${few} and ${many} domains, or as many as --domains says: the daemon's start to ready, and one domain more`,
  rounds: 3,
  async run({ rounds, domains = many, ...surroundings }) {
    await using lab = await startBenchLab("domains", surroundings);
    const { progress, signal } = surroundings;
    const rows: Row[] = [];
    let there = 0;
    for (const size of [few, domains]) {
      progress(`${size} domains`);
      const made = await measured(lab, () => addDomains(lab.lab, there, size));
      if (size > 1) rows.push(...costRows(`${size - there} domains more, to Ready`, [made]));
      const added: Cost[] = [];
      for (let round = 0; round < rounds; round++) {
        signal.throwIfAborted();
        added.push(await measured(lab, () => addDomains(lab.lab, size, size + 1)));
        await kubectl(lab.lab, ["delete", "vrfdomain", domainName(size), "--timeout=120s"]);
      }
      rows.push(...costRows(`one domain more beside ${size}, to Ready`, added));
      const starts: Start[] = [];
      for (let round = 0; round < rounds; round++) starts.push(await restart(lab, surroundings));
      const what = `daemon's start with ${size} domains`;
      rows.push(
        row(`${what}, to ready`, ours, "ms", starts.map(({ milliseconds }) => milliseconds)),
        row(`${what}, CPU`, ours, "ms", starts.map(({ cpu }) => cpu)),
      );
      there = size;
    }
    return {
      rows,
      notes: [
        "VRFs are network namespaces. Beside what is listed there is the default domain.",
        "Kernel changes are lines of `ip monitor link address route rule` in the host's namespace.",
      ],
    };
  },
};

/** What something took. */
interface Cost {
  readonly milliseconds: number;
  /** Milliseconds of the daemon's processor time. */
  readonly daemon: number;
  /** Milliseconds of processor time of FRR and its agent; programs that the agent started and that ended are not among them. */
  readonly frr: number;
  /** Changes that the kernel told in the host's namespace. */
  readonly changes: number;
}

async function measured({ node }: BenchLab, action: () => Promise<unknown>): Promise<Cost> {
  const file = "/run/bench-monitor";
  const monitor = node.holder.start(["ip", "monitor", "link", "address", "route", "rule"], {
    log: `/proc/${node.holder.pid}/root${file}`,
  });
  const processes = await processesOf(node.holder);
  const spent = async () => {
    const times = await Promise.all(processes.map(cpuSeconds));
    const of = (daemon: boolean) =>
      times.reduce(
        (all, time, at) => (processes[at]?.name === "daemon") === daemon ? all + time * 1000 : all,
        0,
      );
    return { daemon: of(true), frr: of(false) };
  };
  const before = await spent();
  const start = performance.now();
  await action();
  const milliseconds = performance.now() - start;
  const after = await spent();
  monitor.kill("SIGTERM");
  const lines = (await node.holder.run(["cat", file])).split("\n");
  await node.holder.run(["rm", file]);
  return {
    milliseconds,
    daemon: after.daemon - before.daemon,
    frr: after.frr - before.frr,
    // What belongs to the line before begins with blanks.
    changes: lines.filter((line) => /^\S/.test(line)).length,
  };
}

interface Start {
  readonly milliseconds: number;
  readonly cpu: number;
}

/** Kills the daemon and starts it again; measures until it says that it is ready. */
async function restart({ lab, node }: BenchLab, surroundings: Surroundings): Promise<Start> {
  await killDaemon(node);
  const start = Date.now();
  await startDaemon(lab, node, surroundings.dist, surroundings.signal);
  const cpu = await cpuSeconds(await daemonOf(node.holder)) * 1000;
  const ready = (await readDaemonLog(lab, node)).split("\n").findLast((line) =>
    line.includes('"Node ready"')
  );
  const time = Date.parse(/"time":"([^"]+)"/.exec(ready ?? "")?.[1] ?? "");
  return { milliseconds: time - start, cpu };
}

function costRows(what: string, costs: readonly Cost[]): Row[] {
  const samples = (field: keyof Cost) => costs.map((cost) => cost[field]);
  return [
    row(what, ours, "ms", samples("milliseconds")),
    row(`${what}, daemon's CPU`, ours, "ms", samples("daemon")),
    row(`${what}, FRR's and its agent's CPU`, ours, "ms", samples("frr")),
    row(`${what}, kernel changes`, ours, "", samples("changes")),
  ];
}
