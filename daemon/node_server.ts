/** The sockets and probes of a node: CNI commands with what they need of the running daemon. */
import { messageOf } from "../lib/errors.ts";
import { NetlinkConnection } from "../lib/netlink/connection.ts";
import { withRefusals } from "./api_contact.ts";
import type { DaemonConfig } from "./config.ts";
import type { DomainView } from "./domain_view.ts";
import { createAddHandler } from "./handlers/add.ts";
import { createCheckHandler } from "./handlers/check.ts";
import { createDelHandler } from "./handlers/del.ts";
import type { HandlerDeps } from "./handlers/deps.ts";
import { createGcHandler } from "./handlers/gc.ts";
import { KeyLocks } from "./handlers/key_locks.ts";
import { recover } from "./handlers/recover.ts";
import { createStatusHandler } from "./handlers/status.ts";
import { exhaustionOf } from "./ipam/exhaustion.ts";
import type { NodeAddressPool } from "./ipam/port.ts";
import type { Kernel } from "./kernel/port.ts";
import { wait } from "./kube/wait.ts";
import type { Logger } from "./log.ts";
import type { NodeCaches } from "./node_caches.ts";
import type { NodeLoop } from "./node_loop.ts";
import { podNetwork } from "./pod/network.ts";
import { type CniServer, startCniServer } from "./server/cni_server.ts";
import type { CniHandlers } from "./server/cni_api.ts";
import type { Metrics } from "./server/metrics.ts";
import { serveProbes } from "./server/probes.ts";
import { createGatherWishes } from "./wishes/attachment_wishes.ts";
import { createPodLookup } from "./wishes/pod_lookup.ts";

/** What the commands work with, and how long. */
export interface NodeParts {
  /** The validated configuration. */
  readonly config: DaemonConfig;
  /** For everything that happens. */
  readonly log: Logger;
  /** Its abort ends the commands under way. */
  readonly signal: AbortSignal;
  /** The node's VRFs. */
  readonly kernel: Kernel;
  /** What the API holds. */
  readonly caches: NodeCaches;
  /** Addresses and attachments. */
  readonly pool: NodeAddressPool;
  /** Which domain a pod goes to. */
  readonly domains: DomainView;
  /** Counts the commands. */
  readonly metrics: Metrics;
  /** Says when the node is ready. */
  readonly loop: NodeLoop;
}

/**
 * Opens both sockets and the probes; commands of an earlier run are cleaned up before the first new one.
 *
 * @throws {CodedError} When sockets are in use or may not be made
 */
export async function serveNode(parts: NodeParts): Promise<CniServer> {
  const { config, log, signal, kernel, caches, pool, metrics, loop } = parts;
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
    {
      readiness: () => withRefusals(loop.readiness(), caches.contacts()),
      metrics,
      failed: (cause) => log.error("Probes are opened anew", { error: messageOf(cause) }),
    },
  );
  const server = await startCniServer({
    apiPath: config.api.socket_path_api,
    fdPath: config.api.socket_path_fd,
    handlers: handlersOf(deps, parts),
    log,
    metrics,
  });
  const sweep = new AbortController();
  const swept = sweepAttachments(deps, parts, sweep.signal);
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
  { config, log }: Pick<NodeParts, "config" | "log">,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await wait(config.default.gc_interval_seconds * 1000, signal);
    await recover(deps, log, signal);
  }
}

function handlersOf(deps: HandlerDeps, parts: NodeParts): CniHandlers {
  const { caches, pool, domains, loop, metrics } = parts;
  const gatherWishes = createGatherWishes({
    findPod: createPodLookup({ ...caches.pods, found: (source) => metrics.podFound(source) }),
    hasInterface: (containerId, ifname) =>
      deps.pool.ofContainer(containerId).some((row) => row.ifname === ifname),
  });
  return {
    add: createAddHandler({
      ...deps,
      gatherWishes,
      domainNamed: domains.named,
      resolveDomain: domains.forPods,
      awaitReady: loop.awaitReady,
    }),
    check: createCheckHandler(deps),
    del: createDelHandler(deps),
    gc: createGcHandler(deps),
    status: createStatusHandler(() => {
      const { ready, reasons } = loop.readiness();
      const exhaustion = exhaustionOf(domains.pools(), pool.blocks(), pool.problems());
      return {
        ready: ready && exhaustion.length === 0,
        reasons: [...reasons, ...exhaustion],
        connected: loop.frrAnswers(),
      };
    }),
  };
}
