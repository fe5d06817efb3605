/**
 * `deno task test`: all tiers, two at a time, each with its own line; ends with one plain line `N passed, N failed, N skipped`.
 * A tier that runs no test counts as a failure, unless it says why it may not run.
 *
 * Arguments: `--no-install`, `--jobs N` for how many tiers at a time, and names of tiers to run only these.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { messageOf } from "../lib/errors.ts";
import { findProgram } from "./kube/apiserver_binary.ts";
import { build } from "./lab/options.ts";
import { removeAbandonedLabs } from "./lab/lab.ts";
import { lineWriter } from "./runner/line_writer.ts";
import { ensurePrerequisites } from "./prerequisites.ts";
import { sideBySide } from "./runner/side_by_side.ts";
import { type Count, runTier } from "./runner/tier_run.ts";
import { type Tier, tiers } from "./runner/tiers.ts";

/** Tiers at a time: most of a tier's time is waiting, but a second one is all that two processors bear. */
const jobsByDefault = Math.min(2, availableParallelism());

interface Arguments {
  readonly chosen: readonly Tier[];
  readonly jobs: number;
  readonly install: boolean;
}

/** Reads the command line. @throws {TypeError} For what it does not know */
function readArguments(words: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      "no-install": { type: "boolean", default: false },
      jobs: { type: "string", default: String(jobsByDefault) },
    },
  });
  const unknown = positionals.filter((word) => !tiers.some(({ name }) => name === word));
  if (unknown.length > 0) {
    const known = tiers.map(({ name }) => name).join(", ");
    throw new TypeError(`Expected tiers out of ${known}, found "${unknown.join(", ")}"`);
  }
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1) {
    throw new TypeError(
      `Expected --jobs to be a whole number of at least 1, found "${values.jobs}"`,
    );
  }
  const chosen = tiers.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  return { chosen, jobs, install: !values["no-install"] };
}

/** Builds what tiers need of Go, behind all other work: those tiers wait for it, and tell when it fails. */
async function buildPrograms(chosen: readonly Tier[], signal: AbortSignal): Promise<void> {
  const assets = Deno.env.get("KUBEBUILDER_ASSETS");
  const report = (line: string) => console.error(`go: ${line}`);
  for (const program of new Set(chosen.flatMap(({ programs = [] }) => programs))) {
    await findProgram(program, { assets, report, signal });
  }
}

/** Runs a tier between its two lines. */
async function runNamed(tier: Tier, prefix: string, signal: AbortSignal): Promise<Count> {
  signal.throwIfAborted();
  const start = performance.now();
  console.log(`\n== ${tier.name}: ${tier.about}`);
  const onOutput = prefix === ""
    ? (chunk: Uint8Array) => void Deno.stdout.writeSync(chunk)
    : lineWriter(prefix, (line) => console.log(line));
  const result = await runTier(tier, { signal, onOutput }).catch((error): Count => {
    signal.throwIfAborted();
    console.error(messageOf(error));
    return { passed: 0, failed: 1, skipped: 0, failures: [messageOf(error)] };
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const { passed, failed, skipped } = result;
  console.log(
    `== ${tier.name}: ${passed} passed, ${failed} failed, ${skipped} skipped, ${seconds} s`,
  );
  return result;
}

async function main(): Promise<number> {
  const { chosen, jobs, install } = readArguments(Deno.args);
  const stop = new AbortController();
  const { signal } = stop;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => stop.abort(new Error("Interrupted")));
  }
  await ensurePrerequisites([...new Set(chosen.flatMap(({ needs }) => needs))], {
    install,
    signal,
    report: (line) => console.error(line),
  });
  await removeAbandonedLabs();
  if (chosen.some(({ built }) => built)) await build(signal);
  // It ends early only with everything else.
  buildPrograms(chosen, signal).catch(() => {});
  const total = { passed: 0, failed: 0, skipped: 0 };
  const failures: string[] = [];
  const together = jobs > 1 && chosen.length > 1;
  await sideBySide(chosen, jobs, async (tier) => {
    const result = await runNamed(tier, together ? `${tier.name}: ` : "", signal);
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped += result.skipped;
    if (result.failed === 0) return;
    const told = result.failures.length > 0 ? result.failures : ["Its tests broke off"];
    failures.push(`== ${tier.name} failed:`, ...told);
  });
  // Once more at the end: it is an hour of output that they stand in.
  if (failures.length > 0) console.log(`\n${failures.join("\n")}`);
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  stop.abort(new Error("All tiers have ended"));
  return total.failed === 0 ? 0 : 1;
}

try {
  Deno.exit(await main());
} catch (error) {
  console.error(messageOf(error));
  console.log("\n0 passed, 1 failed, 0 skipped");
  Deno.exit(error instanceof TypeError ? 2 : 1);
}
