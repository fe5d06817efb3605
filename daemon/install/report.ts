/** What an installation tells: for a person, a line each; for a script, one JSON object. Pure. */
import type { Change } from "./changes.ts";

/** What was done. */
export interface Report {
  /** What was changed, or would be. */
  readonly changes: readonly Change[];
  /** What a person should know. */
  readonly notes?: readonly string[];
  /** Commands that are left to do. */
  readonly next?: readonly string[];
  /** Whether it was only told. */
  readonly dryRun: boolean;
}

const words: Readonly<Record<Change["action"], readonly [done: string, planned: string]>> = {
  create: ["created", "would create"],
  replace: ["replaced", "would replace"],
  remove: ["removed", "would remove"],
  enable: ["enabled", "would enable"],
  start: ["started", "would start"],
  restart: ["restarted", "would restart"],
  stop: ["stopped", "would stop"],
};

/** Renders what was done, or would be, without a line end. */
export function renderReport(report: Report, json: boolean): string {
  const { changes, notes = [], next = [], dryRun } = report;
  if (json) return JSON.stringify({ changed: changes.length > 0, dryRun, changes, notes, next });
  const done = changes.map(({ action, what }) => `${words[action][dryRun ? 1 : 0]} ${what}`);
  return [
    ...done.length === 0 ? ["Nothing to change"] : done,
    ...notes.map((note) => `note: ${note}`),
    ...next.length === 0 ? [] : ["left to do:", ...next.map((command) => `  ${command}`)],
  ].join("\n");
}
