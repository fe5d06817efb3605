/**
 * `deno task conformance`: runs the suite against this project's plugin, one of Debian's, or any other.
 *
 * Usage: conformance [bridge | ptp | macvlan]... [--plugin PATH --conf FILE] [--only ID] [--json]
 *
 * Ends with 0 if no case failed.
 */
import { parseArgs } from "node:util";
import { messageOf } from "../../../lib/errors.ts";
import { paintFor } from "../../lab/drawing.ts";
import { build, interruption, progressLine } from "../../lab/options.ts";
import { containerdNeeds, ensurePrerequisites, labNeeds } from "../../prerequisites.ts";
import {
  ConformanceError,
  debianPlugins,
  peers,
  readConf,
  type RunningSubject,
  startForeignSubject,
  startOwnSubject,
} from "./subjects.ts";
import { conformanceCases, runSuite, type Verdict } from "./suite.ts";

interface Choice {
  readonly names: readonly string[];
  readonly plugin: string | undefined;
  readonly conf: string | undefined;
  readonly only: string | undefined;
  readonly json: boolean;
  readonly install: boolean;
}

function parseCommandLine(args: readonly string[]): Choice {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      plugin: { type: "string" },
      conf: { type: "string" },
      only: { type: "string" },
      json: { type: "boolean", default: false },
      "no-install": { type: "boolean", default: false },
    },
  });
  const { plugin, conf, only, json } = values;
  if ((plugin === undefined) !== (conf === undefined)) {
    throw new ConformanceError("Expected --plugin and --conf together, found one of them");
  }
  const unknown = positionals.filter((name) => !Object.hasOwn(peers, name));
  if (unknown.length > 0) {
    const known = Object.keys(peers).join(", ");
    throw new ConformanceError(`Expected plugins out of ${known}, found "${unknown.join(", ")}"`);
  }
  if (only !== undefined && !conformanceCases.some(({ id }) => id === only)) {
    throw new ConformanceError(`Expected the name of a case, found "${only}"`);
  }
  return { names: positionals, plugin, conf, only, json, install: !values["no-install"] };
}

type Start = (signal: AbortSignal) => Promise<RunningSubject>;

async function subjectsOf(choice: Choice, say: (line: string) => void): Promise<readonly Start[]> {
  if (choice.plugin !== undefined && choice.conf !== undefined) {
    const plugin = await Deno.realPath(choice.plugin);
    const config = readConf(await Deno.readTextFile(choice.conf), choice.conf);
    const name = plugin.slice(plugin.lastIndexOf("/") + 1);
    return [() => startForeignSubject({ name, plugin, config })];
  }
  if (choice.names.length > 0) {
    return choice.names.map((name) => () =>
      startForeignSubject({ name, plugin: `${debianPlugins}/${name}`, config: peers[name] ?? {} })
    );
  }
  return [
    async (signal) => await startOwnSubject({ dist: await build(signal), signal, progress: say }),
  ];
}

function line({ result, title, section, reason }: Verdict): string {
  const colour = ({ passed: "green", failed: "red", skipped: "dim" } as const)[result];
  const word = paintFor(Deno.stdout.isTerminal())(colour, result.padEnd(7));
  return `${word}  ${title} (${section})${reason === undefined ? "" : `\n         ${reason}`}`;
}

async function main(): Promise<number> {
  const choice = parseCommandLine(Deno.args);
  using interrupt = interruption();
  const { signal } = interrupt;
  const say = choice.json ? () => {} : progressLine();
  await ensurePrerequisites([...labNeeds, ...containerdNeeds], {
    install: choice.install,
    signal,
    report: (text) => console.error(text),
  });
  const reports: { plugin: string; verdicts: readonly Verdict[] }[] = [];
  for (const start of await subjectsOf(choice, say)) {
    await using running = await start(signal);
    const { name } = running.subject;
    if (!choice.json) console.log(`\n${name}`);
    const verdicts = await runSuite(running.subject, {
      signal,
      ...choice.only === undefined
        ? {}
        : { cases: conformanceCases.filter(({ id }) => id === choice.only) },
      report: choice.json ? () => {} : (verdict) => console.log(line(verdict)),
    });
    reports.push({ plugin: name, verdicts });
    if (!choice.json) console.log(`${name}: ${summary(verdicts)}`);
  }
  if (choice.json) console.log(JSON.stringify(reports));
  const failed = reports.some(({ verdicts }) => verdicts.some(({ result }) => result === "failed"));
  return failed ? 1 : 0;
}

function summary(verdicts: readonly Verdict[]): string {
  const count = (result: Verdict["result"]) =>
    verdicts.filter((verdict) => verdict.result === result).length;
  return `${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`;
}

if (import.meta.main) {
  try {
    Deno.exit(await main());
  } catch (error) {
    console.error(messageOf(error));
    Deno.exit(2);
  }
}
