/** Runs the reconciler whenever something changed, and tells the rest of the daemon how the node stands. */
import type { FrrClient } from "../frr/client.ts";
import { CniError } from "../lib/cni/errors.ts";
import { messageOf } from "../lib/errors.ts";
import type { DaemonConfig } from "./config.ts";
import type { NodeControllers } from "./controllers/node_controllers.ts";
import type { NodeStateWriter } from "./controllers/node_state_writer.ts";
import type { DomainView } from "./domain_view.ts";
import type { NodeAddressPool } from "./ipam/port.ts";
import type { Kernel } from "./kernel/port.ts";
import { createTrigger } from "./kube/coalescing_runner.ts";
import type { Logger } from "./log.ts";
import type { NodeCaches } from "./node_caches.ts";
import { gather } from "./reconcile/gather.ts";
import { createNodeReconciler, type NodeReport } from "./reconcile/node_reconciler.ts";
import { nodeDomainState, renderNodeStatus } from "./reconcile/node_status.ts";
import { createFirewall } from "./reconcile/nft.ts";
import type { Metrics } from "./server/metrics.ts";
import type { Readiness } from "./server/probes.ts";

/** What the loop works with. */
export interface NodeLoopOptions {
  /** The daemon's configuration. */
  readonly config: DaemonConfig;
  /** This node's name. */
  readonly nodeName: string;
  /** The node's kernel. */
  readonly kernel: Kernel;
  /** Local copies of the API's objects. */
  readonly caches: NodeCaches;
  /** The node's addresses. */
  readonly pool: NodeAddressPool;
  /** The domains. */
  readonly domains: DomainView;
  /** Writes the node's VRFNodeState. */
  readonly state: NodeStateWriter;
  /** Know this node's own settings; are told how each run went. */
  readonly controllers: Pick<NodeControllers, "acceptedConfig" | "reported">;
  /** The FRR agent's client. */
  readonly frr: FrrClient;
  /** Where runs are counted. */
  readonly metrics: Metrics;
  /** For what is done and what fails. */
  readonly log: Logger;
  /** Ends the loop. */
  readonly signal: AbortSignal;
}

/** The running loop. */
export interface NodeLoop {
  /** Whether the node takes pods, and what is missing. */
  readonly readiness: () => Readiness;
  /** Whether FRR answered when it was last asked. */
  readonly frrAnswers: () => boolean;
  /** Resolves when pods can attach with an address of the block. @throws {CniError} `TryAgainLater` with the reason */
  readonly awaitReady: (vrf: number, block: string, signal: AbortSignal) => Promise<void>;
  /** To be called after the number of attachments has changed. */
  readonly attachmentsChanged: () => void;
  /** Resolves once the signal has aborted and the last run is over. */
  readonly stopped: Promise<void>;
}

/** Quiet time after a change before a run, and the longest time without quiet, in milliseconds. */
const debounceMs = 50;
const maxDelayMs = 500;
/** First delay before peers that are down are looked at again, in milliseconds; doubled up to the resync interval. */
const peerCheckMs = 1_000;

