/** Runs the reconciler whenever something changed, and tells the rest of the daemon how the node stands. */
import type { FrrClient } from "../frr/client.ts";
import { CniError } from "../lib/cni/errors.ts";
import { messageOf } from "../lib/errors.ts";
import { missingLists } from "./api_contact.ts";
import { followAttachments } from "./attachment_follower.ts";
import type { DaemonConfig } from "./config.ts";
import { openKeptPasswords } from "./controllers/kept_passwords.ts";
import { openKeptShutdowns } from "./controllers/kept_shutdowns.ts";
import { createPeerPasswords, type FollowedSecret } from "./controllers/peer_passwords.ts";
import type { NodeControllers } from "./controllers/node_controllers.ts";
import type { NodeStateWriter } from "./controllers/node_state_writer.ts";
import type { DomainView } from "./domain_view.ts";
import type { Attachment, NodeAddressPool } from "./ipam/port.ts";
import type { Kernel, PodPort } from "./kernel/port.ts";
import { watchUnderlay } from "./kernel/underlay_watch.ts";
import { createTrigger } from "./kube/coalescing_runner.ts";
import type { Logger } from "./log.ts";
import { startForwardingHold } from "./forwarding/forwarding_hold.ts";
import type { HoldTimes } from "./forwarding/release_rule.ts";
import type { NodeCaches } from "./node_caches.ts";
import { podNetwork } from "./pod/network.ts";
import { gather } from "./reconcile/gather.ts";
import type { NextHops } from "./reconcile/keep_next_hops.ts";
import { createNodeReconciler, type NodeReport } from "./reconcile/node_reconciler.ts";
import { nodeDomainState, renderNodeStatus } from "./reconcile/node_status.ts";
import { createNodeFirewall } from "./firewall/node_firewall.ts";
import { createPrefixLimits } from "./reconcile/prefix_limits.ts";
import type { Announcements } from "./reconcile/relay_announcements.ts";
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
  /** Starts to follow a Secret with a peer's password. */
  readonly followSecret: (name: string) => FollowedSecret;
  /** The FRR agent's client. */
  readonly frr: FrrClient;
  /** Keeps the next hops that zebra loses. */
  readonly nextHops: NextHops;
  /** Carries pods' ARP announcements. */
  readonly announcements: Announcements;
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
  /** Resolves when pods can attach with addresses of the blocks. @throws {CniError} `TryAgainLater` with the reason */
  readonly awaitReady: (
    vrf: number,
    blocks: readonly string[],
    signal: AbortSignal,
  ) => Promise<void>;
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

/** How often peers' routes are counted, in milliseconds. */
const prefixCheckMs = 2_000;

