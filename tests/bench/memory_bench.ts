/** What the programs hold and take: at the start, when nothing happens, and after ten thousand operations. */
import type { Bench } from "./bench_definition.ts";
import { type BenchSubject, peakOf } from "./calls.ts";
import { startDriver } from "./driver.ts";
import { cpuSeconds, type MachineProcess, memoryOf, processesOf } from "./processes.ts";
import { ours, type Row, row } from "./report.ts";
import { type BenchLab, ownSubject, startBenchLab } from "./subjects.ts";

const operations = 10_000;
const pods = 100;
const idleSeconds = 60;

/** Memory and idle time of the processors. */
export const memoryBench: Bench = {
  name: "memory",
  about:
    `memory at the start and after ${operations} operations, processors' time in an idle minute`,
  rounds: 1,
  async run({ dist, signal, progress }) {
    await using lab = await startBenchLab("memory", { dist, signal, progress }, true);
    const processes = await processesOfLab(lab);
    const rows: Row[] = await memoryRows("at the start", processes);
    progress(`${idleSeconds} idle seconds`);
    const before = await Promise.all(processes.map(cpuSeconds));
    await pause(idleSeconds * 1000, signal);
    for (const [index, process] of processes.entries()) {
      const took = await cpuSeconds(process) - (before[index] ?? 0);
      rows.push(row(`${process.name}, idle`, ours, "% CPU", [took / idleSeconds * 100]));
    }
    progress("The plugin, one call at a time");
    rows.push(...await pluginRows(await ownSubject(lab, dist, 1)));
    const passes = operations / pods / 2;
    progress(`${operations} operations`);
    await using driver = startDriver(lab.node.holder, { attachments: pods, atOnce: 10, passes });
    const add: number[] = [];
    const del: number[] = [];
    for (let pass = 0; pass < passes; pass++) {
      signal.throwIfAborted();
      add.push(...await driver.step());
      del.push(...await driver.step());
    }
    rows.push(...await memoryRows(`after ${operations} operations`, processes));
    rows.push(row("ADD, 10 at once, no plugin", ours, "ms", add));
    rows.push(row("DEL, 10 at once, no plugin", ours, "ms", del));
    return {
      rows,
      notes: [
        "The plugin's peak is the kernel's own figure, by time(1), of ten calls each.",
        "Idle is with the default interval of thirty seconds, at which a daemon looks after its node unasked.",
        "Anonymous memory is a process's own; the rest of the resident are pages of files, shared by all that run the runtime.",
      ],
    };
  },
};

const pluginCalls = 10;

/** What the plugin holds at most, by command. */
async function pluginRows(subject: BenchSubject): Promise<Row[]> {
  const peaks = new Map<string, number[]>([["VERSION", []], ["ADD", []], ["DEL", []]]);
  for (let call = 0; call < pluginCalls; call++) {
    for (const [command, samples] of peaks) samples.push(await peakOf(subject, command));
  }
  return [...peaks].map(([command, samples]) =>
    row(`plugin, peak in ${command}`, ours, "MiB", samples)
  );
}

async function processesOfLab({ lab, node }: BenchLab): Promise<readonly MachineProcess[]> {
  const found = [...await processesOf(lab.api), ...await processesOf(node.holder)];
  return found.toSorted((a, b) => a.name.localeCompare(b.name));
}

async function memoryRows(when: string, processes: readonly MachineProcess[]): Promise<Row[]> {
  const rows: Row[] = [];
  for (const process of processes) {
    const { resident, anonymous } = await memoryOf(process);
    rows.push(row(`${process.name}, resident ${when}`, ours, "MiB", [resident]));
    rows.push(row(`${process.name}, anonymous ${when}`, ours, "MiB", [anonymous]));
  }
  return rows;
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
