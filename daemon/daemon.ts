/** The node daemon, put together: kernel, journal, caches, pool, reconciler, sockets, probes and the elected manager. */
import { createFrrClient } from "../frr/client.ts";
import { messageOf } from "../lib/errors.ts";
import { ownerOf } from "./address_owner.ts";
import type { DaemonConfig } from "./config.ts";
import type { DefaultDomain } from "./controllers/default_domain.ts";
import { startManager } from "./controllers/manager.ts";
import type { FollowedSecret } from "./controllers/peer_passwords.ts";
import { startNodeControllers } from "./controllers/node_controllers.ts";
import { keepRegistered } from "./controllers/node_registration.ts";
import { createNodeStateWriter } from "./controllers/node_state_writer.ts";
import { createDomainView, type DomainView } from "./domain_view.ts";
import { createAddressPool } from "./ipam/address_pool.ts";
import { openJournal } from "./ipam/journal.ts";
import type { NodeAddressPool } from "./ipam/port.ts";
import { AnnouncementRelay } from "./kernel/announcement_relay.ts";
import { openKernel } from "./kernel/open_kernel.ts";
import { vrfName } from "./kernel/names.ts";
import { listRunningPods } from "./kernel/running_pods.ts";
import { NextHopKeeper } from "./kernel/next_hop_keeper.ts";
import type { Kernel } from "./kernel/port.ts";
import { type InCluster, type KubeConnection, loadKube } from "./kube/connect.ts";
import { startCache } from "./kube/resource_cache.ts";
import { createResourceClient } from "./kube/resource_client.ts";
import { wait } from "./kube/wait.ts";
import type { Logger } from "./log.ts";
import { type NodeCaches, startNodeCaches } from "./node_caches.ts";
import { startNodeLoop } from "./node_loop.ts";
import { eventKind, leaseKind, secretKind } from "./resources/core.ts";
import { createMetrics } from "./server/metrics.ts";
import { version } from "./version.ts";
import { serveNode } from "./node_server.ts";

/** What a daemon is started with. */
export interface DaemonOptions {
  /** The validated configuration. */
  readonly config: DaemonConfig;
  /** This node's name in the API. */
  readonly nodeName: string;
  /** The pod's way to the API server, when the daemon runs in a pod. */
  readonly inCluster?: InCluster;
  /** For everything that happens. */
  readonly log: Logger;
  /** Ends the daemon: running commands finish, then it resolves. */
  readonly signal: AbortSignal;
}

/** Milliseconds for what is written behind to reach the API at the end. */
const flushTimeoutMs = 3_000;

/**
 * Runs the daemon until the signal aborts.
 *
 * @throws {CodedError} When it cannot start: no way to the API in the configuration, sockets or journal in use, no privileges
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { config, log, nodeName } = options;
  // The background work outlives the sockets: commands under way still need it.
  const background = new AbortController();
  await using stack = new AsyncDisposableStack();
  const kernel = stack.use(openKernel({ backend: config.node.vrf_backend }));
  const metrics = createMetrics({ version, runtime: Deno.version.deno, backend: kernel.backend });
  const { journal, recovered } = openJournal(`${config.node.state_dir}/journal.db`, {
    recover: true,
    rewritten: () =>
      log.error("The journal was deleted and is written anew from what the daemon knows", {
        path: `${config.node.state_dir}/journal.db`,
      }),
  });
  stack.use(journal);
  if (recovered) {
    log.error(
      "The journal was damaged and is begun anew; pods that run are entered when the API has said which blocks are this node's",
    );
  }
  const connection = connect(options);
  const caches = stack.use(startNodeCaches(connection, nodeName, log));
  metrics.followApi(caches.contacts);
  const domains = createDomainView(caches, config);
  const pool = createAddressPool({
    nodeName,
    journal,
    blocks: caches.blocks,
    standing: (vrf, known) => {
      const there = kernel.connection(vrf);
      return there === undefined ? [] : listRunningPods(there, vrf, (name) => !known(name));
    },
    domainOf: (vrf) => domains.pools().find((domain) => domain.vrf === vrf)?.name ?? vrfName(vrf),
    log,
    turn: caches.turn,
    signal: background.signal,
  });
  const state = createNodeStateWriter({
    client: caches.nodeStates.client,
    nodeName,
    log,
    turn: caches.turn,
    signal: background.signal,
  });
  const frr = stack.use(createFrrClient(config.frr.socket_path));
  const nextHops = stack.use(new NextHopKeeper({ log }));
  const announcements = stack.use(
    new AnnouncementRelay({
      ownerOf: (vrf, announced) =>
        ownerOf(vrf, announced, {
          attachments: pool.list(),
          blocks: caches.blocks.cache.list(),
        }),
      log,
    }),
  );
  const { signal } = background;
  const controllers = startNodeControllers({
    resources: caches,
    events: createResourceClient(connection, eventKind),
    domains: () => domains.acceptance().accepted,
    poolProblems: () => pool.problems(),
    nodeName,
    kernel,
    state,
    cniConfigDir: config.default.cni_config_dir,
    allowedPlugins: config.cni.allowed_plugins,
    resyncMs: config.default.fw_interval_seconds * 1000,
    log,
    signal,
  });
  const loop = startNodeLoop({
    config,
    nodeName,
    kernel,
    caches,
    pool,
    domains,
    state,
    controllers,
    followSecret: (name) => followSecret(connection, options, name),
    frr,
    nextHops,
    announcements,
    metrics,
    log,
    signal,
  });
  const tasks: Promise<void>[] = [];
  stack.defer(async () => {
    await flush(pool, log);
    await state.flush(AbortSignal.timeout(flushTimeoutMs));
    background.abort(new Error("The daemon ends"));
    const stopped = [loop, state, controllers].map((part) => part.stopped);
    await Promise.allSettled([...stopped, ...tasks]);
  });
  await using _server = await serveNode({
    config,
    log,
    signal: options.signal,
    kernel,
    caches,
    pool,
    domains,
    metrics,
    loop,
  });
  tasks.push(
    manage(caches, connection, options, signal),
    ...config.node.register ? [registerNode(kernel, caches, options, signal)] : [],
    collectGarbage(pool, caches, domains, options, signal),
  );
  log.info("Daemon started", { node: nodeName, version, backend: kernel.backend });
  const stopped = Promise.withResolvers<void>();
  options.signal.addEventListener("abort", () => stopped.resolve(), { once: true });
  if (options.signal.aborted) stopped.resolve();
  // A task that ends by itself has failed: the process ends and its supervisor starts it anew.
  await Promise.race([stopped.promise, ...tasks, _server.finished]);
  log.info("Daemon stops", { node: nodeName });
}

/** One Secret alone, so that no other one ever enters the daemon's memory. */
function followSecret(
  connection: KubeConnection,
  { config, log }: DaemonOptions,
  name: string,
): FollowedSecret {
  const cache = startCache({
    connection,
    resource: secretKind,
    namespace: config.bgp.secret_namespace,
    fieldSelector: `metadata.name=${name}`,
    log,
  });
  return { cache, [Symbol.asyncDispose]: () => cache[Symbol.asyncDispose]() };
}

