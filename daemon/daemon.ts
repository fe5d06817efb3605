/** The node daemon, put together: kernel, journal, caches, pool, reconciler, sockets, probes and the elected manager. */
import { createFrrClient } from "../frr/client.ts";
import { messageOf } from "../lib/errors.ts";
import { NetlinkConnection } from "../lib/netlink/connection.ts";
import type { DaemonConfig } from "./config.ts";
import type { DefaultDomain } from "./controllers/default_domain.ts";
import { startManager } from "./controllers/manager.ts";
import { startNodeControllers } from "./controllers/node_controllers.ts";
import { ensureNode } from "./controllers/node_registration.ts";
import { createNodeStateWriter } from "./controllers/node_state_writer.ts";
import { createDomainView, type DomainView } from "./domain_view.ts";
import { createAddHandler } from "./handlers/add.ts";
import { createCheckHandler } from "./handlers/check.ts";
import { createDelHandler } from "./handlers/del.ts";
import type { HandlerDeps } from "./handlers/deps.ts";
import { createGcHandler } from "./handlers/gc.ts";
import { KeyLocks } from "./handlers/key_locks.ts";
import { recover } from "./handlers/recover.ts";
import { createStatusHandler } from "./handlers/status.ts";
import { createAddressPool } from "./ipam/address_pool.ts";
import { openJournal } from "./ipam/journal.ts";
import type { NodeAddressPool } from "./ipam/port.ts";
import { openKernel } from "./kernel/open_kernel.ts";
import { vrfName } from "./kernel/names.ts";
import type { Kernel } from "./kernel/port.ts";
import { type InCluster, type KubeConnection, loadKube } from "./kube/connect.ts";
import { createResourceClient } from "./kube/resource_client.ts";
import { wait } from "./kube/wait.ts";
import type { Logger } from "./log.ts";
import { type NodeCaches, startNodeCaches } from "./node_caches.ts";
import { type NodeLoop, startNodeLoop } from "./node_loop.ts";
import { eventKind, leaseKind } from "./resources/core.ts";
import { podNetwork } from "./pod/network.ts";
import { type CniServer, startCniServer } from "./server/cni_server.ts";
import type { CniHandlers } from "./server/cni_api.ts";
import { createMetrics, type Metrics } from "./server/metrics.ts";
import { serveProbes } from "./server/probes.ts";
import { version } from "./version.ts";

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

/** What the parts of a running daemon share. */
interface Parts {
  readonly options: DaemonOptions;
  readonly kernel: Kernel;
  readonly caches: NodeCaches;
  readonly pool: NodeAddressPool;
  readonly domains: DomainView;
  readonly metrics: Metrics;
  readonly loop: NodeLoop;
}

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
  });
  stack.use(journal);
  if (recovered) {
    log.error("The journal was damaged and is begun anew; running pods are unknown to it");
  }
  const connection = connect(options);
  const caches = stack.use(startNodeCaches(connection, log));
  const pool = createAddressPool({
    nodeName,
    journal,
    blocks: caches.blocks,
    log,
    signal: background.signal,
  });
  const domains = createDomainView(caches, config);
  const state = createNodeStateWriter({
    client: caches.nodeStates.client,
    nodeName,
    log,
    signal: background.signal,
  });
  const frr = stack.use(createFrrClient(config.frr.socket_path));
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
    frr,
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
  await using _server = await serve({ options, kernel, caches, pool, domains, metrics, loop });
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

function connect({ config, inCluster }: DaemonOptions): KubeConnection {
  const kubeconfigPath = config.kubernetes.kubeconfig;
  if (kubeconfigPath !== undefined) return loadKube({ kubeconfigPath });
  return inCluster === undefined ? loadKube({}) : loadKube({ inCluster });
}

/** Both sockets and the probes; commands of an earlier run are cleaned up before the first new one. */
async function serve(parts: Parts): Promise<CniServer> {
  const { options: { config, log, signal }, kernel, pool, metrics, loop } = parts;
  const deps: HandlerDeps = {
    pool,
    kernel,
    network: podNetwork,
    locks: new KeyLocks(),
    host: NetlinkConnection.open(),
    changed: loop.attachmentsChanged,
  };
  const recovery = await recover(deps, log, signal);
  log.info("Attachments recovered", { ...recovery });
  loop.attachmentsChanged();
  const probes = serveProbes(
    { hostname: config.readiness.host, port: config.readiness.port },
    { readiness: loop.readiness, metrics },
  );
  const server = await startCniServer({
    apiPath: config.api.socket_path_api,
    fdPath: config.api.socket_path_fd,
    handlers: handlersOf(deps, parts),
    log,
    metrics,
  });
  const sweep = new AbortController();
  const swept = sweepAttachments(deps, parts.options, sweep.signal);
  return {
    finished: Promise.race([server.finished, swept]),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await probes[Symbol.asyncDispose]();
      sweep.abort(new Error("The daemon ends"));
      await swept.catch(() => {});
      deps.host[Symbol.dispose]();
    },
  };
}

/** Releases what pods left that went without DEL. */
async function sweepAttachments(
  deps: HandlerDeps,
  { config, log }: DaemonOptions,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await wait(config.default.gc_interval_seconds * 1000, signal);
    await recover(deps, log, signal);
  }
}

function handlersOf(deps: HandlerDeps, { domains, loop }: Parts): CniHandlers {
  return {
    add: createAddHandler({ ...deps, resolveDomain: domains.forPods, awaitReady: loop.awaitReady }),
    check: createCheckHandler(deps),
    del: createDelHandler(deps),
    gc: createGcHandler(deps),
    status: createStatusHandler(() => {
      const { ready, reasons } = loop.readiness();
      return { ready, reasons, connected: loop.frrAnswers() };
    }),
  };
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
    leases: createResourceClient(connection, leaseKind),
    events: createResourceClient(connection, eventKind),
    nodeName,
    serviceVrfMax: config.default.service_vrf_max,
    allowedPlugins: config.cni.allowed_plugins,
    defaultDomain: defaultDomainOf(config),
    log,
    signal,
  });
  await election.stopped;
}

function defaultDomainOf(
  { default: { vrf, prefix, prefixlen, ipblocklen, system_vrf_type } }: DaemonConfig,
): DefaultDomain {
  return {
    name: vrfName(vrf),
    spec: {
      vrf,
      table: vrf,
      prefix,
      prefixlen,
      ipblocklen,
      attachments: [{ type: system_vrf_type, vni: vrf, port: 4789 }],
    },
  };
}

/** Keeps this node registered where no kubelet does it. */
async function registerNode(
  kernel: Kernel,
  caches: NodeCaches,
  { nodeName, config, log }: DaemonOptions,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      const internalIP = kernel.underlay().address;
      await ensureNode(caches.nodes.client, { name: nodeName, internalIP }, signal);
      await wait(config.default.gc_interval_seconds * 1000, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.warn("Node not registered", { error: messageOf(error) });
      await wait(1_000, signal);
    }
  }
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
