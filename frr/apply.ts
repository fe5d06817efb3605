/** Makes a running FRR equal to a configuration text, or leaves it at the last one that it took. */

import { messageOf } from "../lib/errors.ts";
import { diffConfig } from "./diff.ts";
import { FrrError } from "./errors.ts";
import { pause } from "./pause.ts";
import type { FrrApplyResult } from "./protocol.ts";
import { redact } from "./redact.ts";
import { outputOf, parseVrfs, REQUIRED_DAEMONS, requireDaemons } from "./state.ts";
import { askDaemons, DEFAULT_VTY_DIR } from "./vty.ts";
import { checkConfig, firstRefusal, runVtysh, type VtyshReply, type VtyshTarget } from "./vtysh.ts";

/** Refusals that time mends: bgpd hears of a removed VNI, or zebra of a removed VRF, a moment after the command. */
const TRANSIENT =
  /Please unconfigure l3vni|Dependent VRF instances exist|Only inactive VRFs can be deleted/;
const ROUNDS = 20;
const ROUND_PAUSE_MS = 100;

const SHOW_CONFIG = "show running-config";
const SHOW_VRFS = "show vrf";

/** Each daemon shows its own part of the running configuration. */
const RUNNING_QUESTIONS = {
  zebra: [SHOW_CONFIG, SHOW_VRFS],
  bgpd: [SHOW_CONFIG],
  staticd: [SHOW_CONFIG],
  bfdd: [SHOW_CONFIG],
};

/**
 * Checks a configuration and applies the difference to the running one, removals included; then reads it back.
 *
 * @param lastGood Configuration to return to on a refusal; the running one when absent
 * @throws {FrrError} `FrrRefused` with FRR's line and what became of the running configuration; else as `runVtysh`
 */
export async function applyConfig(
  target: VtyshTarget,
  text: string,
  lastGood: string | undefined,
  signal: AbortSignal,
): Promise<FrrApplyResult> {
  const start = performance.now();
  const before = await readRunning(target, signal);
  // What FRR shows already it knows.
  if (diffConfig({ desired: text, ...before }).length > 0) {
    await checkConfig(target, text, signal);
  }
  try {
    const lines = await converge(target, text, before, signal);
    return {
      changed: lines.length > 0,
      lines: lines.map(redact),
      seconds: (performance.now() - start) / 1000,
    };
  } catch (cause) {
    if (!(cause instanceof FrrError) || cause.code !== "FrrRefused") throw cause;
    const outcome = await restore(target, lastGood ?? before.running, signal);
    throw new FrrError("FrrRefused", `${cause.message}; ${outcome}`, { line: cause.line, cause });
  }
}

interface Running {
  readonly running: string;
  readonly bgpd: string;
  readonly inactiveVrfs: readonly string[];
}

async function readRunning(target: VtyshTarget, signal: AbortSignal): Promise<Running> {
  const vtyDir = target.vtyDir ?? DEFAULT_VTY_DIR;
  const { answering, replies } = await askDaemons(vtyDir, RUNNING_QUESTIONS, signal);
  requireDaemons(REQUIRED_DAEMONS, answering);
  const shown = replies.filter(({ command }) => command === SHOW_CONFIG);
  return {
    running: shown.map(({ output }) => output).join("\n"),
    bgpd: shown.find(({ daemon }) => daemon === "bgpd")?.output ?? "",
    inactiveVrfs: parseVrfs(outputOf(replies, SHOW_VRFS), "")
      .filter((vrf) => vrf.state === "inactive").map((vrf) => vrf.name),
  };
}

/** Applies differences until there is none; all lines given to FRR. */
async function converge(
  target: VtyshTarget,
  text: string,
  before: Running,
  signal: AbortSignal,
): Promise<string[]> {
  const given: string[] = [];
  let previous: readonly string[] = [];
  let running = before;
  let refusal: VtyshReply | undefined;
  for (let round = 0;; round++) {
    const lines = upToRemovedInstances(diffConfig({ desired: text, ...running }));
    if (lines.length === 0) return given;
    const stuck = refusal === undefined && lines.join("\n") === previous.join("\n");
    if (stuck || round === ROUNDS) throw refusal === undefined ? notShown(lines) : refused(refusal);
    if (round > 0) await pause(ROUND_PAUSE_MS, signal);
    refusal = firstRefusal(await runVtysh(target, ["configure terminal", ...lines, "end"], signal));
    given.push(...lines);
    if (refusal !== undefined && !TRANSIENT.test(refusal.output)) throw refused(refusal);
    previous = lines;
    running = await readRunning(target, signal);
  }
}

/**
 * What comes before the last instance of BGP is gone, if one is to go: bgpd may keep it until it hears from zebra that the VNIs are gone, and
 * what follows would bring those back.
 */
function upToRemovedInstances(lines: readonly string[]): readonly string[] {
  const last = lines.findLastIndex((line) => line.startsWith("no router bgp "));
  return last === -1 ? lines : lines.slice(0, last + 1);
}

function notShown(lines: readonly string[]): FrrError {
  return new FrrError(
    "FrrRefused",
    `FRR took the configuration but does not show it, "${lines.join("; ")}" remains to be done`,
    { line: lines[0] },
  );
}

function refused(reply: VtyshReply): FrrError {
  const line = reply.output.split("\n").find((text) => text.startsWith("%")) ?? reply.output;
  return new FrrError("FrrRefused", `FRR refused "${reply.command.trim()}": "${line}"`, {
    line: `${reply.command.trim()}: ${line}`,
  });
}

/** Goes back to a configuration and says how that went. */
async function restore(target: VtyshTarget, text: string, signal: AbortSignal): Promise<string> {
  try {
    await converge(target, text, await readRunning(target, signal), signal);
    return "the last good configuration is back";
  } catch (cause) {
    return `the last good configuration could not be restored (${messageOf(cause)})`;
  }
}