function connect({ config, inCluster }: DaemonOptions): KubeConnection {
  const kubeconfigPath = config.kubernetes.kubeconfig;
  if (kubeconfigPath !== undefined) return loadKube({ kubeconfigPath });
  return inCluster === undefined ? loadKube({}) : loadKube({ inCluster });
}

/** Stands for the office of the manager; does the cluster's work while elected. */
async function manage(
  caches: NodeCaches,
  connection: KubeConnection,
  { nodeName, config, log }: DaemonOptions,
  signal: AbortSignal,
): Promise<void> {
  await caches.whenSynced(signal);
  const election = startManager({
    resources: caches,
    followNodeStates: caches.followNodeStates,
    leases: createResourceClient(connection, leaseKind),
    events: createResourceClient(connection, eventKind),
    nodeName,
    serviceVrfMax: config.default.service_vrf_max,
    asn: config.bgp.asn,
    allowedPlugins: config.cni.allowed_plugins,
    defaultDomain: defaultDomainOf(config),
    log,
    signal,
  });
  await election.stopped;
}

function defaultDomainOf({ default: config }: DaemonConfig): DefaultDomain {
  const { vrf, prefix, prefixlen, ipblocklen, prefix6, prefixlen6, ipblocklen6 } = config;
  return {
    name: vrfName(vrf),
    spec: {
      vrf,
      table: vrf,
      ...prefix === "none" ? {} : { prefix, prefixlen, ipblocklen },
      ...prefix6 === undefined ? {} : { prefix6, prefixlen6, ipblocklen6 },
      attachments: [{ type: config.system_vrf_type, vni: vrf, port: 4789 }],
    },
  };
}

/** Keeps this node registered where no kubelet does it. */
function registerNode(
  kernel: Kernel,
  caches: NodeCaches,
  { nodeName, config, log }: DaemonOptions,
  signal: AbortSignal,
): Promise<void> {
  return keepRegistered({
    nodes: caches.nodes.client,
    identity: () => ({ name: nodeName, internalIP: kernel.underlay().address }),
    intervalMs: config.default.gc_interval_seconds * 1000,
    log,
    signal,
  });
}

/** Gives back blocks that nothing needs. */
async function collectGarbage(
  pool: NodeAddressPool,
  caches: NodeCaches,
  domains: DomainView,
  { config, log }: DaemonOptions,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await wait(config.default.gc_interval_seconds * 1000, signal);
    if (caches.unsynced().length > 0) continue;
    const { released } = await pool.collectGarbage(domains.pools(), signal);
    if (released.length > 0) log.info("Blocks released", { blocks: released });
  }
}

async function flush(pool: NodeAddressPool, log: Logger): Promise<void> {
  try {
    await pool.flush(AbortSignal.timeout(flushTimeoutMs));
  } catch (error) {
    log.warn("Block status not written at the end", { error: messageOf(error) });
  }
}
