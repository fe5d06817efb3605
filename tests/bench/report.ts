/** What the benches found, for programs and for people. Pure. */
import { type Statistics, statisticsOf } from "./statistics.ts";

/** One line of the table: a series, or a single figure. */
export interface Row extends Statistics {
  /** What was measured, such as `ADD, whole process`. */
  readonly what: string;
  /** Whose figure it is. */
  readonly subject: string;
  /** Unit of all figures, such as `ms`. */
  readonly unit: string;
}

/** One bench. */
export interface BenchReport {
  /** Its name, as `--only` takes it. */
  readonly name: string;
  /** What it measures, in a sentence. */
  readonly about: string;
  /** The figures, in order. */
  readonly rows: readonly Row[];
  /** What else to know when reading them. */
  readonly notes: readonly string[];
  /** How loaded the machine was meanwhile. */
  readonly load: LoadReport;
  /** How long it took. */
  readonly seconds: number;
}

/** How loaded the machine was while something was measured. */
export interface LoadReport {
  /** Load average over one minute when it began and when it ended. */
  readonly average: readonly [number, number];
  /** Share of all processors' time in which they worked, for whatever process. */
  readonly busy: number;
  /** Share of all processors' time that the hypervisor gave to others. */
  readonly stolen: number;
}

/** Facts about the machine and its programs. */
export type MachineFacts = Readonly<Record<string, string | number>>;

/** A row from a series of samples. */
export function row(
  what: string,
  subject: string,
  unit: string,
  samples: readonly number[],
): Row {
  return { what, subject, unit, ...statisticsOf(samples) };
}

/** The name under which this project's figures go. */
export const ours = "pyroute2";

/** The machine, then each bench with its table. */
export function renderReport(machine: MachineFacts, reports: readonly BenchReport[]): string {
  const facts = Object.entries(machine).map(([name, value]) => `${name.padEnd(12)} ${value}`);
  return [facts.join("\n"), ...reports.map(renderBench)].join("\n\n") + "\n";
}

/** One bench as a table. */
export function renderBench(report: BenchReport): string {
  const head = ["", "subject", "unit", "runs", "least", "median", "p99", "noise", "ours/this"];
  const lines = report.rows.map((line) => [
    line.what,
    line.subject,
    line.unit,
    String(line.runs),
    figure(line.least),
    figure(line.median),
    figure(line.p99),
    line.noise === undefined ? "" : `${figure(line.noise * 100)} %`,
    ratio(line, report.rows),
  ]);
  const cells = [head, ...lines];
  const widths = head.map((_, column) =>
    Math.max(...cells.map((line) => line[column]?.length ?? 0))
  );
  const texts = cells.map((line) =>
    line.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column < 3 ? cell.padEnd(width) : cell.padStart(width);
    }).join("  ").trimEnd()
  );
  return [
    `${report.name}: ${report.about}`,
    ...texts,
    ...report.notes,
    renderLoad(report),
  ].join("\n");
}

function renderLoad({ load, seconds }: BenchReport): string {
  const [before, after] = load.average;
  return `Load average ${before} before, ${after} after; processors ${percent(load.busy)} busy, ` +
    `${percent(load.stolen)} stolen; ${Math.round(seconds)} s`;
}

/** This project's median by that of the row; empty for its own rows and where it has none. */
function ratio({ what, subject, median }: Row, rows: readonly Row[]): string {
  if (subject === ours || median === 0) return "";
  const own = rows.find((other) => other.what === what && other.subject === ours);
  return own === undefined ? "" : (own.median / median).toFixed(2);
}

/** Three digits that count. */
function figure(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
