/** What the benches run on, and how much else it had to do meanwhile. */
import { executeRaw } from "../lab/process.ts";
import type { LoadReport, MachineFacts } from "./report.ts";

/** Facts that figures depend on. */
export async function machineFacts(): Promise<MachineFacts> {
  const cpu = /^model name\s*:\s*(.+)$/m.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1];
  const line = async (command: readonly string[]) =>
    (await executeRaw(command).then(({ stdout }) => stdout, () => "")).split("\n")[0] ?? "";
  const { total } = Deno.systemMemoryInfo();
  return {
    time: new Date().toISOString(),
    processors: `${navigator.hardwareConcurrency} × ${cpu ?? "unknown"}`,
    memory: `${Math.round(total / 2 ** 30)} GiB`,
    kernel: Deno.osRelease(),
    deno: Deno.version.deno,
    frr: (await line(["/usr/lib/frr/zebra", "--version"])).replace("zebra version ", ""),
    peers: await line(["dpkg-query", "-W", "containernetworking-plugins"]),
  };
}

/** Begins to watch the load; the function given ends it. */
export function watchLoad(): () => LoadReport {
  const start = processorTimes();
  const [before = 0] = Deno.loadavg();
  return () => {
    const end = processorTimes();
    const [after = 0] = Deno.loadavg();
    const total = Math.max(end.total - start.total, 1);
    const share = (ticks: number) => Math.round(ticks / total * 1000) / 1000;
    return {
      average: [hundredths(before), hundredths(after)],
      busy: share(total - (end.idle - start.idle)),
      stolen: share(end.stolen - start.stolen),
    };
  };
}

/** Ticks of all processors since the start of the machine (proc(5), /proc/stat). */
function processorTimes(): { total: number; idle: number; stolen: number } {
  const [line = ""] = Deno.readTextFileSync("/proc/stat").split("\n");
  // user nice system idle iowait irq softirq steal; guest time is in user already.
  const fields = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const [, , , idle = 0, waiting = 0, , , stolen = 0] = fields;
  return { total: fields.reduce((a, b) => a + b, 0), idle: idle + waiting, stolen };
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
