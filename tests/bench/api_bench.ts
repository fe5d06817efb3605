/** What a thousand pods ask of the API: with blocks that run out, and with blocks at hand. */
import { kubectl } from "../lab/machines.ts";
import { until } from "../lab/process.ts";
import { countRequests, type RequestCounts, requestsBetween, total } from "./api_requests.ts";
import type { Bench } from "./bench_definition.ts";
import { startDriver } from "./driver.ts";
import { ours, type Row, row } from "./report.ts";
import { type BenchLab, startBenchLab } from "./subjects.ts";

const pods = 1000;
const atOnce = 10;

/** Requests per thousand pods. */
export const apiBench: Bench = {
  name: "api",
  about:
    `requests at the API by ${pods} ADDs, then DELs, ${atOnce} at once; none is waited for with blocks at hand`,
  rounds: 2,
  async run({ dist, signal, progress, rounds }) {
    await using lab = await startBenchLab("api", { dist, signal, progress });
    const rows: Row[] = [];
    await using growing = startDriver(lab.node.holder, { attachments: pods, atOnce, passes: 1 });
    progress(`${pods} pods, blocks run out`);
    const before = await blocks(lab);
    rows.push(...rowsOf("ADD, blocks run out", await during(lab, signal, () => growing.step())));
    rows.push(row("blocks claimed for it", ours, "", [await blocks(lab) - before]));
    rows.push(...rowsOf("DEL, all of them", await during(lab, signal, () => growing.step())));
    // Few enough for one block: what a node does all day.
    const few = 40;
    progress(`${few} pods, ${Math.ceil(pods / few) * rounds} times`);
    const passes = Math.ceil(pods / few);
    for (let round = 0; round < rounds; round++) {
      await using steady = startDriver(lab.node.holder, { attachments: few, atOnce, passes });
      const found = await during(lab, signal, async () => {
        for (let step = 0; step < passes * 2; step++) await steady.step();
      });
      rows.push(...rowsOf(`ADD and DEL, blocks at hand, round ${round + 1}`, found));
    }
    return {
      rows,
      notes: [
        "Left out is what goes on without pods, too: watches, lists, leases, the look at the node itself.",
      ],
    };
  },
};

/** Runs an action and gives what was asked of the API, until nothing more is written behind. */
async function during(
  { lab }: BenchLab,
  signal: AbortSignal,
  action: () => Promise<unknown>,
): Promise<RequestCounts> {
  const before = await countRequests(lab);
  await action();
  let last = before;
  let quiet = 0;
  await until("the API to be left alone", 60, async () => {
    const now = await countRequests(lab);
    quiet = total(requestsBetween(last, now)) === 0 ? quiet + 1 : 0;
    last = now;
    // Looks come ever more seldom; what is written behind comes within seconds.
    return quiet >= 6 || undefined;
  }, signal);
  return requestsBetween(before, last);
}

async function blocks({ lab }: BenchLab): Promise<number> {
  return (await kubectl(lab, ["get", "ipblocks", "-o", "name"])).trim().split("\n").length;
}

function rowsOf(what: string, counts: RequestCounts): Row[] {
  return [
    row(what, ours, "requests", [total(counts)]),
    ...[...counts].toSorted().map(([request, count]) =>
      row(`  ${request}`, ours, "requests", [count])
    ),
  ];
}
