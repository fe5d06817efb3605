/**
 * The demo: two nodes, two tenants with the same addresses, one command. Exits with 0 only if the measured matrix is the
 * expected one, and leaves nothing behind, however it ends.
 */
import { z } from "zod";
import { messageOf } from "../../lib/errors.ts";
import { runInGuest } from "../vm/guest.ts";
import { applyTenants, awaitRoutes, measureMatrix, startPods } from "./demo_lab.ts";
import { drawLab, drawMatrix, type DrawnBlock, paintFor } from "./drawing.ts";
import { frrSummary } from "./frr_summary.ts";
import { type Lab, removeAbandonedLabs, startLab } from "./lab.ts";
import { kubectl } from "./machines.ts";
import { type MeasuredCell, mismatches } from "./matrix.ts";
import {
  build,
  choosePlace,
  type CommandLine,
  interruption,
  parseCommandLine,
  prepare,
  progressLine,
  repository,
} from "./options.ts";
import { jobsWhere } from "./patience.ts";
import { defaultTenant, type PlacedPod, tenants } from "./topology.ts";

/** What the demo found, for scripts. */
interface Summary {
  readonly nodes: readonly { readonly name: string; readonly address: string }[];
  readonly tenants: readonly {
    readonly name: string;
    readonly vrf: number;
    readonly vni: number;
  }[];
  readonly pods: readonly PlacedPod[];
  readonly reachability: {
    readonly expected: readonly Reach[];
    readonly observed: readonly Reach[];
    readonly mismatches: readonly MeasuredCell[];
  };
  readonly seconds: number;
  readonly backend: "device" | "netns";
}

/** Who answers somebody at an address; null for nobody. */
interface Reach {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly answer: string | null;
}

const blocksSchema = z.object({
  items: z.array(z.object({
    spec: z.object({ cidr: z.string(), nodeName: z.string(), vrfTable: z.number() }),
    status: z.object({ allocated: z.number().default(0), capacity: z.number().default(0) })
      .prefault({}),
  })),
});

async function main(options: CommandLine): Promise<number> {
  const progress = progressLine();
  using stop = interruption();
  try {
    // In a guest the labs of this machine's processes look abandoned.
    if (!options.emulated) await removeAbandonedLabs();
    const place = await choosePlace(options.backend);
    await prepare(place, options.install, stop.signal);
    progress("Build");
    const dist = options.dist ?? await build(stop.signal);
    if (place.guest) return await runDemoInGuest(options, dist, stop.signal);
    return await runDemo(options, place.backend, dist, stop.signal, progress);
  } catch (error) {
    if (stop.signal.aborted) {
      console.error("Interrupted; the lab is gone");
      return 130;
    }
    console.error(`The demo failed: ${messageOf(error)}`);
    for (
      let cause = error;
      cause instanceof Error && cause.cause !== undefined;
      cause = cause.cause
    ) {
      console.error(`  because: ${messageOf(cause.cause)}`);
    }
    return 1;
  }
}

/** Runs this program again in a guest whose kernel has the vrf link type. */
async function runDemoInGuest(
  options: CommandLine,
  dist: string,
  signal: AbortSignal,
): Promise<number> {
  if (options.keep) {
    throw new Error("A lab in a guest goes with the guest: --keep needs --backend netns here");
  }
  const result = await runInGuest({
    command: [
      Deno.execPath(),
      ...["run", "-A", "--no-check", "--cached-only", import.meta.filename ?? ""],
      ...["--backend", "device", "--no-install", "--emulated", "--dist", dist],
      ...options.json ? ["--json"] : [],
    ],
    cwd: repository,
    signal,
    timeoutMs: 15 * 60_000,
    onOutput: (chunk, stream) => (stream === "stdout" ? Deno.stdout : Deno.stderr).writeSync(chunk),
  });
  return result.exitCode;
}

