import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** How an operation ended. */
export type OperationResult = "ok" | "error";

/** Numbers of one block, for its gauges. */
export interface BlockUse {
  /** CIDR. */
  readonly cidr: string;
  /** VRF number. */
  readonly vrf: number;
  /** Addresses given, the gateway included. */
  readonly allocated: number;
  /** Usable addresses, the gateway included. */
  readonly capacity: number;
}

/** The daemon's metrics: others report here, the probes' server renders. */
export interface Metrics {
  /** One CNI command has ended. `verb` is a command or `OTHER`. */
  operation(verb: string, result: OperationResult, seconds: number): void;
  /** A descriptor's datagram was refused. */
  descriptorRefused(reason: string): void;
  /** One run of the reconciler has ended. */
  reconcile(result: OperationResult, seconds: number): void;
  /** Attached pods by VRF number; VRFs that are not listed vanish. */
  setAttachments(byVrf: ReadonlyMap<number, number>): void;
  /** Blocks that the node holds; others vanish. */
  setBlocks(blocks: readonly BlockUse[]): void;
  /** The text for Prometheus (exposition format 0.0.4). */
  render(): Promise<string>;
  /** MIME type of the text. */
  readonly contentType: string;
}

/** What the binary is, for `pyroute2_cni_build_info`. */
export interface BuildInfo {
  /** Release. */
  readonly version: string;
  /** Release of the runtime. */
  readonly runtime: string;
  /** `device` or `netns`. */
  readonly backend: string;
}

/** Upper bounds in seconds: an ADD takes milliseconds, one that waits for a new VRF takes seconds. */
const operationBuckets = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const reconcileBuckets = [0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** Makes metrics with a registry of their own, so that two daemons in one process (a test) do not meet. */
export function createMetrics(build: BuildInfo): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const attachments = new Gauge({
    name: "pyroute2_cni_attachments",
    help: "Pods attached on this node, by VRF",
    labelNames: ["vrf"],
    registers,
  });
  const operations = new Counter({
    name: "pyroute2_cni_operations_total",
    help: "CNI commands that ended, by verb and result",
    labelNames: ["verb", "result"],
    registers,
  });
  const durations = new Histogram({
    name: "pyroute2_cni_operation_duration_seconds",
    help: "Time that CNI commands took in the daemon, by verb",
    labelNames: ["verb"],
    buckets: operationBuckets,
    registers,
  });
  const refusals = new Counter({
    name: "pyroute2_cni_descriptors_refused_total",
    help: "Datagrams on the descriptor socket that were refused, by reason",
    labelNames: ["reason"],
    registers,
  });
  const reconciles = new Counter({
    name: "pyroute2_cni_reconciles_total",
    help: "Runs of the node's reconciler, by result",
    labelNames: ["result"],
    registers,
  });
  const reconcileDurations = new Histogram({
    name: "pyroute2_cni_reconcile_duration_seconds",
    help: "Time that a run of the node's reconciler took",
    buckets: reconcileBuckets,
    registers,
  });
  const blockLabels = ["vrf", "block"] as const;
  const allocated = new Gauge({
    name: "pyroute2_cni_block_allocated",
    help: "Addresses given from a block, the gateway included",
    labelNames: blockLabels,
    registers,
  });
  const capacity = new Gauge({
    name: "pyroute2_cni_block_capacity",
    help: "Usable addresses of a block, the gateway included",
    labelNames: blockLabels,
    registers,
  });
  new Gauge({
    name: "pyroute2_cni_build_info",
    help: "Always 1; the labels tell what runs",
    labelNames: ["version", "runtime", "backend"],
    registers,
  }).set({ ...build }, 1);
  return {
    operation: (verb, result, seconds) => {
      operations.inc({ verb, result });
      durations.observe({ verb }, seconds);
    },
    descriptorRefused: (reason) => refusals.inc({ reason }),
    reconcile: (result, seconds) => {
      reconciles.inc({ result });
      reconcileDurations.observe(seconds);
    },
    setAttachments: (byVrf) => {
      attachments.reset();
      for (const [vrf, count] of byVrf) attachments.set({ vrf: String(vrf) }, count);
    },
    setBlocks: (blocks) => {
      allocated.reset();
      capacity.reset();
      for (const block of blocks) {
        const labels = { vrf: String(block.vrf), block: block.cidr };
        allocated.set(labels, block.allocated);
        capacity.set(labels, block.capacity);
      }
    },
    render: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
