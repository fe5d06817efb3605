/** The whole suite, and a run of it. */
import { messageOf } from "../../../lib/errors.ts";
import { addCases } from "./add_cases.ts";
import { knownVersions, versionsOf } from "./answers.ts";
import { chainCases } from "./chain_cases.ts";
import { checkCases } from "./check_cases.ts";
import { type ConformanceCase, createBench, NotApplicable } from "./conformance_case.ts";
import { delCases } from "./del_cases.ts";
import { environmentCases } from "./environment_cases.ts";
import { gcCases } from "./gc_cases.ts";
import { invoke, type Subject } from "./subject.ts";

/** All cases, in the specification's order. */
export const conformanceCases: readonly ConformanceCase[] = [
  ...environmentCases,
  ...addCases,
  ...delCases,
  ...checkCases,
  ...gcCases,
  ...chainCases,
];

/** What became of a case. */
export interface Verdict {
  /** The case's name. */
  readonly id: string;
  /** Where the specification says it. */
  readonly section: string;
  /** The requirement. */
  readonly title: string;
  /** Whether the plugin meets it; `skipped` where it does not apply. */
  readonly result: "passed" | "failed" | "skipped";
  /** Why it failed or was skipped. */
  readonly reason?: string;
}

/** Runs the suite against a plugin, one case after the other. */
export async function runSuite(
  subject: Subject,
  options: {
    readonly cases?: readonly ConformanceCase[];
    readonly signal?: AbortSignal;
    readonly report?: (verdict: Verdict) => void;
  } = {},
): Promise<readonly Verdict[]> {
  const supported = versionsOf(
    await invoke(subject, { command: "VERSION", stdin: { cniVersion: "1.0.0" } }),
  ).supportedVersions;
  const versions = knownVersions.filter((version) => supported.includes(version));
  const verdicts: Verdict[] = [];
  for (const each of options.cases ?? conformanceCases) {
    options.signal?.throwIfAborted();
    const { id, section, title } = each;
    const verdict = { id, section, title, ...await judge(subject, versions, each) };
    options.report?.(verdict);
    verdicts.push(verdict);
  }
  return verdicts;
}

async function judge(
  subject: Subject,
  versions: readonly (typeof knownVersions)[number][],
  { since, run }: ConformanceCase,
): Promise<Pick<Verdict, "result" | "reason">> {
  const newest = versions.at(-1);
  if (newest === undefined || (since !== undefined && newest < since)) {
    return { result: "skipped", reason: `It does not support version ${since ?? "0.3.0"}` };
  }
  try {
    await using bench = createBench(subject, versions);
    await run(bench);
    return { result: "passed" };
  } catch (error) {
    const reason = messageOf(error);
    return { result: error instanceof NotApplicable ? "skipped" : "failed", reason };
  }
}