async function runDemo(
  options: CommandLine,
  backend: "device" | "netns",
  dist: string,
  signal: AbortSignal,
  progress: (line: string) => void,
): Promise<number> {
  const start = performance.now();
  const lab = await startLab({
    name: options.name,
    backend,
    nodes: 2,
    dist,
    keep: options.keep,
    ...jobsWhere(options.emulated),
    signal,
    progress,
  });
  try {
    progress("Tenants and bindings");
    await applyTenants(lab, signal);
    progress("Pods");
    const pods = await startPods(lab, dist, signal);
    progress("BGP convergence");
    await awaitRoutes(lab, pods, signal);
    progress("Reachability");
    const cells = await measureMatrix(lab, pods);
    const seconds = Math.round((performance.now() - start) / 100) / 10;
    if (options.json) console.log(JSON.stringify(summarise(lab, pods, cells, seconds)));
    else await show(lab, pods, cells, seconds);
    if (options.keep) sayHowToLookAround(options.name);
    return mismatches(cells).length === 0 ? 0 : 1;
  } finally {
    if (!options.keep || signal.aborted) await lab[Symbol.asyncDispose]();
  }
}

async function show(
  lab: Lab,
  pods: readonly PlacedPod[],
  cells: readonly MeasuredCell[],
  seconds: number,
): Promise<void> {
  const paint = paintFor(Deno.stdout.isTerminal());
  console.log(`\n${drawLab(lab.nodes, await blocksOf(lab), pods, paint)}`);
  console.log(`\n${paint("bold", "BGP and EVPN, as FRR tells")}`);
  for (const node of lab.nodes) console.log(await frrSummary(node));
  console.log(`\n${paint("bold", "Who answers")} (row: who asks; column: whose address)\n`);
  console.log(drawMatrix(cells, paint));
  const wrong = mismatches(cells);
  const verdict = wrong.length === 0
    ? paint("green", `All ${cells.length} cells are as expected`)
    : paint("red", `${wrong.length} of ${cells.length} cells are not as expected`);
  console.log(`\n${verdict}, backend ${lab.backend}, ${seconds} s`);
  for (const { from, to, address, expected, observed } of wrong) {
    console.log(
      `  ${from} → ${to} (${address}): expected ${expected ?? "nobody"}, ${
        observed ?? "nobody"
      } answered`,
    );
  }
}

async function blocksOf(lab: Lab): Promise<DrawnBlock[]> {
  const { items } = blocksSchema.parse(
    JSON.parse(await kubectl(lab, ["get", "ipblocks", "-o", "json"])),
  );
  return items.map(({ spec, status }) => ({
    cidr: spec.cidr,
    node: spec.nodeName,
    vrf: spec.vrfTable,
    allocated: status.allocated,
    capacity: status.capacity,
  }));
}

function summarise(
  lab: Lab,
  pods: readonly PlacedPod[],
  cells: readonly MeasuredCell[],
  seconds: number,
): Summary {
  const reach = (answer: (cell: MeasuredCell) => string | null) =>
    cells.map((cell): Reach => ({
      from: cell.from,
      to: cell.to,
      address: cell.address,
      answer: answer(cell),
    }));
  return {
    nodes: lab.nodes.map(({ name, address }) => ({ name, address })),
    tenants: [
      ...tenants.map(({ name, vrf, vni }) => ({ name, vrf, vni })),
      { name: defaultTenant, vrf: 42, vni: 42 },
    ],
    pods,
    reachability: {
      expected: reach(({ expected }) => expected),
      observed: reach(({ observed }) => observed),
      mismatches: mismatches(cells),
    },
    seconds,
    backend: lab.backend,
  };
}

function sayHowToLookAround(name: string): void {
  const lab = `deno task lab --name ${name}`;
  console.error(`
The lab stays up. Look around with
  ${lab} status
  ${lab} exec node1 vtysh -c "show bgp l2vpn evpn"
  ${lab} exec node1 ip netns
  ${lab} exec api kubectl get vrd,vrb,ipb,vrns
and take it down with
  ${lab} down`);
}

if (import.meta.main) Deno.exit(await main(parseCommandLine(Deno.args)));
