/**
 * A short run of `deno task fuzz`, with one seed: a change is judged by the same inputs as the one before it. PYROUTE2_FUZZ_SEED sets another;
 * new ones are sought by the task.
 */
import { messageOf } from "../../lib/errors.ts";
import { watchForHang } from "./hang_watch.ts";
import { runTarget } from "./run_target.ts";
import { fuzzTargets, runsOf } from "./targets.ts";

const seed = Number(Deno.env.get("PYROUTE2_FUZZ_SEED") ?? 12561);

/** Inputs over all targets. */
const inputs = 20_000;

for (const target of fuzzTargets) {
  Deno.test(`${target.name}: whatever comes is answered or refused, and nothing stays open`, async () => {
    const again = `again by PYROUTE2_FUZZ_SEED=${seed}`;
    using _watch = await watchForHang(again);
    try {
      await runTarget(target, seed, Math.max(50, runsOf(target, inputs)));
    } catch (cause) {
      throw new Error(`${messageOf(cause)}; ${again}`, { cause });
    }
  });
}