/** Starts the loop; the first run waits until every cache has its first list. */
export function startNodeLoop(options: NodeLoopOptions): NodeLoop {
  const { config, caches, pool, domains, metrics, log, signal } = options;
  const resyncMs = config.default.fw_interval_seconds * 1000;
  let last: NodeReport | undefined;
  let nextPeerCheck = peerCheckMs;
  let peerTimer: ReturnType<typeof setTimeout> | undefined;

  const reconciler = createNodeReconciler({
    kernel: options.kernel,
    firewall: createFirewall(),
    frr: options.frr,
    log,
    gather: () =>
      gather({
        node: options.nodeName,
        asn: config.bgp.asn,
        serviceVrfMax: config.default.service_vrf_max,
        domains: domains.acceptance().accepted,
        unreadable: caches.domains.cache.invalid().size,
        nodes: caches.nodes.cache.list(),
        nodeConfigs: caches.nodeConfigs.cache.list(),
        ownConfig: options.controllers.acceptedConfig(),
        policies: caches.policies.cache.list(),
        blocks: pool.blocks(),
        attachments: attachmentsByVrf(pool),
        ports: portsByVrf(pool),
      }),
    announce: (reports, abort) => options.state.announce(reports.map(nodeDomainState), abort),
    holdsBlocks: (vrf) => pool.blocks().some((block) => block.vrf === vrf),
    releaseBlocks: async (vrf, abort) => (await pool.releaseDomain(vrf, abort)).remaining === 0,
    report: (report) => last = report,
  });

  async function run(abort: AbortSignal): Promise<void> {
    // Before the first lists everything that runs would look like nobody wanted it.
    if (caches.unsynced().length > 0) return;
    const start = performance.now();
    const report = await reconciler.run(abort);
    const failed = report.problems.length > 0;
    metrics.reconcile(failed ? "error" : "ok", (performance.now() - start) / 1000);
    publish();
    watchPeers(report);
    // A run that left something undone is repeated, sooner than the next resync.
    if (failed) throw new Error(report.problems.join("; "));
  }

  const runner = createTrigger({
    run,
    debounceMs,
    maxDelayMs,
    resyncMs,
    retryMaxMs: resyncMs,
    signal,
    failed: (error) => log.warn("Node not in step", { error: messageOf(error) }),
  });

  const mark = () => runner.mark();

  let wasReady: boolean | undefined;

  function publish(): void {
    if (last === undefined) return;
    const { ready, reasons } = readiness();
    if (ready !== wasReady) log.info(ready ? "Node ready" : "Node not ready", { reasons });
    wasReady = ready;
    const status = renderNodeStatus(
      last,
      reasons,
      pool.blocks().length,
      options.state.written?.conditions ?? [],
      new Date(),
    );
    options.state.publish(status);
    options.controllers.reported(last, ready);
    metrics.setBlocks(pool.blocks());
  }

  /** Sessions come up a second or two after a run: they are looked at until they are, ever more seldom. */
  function watchPeers(report: NodeReport): void {
    clearTimeout(peerTimer);
    const down = report.frr?.peers.some(({ established }) => !established) ?? false;
    if (!down) nextPeerCheck = peerCheckMs;
    if (!down || signal.aborted) return;
    peerTimer = setTimeout(mark, nextPeerCheck);
    nextPeerCheck = Math.min(nextPeerCheck * 2, resyncMs);
  }

  function readiness(): Readiness {
    const unsynced = caches.unsynced();
    const reasons = [
      ...unsynced.length > 0 ? [`no list from the API yet of ${unsynced.join(", ")}`] : [],
      ...last === undefined ? ["the node has not been reconciled yet"] : [],
      ...last !== undefined && last.underlay === undefined ? last.problems : [],
      ...last !== undefined && last.frr?.ready !== true ? ["FRR does not answer"] : [],
    ];
    return { ready: reasons.length === 0, reasons };
  }

  async function awaitReady(vrf: number, block: string, abort: AbortSignal): Promise<void> {
    if (reconciler.isApplied(vrf, block)) return;
    // Another VRF's failure rejects the run as well: what counts is whether this one is applied.
    await raceAbort(runner.requestRun().catch(() => undefined), abort);
    if (reconciler.isApplied(vrf, block)) return;
    const report = last?.domains.find((domain) => domain.vrf === vrf);
    throw new CniError(
      "TryAgainLater",
      `Expected block "${block}" to be reachable in VRF ${vrf}, found the node not there yet: ${
        report?.message || last?.problems.join("; ") || "no reason known"
      }`,
    );
  }

  let gaugeTimer: ReturnType<typeof setTimeout> | undefined;
  function attachmentsChanged(): void {
    // Counting the rows is for people: not on the path of an ADD.
    gaugeTimer ??= setTimeout(() => {
      gaugeTimer = undefined;
      if (!signal.aborted) metrics.setAttachments(attachmentsByVrf(pool));
    }, 100);
    const deleting = domains.acceptance().accepted.some(({ metadata }) =>
      metadata.deletionTimestamp !== undefined
    );
    if (deleting) mark();
  }

  const followed = [caches.domains, caches.nodes, caches.nodeConfigs, caches.policies];
  const subscriptions = [
    ...followed.map(({ cache }) => cache.subscribe(mark)),
    pool.subscribe(mark),
  ];
  signal.addEventListener("abort", () => {
    for (const unsubscribe of subscriptions) unsubscribe();
    clearTimeout(peerTimer);
    clearTimeout(gaugeTimer);
  }, { once: true });
  const start = performance.now();
  caches.whenSynced(signal).then(() => {
    log.info("Caches synced", { milliseconds: Math.round(performance.now() - start) });
    mark();
  }, () => undefined); // The daemon ends before it was ever in touch with the API.
  return {
    readiness,
    frrAnswers: () => last?.frr?.ready === true,
    awaitReady,
    attachmentsChanged,
    stopped: runner.stopped,
  };
}

/** Those of finished attachments: an ADD under way puts its own into the bridge. */
function portsByVrf(pool: NodeAddressPool): Map<number, string[]> {
  const attached = pool.list().filter(({ state }) => state === "attached");
  const rows = Map.groupBy(attached, ({ vrf }) => vrf);
  return new Map([...rows].map(([vrf, of]) => [vrf, of.map(({ hostIfname }) => hostIfname)]));
}

function attachmentsByVrf(pool: NodeAddressPool): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { vrf } of pool.list()) counts.set(vrf, (counts.get(vrf) ?? 0) + 1);
  return counts;
}

function raceAbort(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>();
  const stop = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  return Promise.race([promise, aborted.promise]).finally(() =>
    signal.removeEventListener("abort", stop)
  );
}
