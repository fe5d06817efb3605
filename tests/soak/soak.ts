/**
 * `deno task soak`: random operations and faults on a lab of two nodes, compared with a model, until a difference or the end.
 *
 * Arguments: `--ops`, `--pods`, `--seed`, `--minutes`, `--every` (operations between two checkpoints), `--dist`, `--json`, `--no-install`. Exit code
 * 1 for a difference, and then the lab's logs are kept; 2 when it could not run.
 */
import { parseArgs } from "node:util";
import { messageOf } from "../../lib/errors.ts";
import { removeAbandonedLabs, startLab } from "../lab/lab.ts";
import { build, interruption, prepare, progressLine } from "../lab/options.ts";
import { useLines } from "./growth.ts";
import { keepLogs } from "./keep_logs.ts";
import { runSoak, type SoakReport } from "./soak_run.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    ops: { type: "string", default: "20000" },
    pods: { type: "string", default: "60" },
    seed: { type: "string" },
    minutes: { type: "string" },
    every: { type: "string", default: "300" },
    dist: { type: "string" },
    json: { type: "boolean", default: false },
    "no-install": { type: "boolean", default: false },
  },
});

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new TypeError(`Expected --${name} to be a whole number above 0, found "${text}"`);
}

function summary(report: Omit<SoakReport, "wanted">): string {
  const { seed, operations, checkpoints, minutes, use, errors } = report;
  const counts = Object.entries(errors).map(([error, count]) => `${error}: ${count}`);
  return [
    "After warm-up:",
    ...useLines(use.warm).map((line) => `  ${line}`),
    "At the end:",
    ...useLines(use.end).map((line) => `  ${line}`),
    `Calls that failed under faults and were made again: ${counts.join(", ") || "none"}`,
    `Seed ${seed}: ${operations} operations, ${checkpoints} checkpoints, ` +
    `${minutes.toFixed(1)} minutes, no difference`,
  ].join("\n");
}

/** What is asked for. @throws {TypeError} For a number that is none */
function wanted() {
  const { ops, pods, every, minutes, seed } = values;
  return {
    seed: seed === undefined
      ? crypto.getRandomValues(new Uint32Array(1))[0] ?? 1
      : wholeNumber("seed", seed),
    operations: wholeNumber("ops", ops),
    pods: wholeNumber("pods", pods),
    every: wholeNumber("every", every),
    ...minutes === undefined ? {} : { minutes: wholeNumber("minutes", minutes) },
  };
}

async function main(size: ReturnType<typeof wanted>): Promise<number> {
  const { seed } = size;
  using interrupted = interruption();
  const { signal } = interrupted;
  const progress = progressLine();
  progress(`Seed ${seed}`);
  await prepare({ backend: "netns", guest: false }, !values["no-install"], signal);
  await removeAbandonedLabs();
  const dist = values.dist ?? await build(signal);
  const name = `soak-${Deno.pid}`;
  await using lab = await startLab({
    ...{ name, backend: "netns", nodes: 2, dist, keep: false, signal, progress },
  });
  try {
    const { wanted: _, ...report } = await runSoak({ ...size, lab, dist, signal, progress });
    console.log(values.json ? JSON.stringify(report) : summary(report));
    return 0;
  } catch (error) {
    signal.throwIfAborted();
    const kept = await keepLogs(lab);
    console.error(messageOf(error));
    console.log(
      values.json
        ? JSON.stringify({ seed, difference: messageOf(error), logs: kept })
        : `Seed ${seed}: a difference; the logs are in "${kept}"`,
    );
    return 1;
  }
}

try {
  Deno.exit(await main(wanted()));
} catch (error) {
  console.error(messageOf(error));
  Deno.exit(2);
}
