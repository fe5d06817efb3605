/** A simulation's report as text. Pure. */
import type { LoadReport } from "../bench/report.ts";
import type { ServerUse } from "./api_places.ts";
import type { PhaseReport, SimulationReport } from "./simulation.ts";

/** A report with its surroundings. */
export interface SimulationRun extends SimulationReport {
  /** Which API server. */
  readonly api: string;
  /** What its process has taken; undefined where that was not looked at. */
  readonly server: ServerUse | undefined;
  /** How loaded the machine was. */
  readonly load: LoadReport;
  /** How long it took, in seconds. */
  readonly seconds: number;
}

/** Renders it. */
export function renderSimulation(run: SimulationRun): string {
  const { size, caches, load, server } = run;
  const peering = size.reflectors ? "two route reflectors" : "a full mesh";
  return [
    `${size.nodes} nodes with ${peering}, ${size.pods} pods of ${size.tenants} tenants, ` +
    `${size.tenantsPerNode} on each node; ${run.api}`,
    `blocks ${run.blocks}, claims refused ${run.conflicts} of at most ${run.mostConflicts}; ` +
    `addresses given twice ${run.duplicates}; pods that kept theirs ${run.keptPods}; ` +
    `BGP sessions of a node ${run.peersPerNode}`,
    ...run.phases.flatMap((phase) => renderPhase(phase, size.nodes)),
    `one node's copies: ${caches.lists} lists of ${kibibytes(caches.listBytes)}, ` +
    `${caches.watches} watches, heap ${
      caches.heapBytes === undefined ? "not measured" : kibibytes(caches.heapBytes)
    }`,
    ...server === undefined
      ? []
      : [`server: ${server.cpu.toFixed(1)} s CPU, ${Math.round(server.resident)} MiB resident`],
    `load average ${load.average.join(" to ")}, processors ${Math.round(load.busy * 100)} % busy; ${
      Math.round(run.seconds)
    } s`,
  ].join("\n");
}

function renderPhase(phase: PhaseReport, nodes: number): string[] {
  const refused = Object.entries(phase.refused).map(([what, count]) => `${count} ${what}`);
  return [
    "",
    `${phase.name}: ${phase.seconds.toFixed(1)} s, ${phase.perNode.toFixed(2)} requests a node, ` +
    `${phase.busiestSecond} in the busiest second; a node's watches: ${phase.watch.events} events, ` +
    kibibytes(phase.watch.bytes),
    ...Object.entries(phase.requests).map(([what, count]) =>
      `  ${(count / nodes).toFixed(2).padStart(8)} a node  ${what}`
    ),
    ...refused.length === 0 ? [] : [`  refused: ${refused.join(", ")}`],
  ];
}

function kibibytes(bytes: number): string {
  return `${Math.round(bytes / 1024)} KiB`;
}
