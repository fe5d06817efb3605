/**
 * `deno task simulate`: a cluster of many nodes against an API server, the daemon's IPAM and reconcilers being real, kernel and FRR in
 * memory. Says what the nodes ask of the API, how often claims collide, and what a node's copies of the API's objects take.
 *
 * Usage: simulate [--nodes N] [--pods M] [--tenants N] [--per-node N] [--mesh] [--api embedded|real] [--quiet SECONDS] [--json]
 */
import { parseArgs } from "node:util";
import { loadKube } from "../../daemon/kube/connect.ts";
import { messageOf } from "../../lib/errors.ts";
import { interruption, progressLine } from "../lab/options.ts";
import { machineFacts, watchLoad } from "../bench/machine.ts";
import { findKubeBinaries } from "../kube/apiserver_binary.ts";
import { type ApiPlace, startEmbedded, startReal } from "./api_places.ts";
import type { ClusterSize } from "./cluster_objects.ts";
import { renderSimulation } from "./render_simulation.ts";
import { simulate } from "./simulation.ts";

interface CommandLine {
  readonly size: ClusterSize;
  readonly api: ApiPlace["name"];
  readonly quietSeconds: number;
  readonly json: boolean;
}

function parseCommandLine(args: readonly string[]): CommandLine {
  const { values } = parseArgs({
    args: [...args],
    options: {
      nodes: { type: "string", default: "1000" },
      pods: { type: "string" },
      tenants: { type: "string", default: "20" },
      "per-node": { type: "string", default: "5" },
      mesh: { type: "boolean", default: false },
      api: { type: "string", default: "embedded" },
      quiet: { type: "string", default: "30" },
      json: { type: "boolean", default: false },
    },
  });
  const nodes = whole("nodes", values.nodes, 1);
  const tenants = whole("tenants", values.tenants, 1);
  const tenantsPerNode = whole("per-node", values["per-node"], 1);
  if (tenantsPerNode > tenants) {
    throw new TypeError(`Expected --per-node to be ${tenants} at most, found ${tenantsPerNode}`);
  }
  if (values.api !== "embedded" && values.api !== "real") {
    throw new TypeError(`Expected --api with embedded or real, found "${values.api}"`);
  }
  return {
    size: {
      nodes,
      pods: values.pods === undefined ? nodes * 50 : whole("pods", values.pods, 1),
      tenants,
      tenantsPerNode,
      reflectors: !values.mesh,
    },
    api: values.api === "real" ? "kube-apiserver" : "embedded",
    quietSeconds: whole("quiet", values.quiet, 0),
    json: values.json,
  };
}

function whole(name: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new TypeError(`Expected --${name} to be ${least} or more, found "${text}"`);
}

async function startApi(which: ApiPlace["name"], signal: AbortSignal): Promise<ApiPlace> {
  if (which === "embedded") return await startEmbedded();
  const probe = await findKubeBinaries({
    assets: Deno.env.get("KUBEBUILDER_ASSETS"),
    report: (line) => console.error(line),
    signal,
  });
  if (!probe.available) throw new Error(`No real API server can be had: ${probe.reason}`);
  return await startReal(probe, signal);
}

async function main(): Promise<void> {
  const { size, api: which, quietSeconds, json } = parseCommandLine(Deno.args);
  using stop = interruption();
  const load = watchLoad();
  await using api = await startApi(which, stop.signal);
  // All nodes share one processor: what takes long here says nothing of the server.
  using connection = loadKube({ kubeconfigPath: api.kubeconfigPath, timeoutMs: 300_000 });
  const start = performance.now();
  const { gc } = globalThis as { gc?: () => void };
  const found = await simulate({
    ...size,
    connection,
    complete: 1,
    quietSeconds,
    collectGarbage: gc,
    progress: progressLine(),
    signal: stop.signal,
  });
  const report = {
    machine: await machineFacts(),
    api: api.name,
    server: await api.use(),
    load: load(),
    seconds: (performance.now() - start) / 1000,
    ...found,
  };
  console.log(json ? JSON.stringify(report, undefined, 2) : renderSimulation(report));
}

if (import.meta.main) {
  try {
    await main();
    Deno.exit(0);
  } catch (error) {
    console.error(messageOf(error));
    Deno.exit(2);
  }
}
