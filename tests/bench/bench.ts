/**
 * `deno task bench`: measures this project beside what one would use instead, in turns and on the same machine, and says how loaded it
 * was. Nothing is judged.
 *
 * Usage: bench [--only NAME]... [--json FILE] [--rounds N] [--dist DIR] [--against DIR] [--domains N] [--nodes N] [--no-install]
 *
 * `--domains` is for `domains` and `frr`, `--nodes` for `frr`.
 * `--against` names a folder with another build, whose plugin is measured in turns with this one
 */
import { parseArgs } from "node:util";
import { messageOf } from "../../lib/errors.ts";
import { removeAbandonedLabs } from "../lab/lab.ts";
import { build, interruption, progressLine } from "../lab/options.ts";
import {
  benchNeeds,
  containerdNeeds,
  ensurePrerequisites,
  kubectlNeeds,
  labNeeds,
} from "../prerequisites.ts";
import type { Bench } from "./bench_definition.ts";
import { burstBench } from "./burst_bench.ts";
import { codecBench } from "./codec_bench.ts";
import { dataplaneBench } from "./dataplane_bench.ts";
import { domainsBench } from "./domains_bench.ts";
import { frrBench } from "./frr_bench.ts";
import { machineFacts, watchLoad } from "./machine.ts";
import { type BenchReport, renderBench, renderReport } from "./report.ts";
import { singleBench } from "./single_bench.ts";
import { apiBench } from "./api_bench.ts";
import { memoryBench } from "./memory_bench.ts";
import { stateBench } from "./state_bench.ts";

const benches: readonly Bench[] = [
  singleBench,
  burstBench,
  apiBench,
  memoryBench,
  stateBench,
  domainsBench,
  dataplaneBench,
  frrBench,
  codecBench,
];

interface Choice {
  readonly chosen: readonly Bench[];
  readonly json: string | undefined;
  readonly rounds: number | undefined;
  readonly dist: string | undefined;
  readonly against: string | undefined;
  readonly domains: number | undefined;
  readonly nodes: number | undefined;
  readonly install: boolean;
}

function parseCommandLine(args: readonly string[]): Choice {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true },
      json: { type: "string" },
      rounds: { type: "string" },
      dist: { type: "string" },
      against: { type: "string" },
      domains: { type: "string" },
      nodes: { type: "string" },
      "no-install": { type: "boolean", default: false },
    },
  });
  const { only = [], json, dist, against } = values;
  const unknown = only.find((name) => !benches.some((bench) => bench.name === name));
  if (unknown !== undefined) {
    const names = benches.map(({ name }) => name).join(", ");
    throw new TypeError(`Expected --only with one of ${names}, found "${unknown}"`);
  }
  const rounds = whole("rounds", values.rounds, 1);
  const domains = whole("domains", values.domains, 2);
  const nodes = whole("nodes", values.nodes, 2);
  const chosen = benches.filter(({ name }) => only.length === 0 || only.includes(name));
  return { chosen, json, rounds, dist, against, domains, nodes, install: !values["no-install"] };
}

function whole(name: string, text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new TypeError(`Expected --${name} to be ${least} or more, found "${text}"`);
}

async function main(): Promise<number> {
  const choice = parseCommandLine(Deno.args);
  const progress = progressLine();
  using stop = interruption();
  const { signal } = stop;
  await ensurePrerequisites([...labNeeds, ...kubectlNeeds, ...containerdNeeds, ...benchNeeds], {
    install: choice.install,
    signal,
    report: (text) => console.error(text),
  });
  await removeAbandonedLabs();
  const dist = choice.dist ?? await build(signal);
  const machine = await machineFacts();
  const reports: BenchReport[] = [];
  let failed = false;
  for (const bench of choice.chosen) {
    const start = performance.now();
    const load = watchLoad();
    const { against, domains, nodes } = choice;
    const surroundings = {
      ...{ dist, signal, progress },
      ...against === undefined ? {} : { against },
      ...domains === undefined ? {} : { domains },
      ...nodes === undefined ? {} : { nodes },
    };
    try {
      const found = await bench.run({ ...surroundings, rounds: choice.rounds ?? bench.rounds });
      const seconds = (performance.now() - start) / 1000;
      const { name, about } = bench;
      const report = { name, about, ...found, load: load(), seconds };
      reports.push(report);
      console.error(renderBench(report));
    } catch (error) {
      signal.throwIfAborted();
      // One bench that cannot run takes nothing from the others.
      console.error(`The bench "${bench.name}" failed: ${messageOf(error)}`);
      failed = true;
    }
  }
  console.log(renderReport(machine, reports));
  if (choice.json !== undefined) {
    await Deno.writeTextFile(
      choice.json,
      JSON.stringify({ machine, reports }, undefined, 2) + "\n",
    );
  }
  return failed ? 1 : 0;
}

if (import.meta.main) {
  try {
    Deno.exit(await main());
  } catch (error) {
    console.error(messageOf(error));
    Deno.exit(2);
  }
}