/** Starts the loop; the first run waits until every cache has its first list. */
export function startNodeLoop(options: NodeLoopOptions): NodeLoop {
  const { config, caches, pool, domains, metrics, log, signal } = options;
  const resyncMs = config.default.fw_interval_seconds * 1000;
  let last: NodeReport | undefined;
  let nodes: ReadonlyMap<string, string> = new Map();
  let nextPeerCheck = peerCheckMs;
  let peerTimer: ReturnType<typeof setTimeout> | undefined;
  let countTimer: ReturnType<typeof setTimeout> | undefined;

  const passwords = createPeerPasswords({
    follow: options.followSecret,
    kept: openKeptPasswords(`${config.node.state_dir}/peer_passwords.json`, log),
    changed: () => mark(),
  });
  const limits = createPrefixLimits(
    openKeptShutdowns(`${config.node.state_dir}/shut_peers.json`, log),
    Date.now,
  );
  const forwarding = startForwardingHold({
    times: holdTimesOf(config.frr.forwarding_hold_seconds),
    look: (abort) => options.frr.state(abort),
    nodeOf: (nextHop) => nodes.get(nextHop),
    log,
    signal,
  });
  const reconciler = createNodeReconciler({
    kernel: options.kernel,
    firewall: createNodeFirewall(),
    frr: options.frr,
    pods: podNetwork,
    nextHops: options.nextHops,
    announcements: options.announcements,
    log,
    forwarding,
    limits,
    gather: () => {
      const ownConfig = options.controllers.acceptedConfig();
      return gather({
        node: options.nodeName,
        asn: config.bgp.asn,
        serviceVrfMax: config.default.service_vrf_max,
        nat66: config.node.nat66,
        markMask: config.node.mark_mask,
        serviceCidrs: config.default.service_cidrs,
        domains: domains.acceptance().accepted,
        unreadable: caches.domains.cache.invalid().size,
        nodes: caches.nodes.cache.list(),
        nodeConfigs: caches.nodeConfigs.cache.list(),
        ownConfig,
        passwords: passwords.resolve(ownConfig?.spec),
        policies: caches.policies.cache.list(),
        blocks: pool.blocks(),
        attachments: pool.countByVrf(),
        ports: portsByVrf(pool),
      });
    },
    reached: (vteps) => nodes = new Map(vteps.map(({ nextHop, address }) => [nextHop, address])),
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
    countPrefixes(report);
    attachments.holdServiceBlocks();
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

  // What a claim brings marks the node by the pool's own event.
  const attachments = followAttachments({
    pool,
    domains,
    serviceVrfMax: config.default.service_vrf_max,
    asn: config.bgp.asn,
    synced: () => caches.unsynced().length === 0,
    metrics,
    left: mark,
    signal,
  });

  let wasReady: boolean | undefined;

  function publish(): void {
    if (last === undefined) return;
    const { ready, reasons } = readiness();
    if (ready !== wasReady) log.info(ready ? "Node ready" : "Node not ready", { reasons });
    wasReady = ready;
    const status = renderNodeStatus({
      report: last,
      notReady: reasons,
      blocks: pool.blocks().length,
      poolProblems: pool.problems(),
      before: options.state.written?.conditions ?? [],
      now: new Date(),
    });
    options.state.publish(status);
    options.controllers.reported(last, ready);
    metrics.setBlocks(pool.blocks());
    metrics.setPeersOverLimit(last.overLimit ?? []);
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

  /** FRR tells nobody of a peer that sends too much: it is asked, while some peer has a limit. */
  function countPrefixes(report: NodeReport): void {
    clearTimeout(countTimer);
    if (report.limited !== true || signal.aborted) return;
    countTimer = setTimeout(async () => {
      try {
        const { peers } = await options.frr.state(signal);
        if (limits.saw(peers)) return mark();
      } catch {
        // The reconciler says so.
      }
      countPrefixes(report);
    }, prefixCheckMs);
  }

  function readiness(): Readiness {
    const reasons = [
      ...missingLists(caches.contacts(), caches.unsynced()),
      ...last === undefined ? ["the node has not been reconciled yet"] : [],
      ...last !== undefined && last.underlay === undefined ? last.problems : [],
      ...last !== undefined && last.frr?.ready !== true ? ["FRR does not answer"] : [],
    ];
    return { ready: reasons.length === 0, reasons };
  }

  async function awaitReady(
    vrf: number,
    blocks: readonly string[],
    abort: AbortSignal,
  ): Promise<void> {
    const missing = () => blocks.filter((block) => !reconciler.isApplied(vrf, block));
    if (missing().length === 0) return;
    // Another VRF's failure rejects the run as well: what counts is whether this one is applied.
    await raceAbort(runner.requestRun().catch(() => undefined), abort);
    const [block] = missing();
    if (block === undefined) return;
    const report = last?.domains.find((domain) => domain.vrf === vrf);
    throw new CniError(
      "TryAgainLater",
      `Expected block "${block}" to be reachable in VRF ${vrf}, found the node not there yet: ${
        report?.message || last?.problems.join("; ") || "no reason known"
      }`,
    );
  }

  const followed = [caches.domains, caches.nodes, caches.nodeConfigs, caches.policies];
  const subscriptions = [
    ...followed.map(({ cache }) => cache.subscribe(mark)),
    pool.subscribe(mark),
  ];
  signal.addEventListener("abort", () => {
    for (const unsubscribe of subscriptions) unsubscribe();
    clearTimeout(peerTimer);
    clearTimeout(countTimer);
  }, { once: true });
  const watching = watchUnderlay({ known: () => last?.underlay, changed: mark, signal }).catch(
    (error) =>
      log.warn("Underlay not watched: its MTU is looked at with each resync", {
        error: messageOf(error),
      }),
  );
  const start = performance.now();
  caches.whenSynced(signal).then(() => {
    log.info("Caches synced", { milliseconds: Math.round(performance.now() - start) });
    mark();
  }, () => undefined); // The daemon ends before it was ever in touch with the API.
  return {
    readiness,
    frrAnswers: () => last?.frr?.ready === true,
    awaitReady,
    attachmentsChanged: attachments.changed,
    stopped: Promise.all([runner.stopped, watching, forwarding.stopped])
      .then(() => passwords[Symbol.asyncDispose]()),
  };
}

/** A bgpd that starts anew is back in ten seconds or so; its peers learn from it in moments. */
function holdTimesOf(seconds: number): HoldTimes {
  const most = seconds * 1000;
  return { most, recovery: Math.min(most, 10_000), reflected: Math.min(most, 30_000) };
}

/** Those of finished attachments: an ADD under way puts its own into the bridge. */
function portsByVrf(pool: NodeAddressPool): Map<number, PodPort[]> {
  const attached = pool.list().filter(({ state }) => state === "attached");
  const rows = Map.groupBy(attached, ({ vrf }) => vrf);
  return new Map([...rows].map(([vrf, of]) => [vrf, of.map(portOf)]));
}

function portOf({ hostIfname, mac, allocations, ifname, netnsPath }: Attachment): PodPort {
  const addresses = allocations.map(({ address }) => address);
  return { name: hostIfname, mac, addresses, ifname, netnsPath };
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
