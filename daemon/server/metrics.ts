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

/** A BGP peer with more routes than it may send. */
export interface OverLimit {
  /** Its address. */
  readonly address: string;
  /** Whether it is shut down for that. */
  readonly shut: boolean;
}

/** How a resource of the API is followed, for its metrics. */
export interface ApiContact {
  /** Plural name. */
  readonly resource: string;
  /** Whether list and watch work at present. */
  readonly connected: boolean;
  /** How often they began anew. */
  readonly restarts: number;
}

/** The daemon's metrics: others report here, the probes' server renders. */
export interface Metrics {
  /** One CNI command has ended. `verb` is a command or `OTHER`. */
  operation(verb: string, result: OperationResult, seconds: number): void;
  /** A container's pod was looked up; tells where it was found: `cache`, `api`, or `none`. */
  podFound(source: string): void;
  /** A descriptor's datagram was refused. */
  descriptorRefused(reason: string): void;
  /** One run of the reconciler has ended. */
  reconcile(result: OperationResult, seconds: number): void;
  /** Attached pods by VRF number; VRFs that are not listed vanish. */
  setAttachments(byVrf: ReadonlyMap<number, number>): void;
  /** Blocks that the node holds; others vanish. */
  setBlocks(blocks: readonly BlockUse[]): void;
  /** Peers with more routes than they may send; others vanish. */
  setPeersOverLimit(peers: readonly OverLimit[]): void;
  /** Asks at each look how each resource of the API is followed. */
  followApi(contacts: () => readonly ApiContact[]): void;
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
  const lookups = new Counter({
    name: "pyroute2_cni_pod_lookups_total",
    help: "Lookups of a container's pod, by where it was found; only cache needs no API server",
    labelNames: ["source"],
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
  const overLimit = new Gauge({
    name: "pyroute2_cni_bgp_peer_over_limit",
    help: "1 for each BGP peer with more routes than maxPrefixes, by what is done about it",
    labelNames: ["peer", "action"],
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
    podFound: (source) => lookups.inc({ source }),
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
    setPeersOverLimit: (peers) => {
      overLimit.reset();
      for (const { address, shut } of peers) {
        overLimit.set({ peer: address, action: shut ? "shutdown" : "warning" }, 1);
      }
    },
    followApi: (contacts) => {
      new Gauge({
        name: "pyroute2_cni_api_connected",
        help: "Whether list and watch of a resource work at present",
        labelNames: ["resource"],
        registers,
        collect() {
          for (const { resource, connected } of contacts()) {
            this.set({ resource }, connected ? 1 : 0);
          }
        },
      });
      new Counter({
        name: "pyroute2_cni_api_restarts_total",
        help: "How often list and watch of a resource began anew",
        labelNames: ["resource"],
        registers,
        collect() {
          this.reset();
          for (const { resource, restarts } of contacts()) this.inc({ resource }, restarts);
        },
      });
    },
    render: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
