/** One ADD and one DEL at a time, whole process and in the daemon, beside Debian's bridge and ptp with host-local. */
import { z } from "zod";
import { readDaemonLog } from "../lab/machines.ts";
import type { Bench } from "./bench_definition.ts";
import { type BenchSubject, callAtOnce } from "./calls.ts";
import { type Driver, startNetlinkDriver } from "./driver.ts";
import { cpuSeconds, daemonOf, type MachineProcess } from "./processes.ts";
import { ours, type Row, row } from "./report.ts";
import { sum } from "./statistics.ts";
import { type BenchLab, ownSubject, startBenchLab, startPeer } from "./subjects.ts";

/** One ADD and one DEL, alone. */
export const singleBench: Bench = {
  name: "single",
  about: "one ADD, one DEL at a time: what a runtime waits for, and the processors' time",
  rounds: 50,
  async run({ dist, against, signal, progress, rounds }) {
    await using bridge = await startPeer("bridge", 1);
    await using ptp = await startPeer("ptp", 1);
    await using lab = await startBenchLab("single", { dist, signal, progress });
    const own = await ownSubject(lab, dist, 2);
    const floor = { ...own, name: "no plugin", plugin: "/bin/true" };
    progress(`${rounds} rounds of one call each, in turns`);
    const daemon = await daemonOf(own.machine);
    const other = against === undefined ? [] : [{
      ...own,
      name: "other build",
      plugin: `${against}/pyroute2-cni-plugin`,
      containers: own.containers.slice(1),
    }];
    const subjects = [own, ...other, bridge.subject, ptp.subject];
    await using bare = startNetlinkDriver(lab.node.holder);
    const turns = { own, floor, subjects, daemon, rounds, signal, lab, bare };
    const { series, bareTimes } = await inTurns(turns);
    const rows = [
      ...["VERSION", "ADD", "DEL"].flatMap((command) =>
        series.filter((each) => each.command === command).flatMap(({ subject, wall, cpu }) => [
          row(`${command}, whole process`, subject, "ms", wall),
          row(`${command}, whole process, CPU`, subject, "ms", cpu),
        ])
      ),
      ...await insideRows(lab, rounds),
      ...["ADD", "DEL"].map((command) =>
        row(`${command}, in the daemon`, "netlink alone", "ms", bareTimes.get(command) ?? [])
      ),
      ...series.filter(({ daemonCpu }) => daemonCpu.length > 0).map(({ command, daemonCpu }) =>
        row(`${command}, daemon's CPU, mean`, ours, "ms", [sum(daemonCpu) / daemonCpu.length])
      ),
    ];
    return {
      rows: rows.toSorted((a, b) => order(a) - order(b)),
      notes: [
        '"netlink alone" is the very messages of one ADD and DEL, sent again by a program that does nothing else.',
        '"no plugin" is the measuring itself: /bin/true in place of the plugin.',
        "CPU is the plugin's and its children's; this project's daemon works besides, see its rows.",
      ],
    };
  },
};

interface Series {
  readonly command: string;
  readonly subject: string;
  readonly wall: number[];
  readonly cpu: number[];
  /** Milliseconds of the daemon's processor time during each call; empty for others. */
  readonly daemonCpu: number[];
}

interface Turns {
  readonly own: BenchSubject;
  readonly floor: BenchSubject;
  readonly subjects: readonly BenchSubject[];
  readonly daemon: MachineProcess;
  readonly rounds: number;
  readonly signal: AbortSignal;
  readonly lab: BenchLab;
  readonly bare: Driver;
}

const warmUp = 3;

async function inTurns(turns: Turns): Promise<{
  readonly series: readonly Series[];
  /** Milliseconds of the netlink messages alone, by command. */
  readonly bareTimes: ReadonlyMap<string, readonly number[]>;
}> {
  const { own, floor, subjects, daemon, rounds, signal, bare } = turns;
  const bareTimes = new Map<string, number[]>([["ADD", []], ["DEL", []]]);
  const found = new Map<string, Series>();
  const measure = async (subject: BenchSubject, command: string, kept: boolean) => {
    signal.throwIfAborted();
    const before = subject === own ? await cpuSeconds(daemon) : 0;
    const { wall, cpu } = await callAtOnce(subject, command, 1);
    if (!kept) return;
    const { name } = subject;
    const key = `${command} ${name}`;
    const series = found.get(key) ?? { command, subject: name, wall: [], cpu: [], daemonCpu: [] };
    found.set(key, series);
    series.wall.push(wall);
    series.cpu.push(cpu * 1000);
    if (subject === own && command !== "VERSION") {
      series.daemonCpu.push((await cpuSeconds(daemon) - before) * 1000);
    }
  };
  for (let round = -warmUp; round < rounds; round++) {
    const kept = round >= 0;
    // Whoever begins may find colder caches: everyone does so in turn.
    const first = (round + warmUp) % subjects.length;
    await measure(floor, "VERSION", kept);
    for (const command of ["VERSION", "ADD", "DEL"]) {
      for (const subject of [...subjects.slice(first), ...subjects.slice(0, first)]) {
        await measure(subject, command, kept);
      }
      const times = bareTimes.get(command);
      if (times === undefined) continue;
      const taken = await bare.step();
      if (kept) times.push(...taken);
    }
  }
  return { series: [...found.values()], bareTimes };
}

const logLine = z.object({ message: z.string(), verb: z.string(), milliseconds: z.number() });

/** What the daemon says of the last commands in its log. */
async function insideRows({ lab, node }: BenchLab, rounds: number): Promise<Row[]> {
  const lines = (await readDaemonLog(lab, node)).trim().split("\n");
  const done = lines.map((line) => logLine.safeParse(JSON.parse(line)).data)
    .filter((line) => line?.message === "Command done");
  return ["ADD", "DEL"].map((verb) => {
    const times = done.filter((line) => line?.verb === verb).map((line) => line?.milliseconds ?? 0);
    return row(`${verb}, in the daemon`, ours, "ms", times.slice(-rounds));
  });
}

/** Rows of one kind side by side. */
function order({ what }: Row): number {
  const parts = [
    ", whole process",
    ", whole process, CPU",
    ", in the daemon",
    ", daemon's CPU, mean",
  ];
  const kinds = ["VERSION", "ADD", "DEL"].flatMap((command) => parts.map((part) => command + part));
  return kinds.indexOf(what);
}
