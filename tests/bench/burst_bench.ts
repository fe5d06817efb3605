/** Bursts of concurrent ADDs, then DELs, beside Debian's bridge and ptp with host-local. */
import type { Bench } from "./bench_definition.ts";
import { type BenchSubject, type Burst, callAtOnce } from "./calls.ts";
import { cpuSeconds, daemonOf } from "./processes.ts";
import { ours, type Row, row } from "./report.ts";
import { ownSubject, startBenchLab, startPeer } from "./subjects.ts";

const sizes = [1, 10, 100];

/** Bursts of 1, 10 and 100 pods. */
export const burstBench: Bench = {
  name: "burst",
  about: "bursts of concurrent ADDs, then DELs: each call, pods per second, the processors' time",
  rounds: 4,
  async run({ dist, signal, progress, rounds }) {
    const most = Math.max(...sizes);
    progress(`${most} containers each`);
    await using bridge = await startPeer("bridge", most);
    await using ptp = await startPeer("ptp", most);
    await using lab = await startBenchLab("burst", { dist, signal, progress });
    const own = await ownSubject(lab, dist, most);
    const daemon = await daemonOf(own.machine);
    const subjects: readonly BenchSubject[] = [own, bridge.subject, ptp.subject];
    const rows: Row[] = [];
    for (const size of sizes) {
      progress(`Bursts of ${size}`);
      // As many calls of the small ones as make a median.
      const count = rounds * Math.min(most / size, 5);
      const found = new Map<string, Burst[]>();
      for (let round = -1; round < count; round++) {
        for (const command of ["ADD", "DEL"]) {
          for (const subject of subjects) {
            signal.throwIfAborted();
            const before = subject === own ? await cpuSeconds(daemon) : 0;
            const burst = await callAtOnce(subject, command, size);
            const besides = subject === own ? await cpuSeconds(daemon) - before : 0;
            const key = `${command} × ${size}\n${subject.name}`;
            const series = found.get(key) ?? [];
            found.set(key, series);
            if (round >= 0) series.push({ ...burst, cpu: burst.cpu + besides });
          }
        }
      }
      rows.push(...rowsOf(size, found));
    }
    return {
      rows,
      notes: [
        `CPU is the plugin's, its children's, and of "${ours}" the daemon's meanwhile, by pod.`,
      ],
    };
  },
};

function rowsOf(size: number, found: ReadonlyMap<string, readonly Burst[]>): Row[] {
  const entries = [...found].map(([key, bursts]) => {
    const [what = "", subject = ""] = key.split("\n");
    return { what, subject, bursts };
  });
  const each = (kind: string, unit: string, samples: (bursts: readonly Burst[]) => number[]) =>
    entries.map(({ what, subject, bursts }) =>
      row(`${what}, ${kind}`, subject, unit, samples(bursts))
    );
  return [
    ...each("each call", "ms", (bursts) => bursts.flatMap(({ calls }) => calls)),
    ...each("pods", "1/s", (bursts) => bursts.map(({ wall }) => size / wall * 1000)),
    ...each("CPU per pod", "ms", (bursts) => bursts.map(({ cpu }) => cpu / size * 1000)),
  ].toSorted((a, b) => a.what.localeCompare(b.what));
}
