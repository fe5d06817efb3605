/** Runs one part of the suite, here or in a guest. */
import { failuresIn } from "./failures.ts";
import { hasVrfLink, repository } from "../lab/options.ts";
import { execute } from "../lab/process.ts";
import type { Tier } from "./tiers.ts";
import { runInGuest } from "../vm/guest.ts";

/** What the tests of a tier came to. */
export interface Count {
  /** Tests that passed. */
  readonly passed: number;
  /** Tests that failed. */
  readonly failed: number;
  /** Tests that were skipped. */
  readonly skipped: number;
  /** Lines about those that failed. */
  readonly failures: readonly string[];
}

/** How a tier is run. */
export interface TierRun {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Receives what its tests write, as it comes. */
  readonly onOutput: (chunk: Uint8Array) => void;
}

/** Runs a tier. One that runs no test has failed, unless it may be skipped and says why. */
export async function runTier(tier: Tier, run: TierRun): Promise<Count> {
  const guest = tier.vrfLinks === true && !await hasVrfLink();
  let text = "";
  const decoder = new TextDecoder();
  const onOutput = (chunk: Uint8Array) => {
    run.onOutput(chunk);
    text += decoder.decode(chunk, { stream: true });
  };
  await (guest ? testInGuest : testHere)(tier, { ...run, onOutput });
  const result = { ...count(text), failures: failuresIn(text) };
  const ran = result.passed + result.failed;
  if (ran > 0 || (tier.maySkip === true && result.skipped > 0)) return result;
  return { ...result, failed: 1, failures: ["No test ran"] };
}

function denoTest(tier: Tier): [string, ...string[]] {
  return [
    Deno.execPath(),
    // Not --parallel: it runs files as threads of one process, whose descriptors and threads some tests count.
    ...["test", "-A", "--quiet"],
    ...tier.vrfLinks === true ? ["--no-check", "--cached-only"] : [],
    ...tier.files,
  ];
}

/** Variables of a tier's tests: the backend that the lab's tests shall use. */
function environment(tier: Tier): Record<string, string> {
  return { NO_COLOR: "1", PYROUTE2_LAB_BACKEND: tier.vrfLinks === true ? "device" : "netns" };
}

async function testHere(tier: Tier, { signal, onOutput }: TierRun): Promise<void> {
  const [program, ...args] = denoTest(tier);
  const child = new Deno.Command(program, {
    args,
    cwd: repository,
    env: environment(tier),
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    signal,
  }).spawn();
  for await (const chunk of child.stdout) onOutput(chunk);
  await child.status;
}

async function testInGuest(tier: Tier, { signal, onOutput }: TierRun): Promise<void> {
  // The guest has no network: what the tests import must be here before.
  const paths = tier.files.map((path) => `${repository}/${path}`);
  await execute([Deno.execPath(), "cache", "--quiet", ...paths], { signal, inherit: true });
  await runInGuest({
    command: denoTest(tier),
    cwd: repository,
    env: {
      ...environment(tier),
      PYROUTE2_LAB_EMULATED: "1",
      PYROUTE2_LAB_WHOLE: Deno.env.get("PYROUTE2_LAB_WHOLE") ?? "",
    },
    signal,
    timeoutMs: 90 * 60_000,
    onOutput(chunk, stream) {
      if (stream === "stdout") onOutput(chunk);
      else Deno.stderr.writeSync(chunk);
    },
  });
}

/** Reads the closing line of `deno test`; without one the run broke off, which is a failure. */
function count(output: string): Omit<Count, "failures"> {
  const closing = /^(?:ok|FAILED) \| (\d+) passed[^|]* \| (\d+) failed(?: \| (\d+) ignored)?/gm;
  const last = [...output.matchAll(closing)].at(-1);
  if (last === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const [passed = 0, failed = 0, skipped = 0] = last.slice(1).map((text) => Number(text ?? 0));
  return { passed, failed, skipped };
}
