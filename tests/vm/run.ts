/**
 * Runs a command in a guest and ends with its exit code: `deno run -A tests/vm/run.ts [options] -- command...`.
 */
import { parseArgs } from "node:util";
import { CodedError } from "../../lib/errors.ts";
import { runInGuest } from "./guest.ts";

const USAGE = `Usage: deno run -A tests/vm/run.ts [options] -- command...

Runs the command as root in a virtual machine that sees this machine's tree; what it writes is gone afterwards.

  --memory MIB     the guest's memory (default 4096)
  --timeout SECS   how long the command may take (default 3600)
  --no-install     install and download nothing; say what is missing
  --quiet          no progress lines on standard error`;

/** Exit codes of this program itself, as env(1) and shells have them. */
const EXIT_USAGE = 2;
const EXIT_FAILED = 125;
const EXIT_INTERRUPTED = 130;

async function main(args: readonly string[]): Promise<number> {
  const split = args.indexOf("--");
  const [program, ...rest] = split < 0 ? [] : args.slice(split + 1);
  const options = parseOptions(args.slice(0, split < 0 ? args.length : split));
  if (program === undefined || options === undefined) {
    console.error(USAGE);
    return EXIT_USAGE;
  }
  const interruption = new AbortController();
  const interrupt = () => interruption.abort(new Error("Interrupted"));
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of signals) Deno.addSignalListener(name, interrupt);
  try {
    const result = await runInGuest({
      command: [program, ...rest],
      ...options,
      signal: interruption.signal,
      onOutput: (chunk, stream) => writeAll(stream === "stdout" ? Deno.stdout : Deno.stderr, chunk),
    });
    return result.exitCode;
  } catch (error) {
    if (interruption.signal.aborted) return EXIT_INTERRUPTED;
    if (!(error instanceof CodedError)) throw error;
    console.error(`${error.code}: ${error.message}`);
    return EXIT_FAILED;
  } finally {
    for (const name of signals) Deno.removeSignalListener(name, interrupt);
  }
}

function parseOptions(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        memory: { type: "string", default: "4096" },
        timeout: { type: "string", default: "3600" },
        "no-install": { type: "boolean", default: false },
        quiet: { type: "boolean", default: false },
      },
    });
    const memoryMiB = Number(values.memory);
    const timeoutMs = Number(values.timeout) * 1000;
    if (!Number.isInteger(memoryMiB) || memoryMiB < 512) return undefined;
    if (!(timeoutMs > 0 && timeoutMs < 2 ** 31)) return undefined;
    const report = values.quiet ? {} : { report: (line: string) => console.error(line) };
    return { memoryMiB, timeoutMs, install: !values["no-install"], ...report };
  } catch {
    return undefined;
  }
}

function writeAll(target: { writeSync(data: Uint8Array): number }, data: Uint8Array): void {
  for (let sent = 0; sent < data.length;) sent += target.writeSync(data.subarray(sent));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
