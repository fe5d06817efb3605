/** The lab as text: a tree of what is where, and the matrix. Pure. */
import { styleText } from "node:util";
import type { MeasuredCell } from "./matrix.ts";
import {
  defaultTenant,
  type LabNode,
  outsideName,
  type PlacedPod,
  tenants,
  underlay,
} from "./topology.ts";

/** How text is coloured: by escape codes, or not at all. */
export type Paint = (style: "bold" | "dim" | "green" | "red" | "cyan", text: string) => string;

/** Colours for a terminal, none elsewhere. */
export function paintFor(terminal: boolean): Paint {
  return terminal ? (style, text) => styleText(style, text) : (_style, text) => text;
}

/** A block as the drawing shows it. */
export interface DrawnBlock {
  /** CIDR. */
  readonly cidr: string;
  /** Node that holds it. */
  readonly node: string;
  /** VRF number. */
  readonly vrf: number;
  /** Addresses given. */
  readonly allocated: number;
  /** Addresses there are. */
  readonly capacity: number;
}

/** Nodes, their VRFs, blocks and pods as a tree. */
export function drawLab(
  nodes: readonly LabNode[],
  blocks: readonly DrawnBlock[],
  pods: readonly PlacedPod[],
  paint: Paint,
): string {
  const domains = [
    ...tenants.map(({ name, vrf, table, vni }) => ({ name, vrf, table, vni })),
    { name: defaultTenant, vrf: 42, table: 42, vni: 42 },
  ];
  const lines = [`underlay ${underlay.cidr}`];
  for (const node of nodes) {
    lines.push(`├─ ${paint("bold", node.name)}  VTEP ${node.address}`);
    for (const domain of domains) {
      const mine = blocks.filter((block) => block.node === node.name && block.vrf === domain.vrf);
      const held = mine.map((block) => `${block.cidr} (${block.allocated} of ${block.capacity})`);
      lines.push(
        `│  ├─ ${
          paint("cyan", domain.name.padEnd(9))
        } vrf-${domain.vrf}  table ${domain.table}  VNI ${domain.vni}  blocks ${
          held.join(", ") || "none"
        }`,
      );
      for (const pod of pods) {
        if (pod.node !== node.name || pod.tenant !== domain.name) continue;
        lines.push(`│  │    ${pod.name.padEnd(10)} ${pod.address}`);
      }
    }
  }
  lines.push(`└─ ${paint("bold", outsideName)}  ${underlay.outside}, without a route back`);
  return lines.join("\n");
}

/** The matrix: a row for each source, a column for each address, in each cell who answered. */
export function drawMatrix(cells: readonly MeasuredCell[], paint: Paint): string {
  const rows = [...new Set(cells.map(({ from }) => from))];
  const named = new Set(cells.map(({ to }) => to));
  const columns = [
    ...rows.filter((name) => named.has(name)),
    ...[...named].filter((name) => !rows.includes(name)),
  ];
  const addresses = new Map(cells.map(({ to, address }) => [to, address]));
  const width = Math.max(...columns.map((name) => name.length), 15) + 1;
  const heading = (words: readonly string[]) =>
    "".padEnd(width) + words.map((word) => word.padEnd(width)).join("");
  const lines = [
    heading(columns.map((name) => name)),
    paint("dim", heading(columns.map((name) => addresses.get(name) ?? ""))),
  ];
  for (const from of rows) {
    const words = columns.map((to) => {
      const cell = cells.find((each) => each.from === from && each.to === to);
      if (cell === undefined) return paint("dim", "".padEnd(width));
      const text = cell.observed ?? "nobody";
      const right = cell.observed === cell.expected;
      return paint(right ? "green" : "red", `${right ? "" : "✗ "}${text}`.padEnd(width));
    });
    lines.push(from.padEnd(width) + words.join(""));
  }
  return lines.join("\n");
}
