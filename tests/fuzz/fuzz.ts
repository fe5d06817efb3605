/**
 * `deno task fuzz`: feeds every way in with what no honest peer sends. Ends with 1 at the first fault, and tells how to see it again.
 *
 * Options: `--runs N` inputs over all targets (a million unless given), `--seed S`, `--only NAME`.
 */
import { parseArgs } from "node:util";
import { messageOf } from "../../lib/errors.ts";
import { watchForHang } from "./hang_watch.ts";
import { measuresHeap, runTarget } from "./run_target.ts";
import type { FuzzTarget } from "./target.ts";
import { fuzzTargets, runsOf } from "./targets.ts";

/** Bytes by which the heap may differ without anything being kept: compiled code and caches settle late. */
const mostGrowth = 24 * 2 ** 20;

async function report(target: FuzzTarget, seed: number, runs: number): Promise<void> {
  const { seconds, growth } = await runTarget(target, seed, runs);
  const heap = measuresHeap ? `, heap ${(growth / 2 ** 20).toFixed(1)} MiB` : "";
  console.log(`${target.name}: ${runs} inputs, ${seconds.toFixed(1)} s${heap}`);
  if (!measuresHeap || growth <= mostGrowth) return;
  throw new Error(`Expected the heap to stay as it is, found it ${growth} bytes larger`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      runs: { type: "string", default: "1000000" },
      seed: { type: "string", default: String(crypto.getRandomValues(new Int32Array(1))[0]) },
      only: { type: "string" },
    },
  });
  const [all, seed] = [Number(values.runs), Number(values.seed)];
  const chosen = fuzzTargets.filter(({ name }) =>
    values.only === undefined || name === values.only
  );
  if (!Number.isSafeInteger(all) || all < 1 || !Number.isSafeInteger(seed) || chosen.length === 0) {
    const names = fuzzTargets.map(({ name }) => name).join(", ");
    console.error(`Expected whole numbers for --runs and --seed and one of ${names} for --only`);
    return 2;
  }
  console.log(`seed ${seed}`);
  let inputs = 0;
  for (const target of chosen) {
    const runs = values.only === undefined ? runsOf(target, all) : all;
    const again = `again by: deno task fuzz --only ${target.name} --runs ${runs} --seed ${seed}`;
    using _watch = await watchForHang(again);
    try {
      await report(target, seed, runs);
    } catch (thrown) {
      console.error(`${target.name}: ${messageOf(thrown)}`);
      if (thrown instanceof Error && thrown.cause !== undefined) console.error(thrown.cause);
      console.error(again);
      return 1;
    }
    inputs += runs;
  }
  console.log(`${inputs} inputs, no fault`);
  return 0;
}

if (import.meta.main) Deno.exit(await main());
