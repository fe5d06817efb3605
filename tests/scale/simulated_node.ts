/**
 * A node of the simulation: the daemon's own IPAM, reconciler, node state and candidature for the manager's office, on a machine
 * and an FRR that are in memory.
 */
import type { DaemonConfig } from "../../daemon/config.ts";
import { startManager } from "../../daemon/controllers/manager.ts";
import { createNodeConfigController } from "../../daemon/controllers/node_config_controller.ts";
import { createNodeStateWriter } from "../../daemon/controllers/node_state_writer.ts";
import { createDomainView } from "../../daemon/domain_view.ts";
import { createAddressPool } from "../../daemon/ipam/address_pool.ts";
import { IpamError } from "../../daemon/ipam/errors.ts";
import type { AttachmentStore } from "../../daemon/ipam/journal.ts";
import type { Attachment, NodeAddressPool } from "../../daemon/ipam/port.ts";
import { createTrigger } from "../../daemon/kube/coalescing_runner.ts";
import { createEventRecorder } from "../../daemon/kube/events.ts";
import { createResourceClient } from "../../daemon/kube/resource_client.ts";
import type { KubeConnection } from "../../daemon/kube/transport.ts";
import type { Logger } from "../../daemon/log.ts";
import type { NodeCaches } from "../../daemon/node_caches.ts";
import { gather } from "../../daemon/reconcile/gather.ts";
import { createNodeReconciler, type NodeReport } from "../../daemon/reconcile/node_reconciler.ts";
import { nodeDomainState, renderNodeStatus } from "../../daemon/reconcile/node_status.ts";
import { createPrefixLimits } from "../../daemon/reconcile/prefix_limits.ts";
import { eventKind, leaseKind } from "../../daemon/resources/core.ts";
import { ipBlockKind } from "../../daemon/resources/ip_block.ts";
import { vrfNodeConfigKind } from "../../daemon/resources/vrf_node_config.ts";
import { vrfNodeStateKind } from "../../daemon/resources/vrf_node_state.ts";
import { simulateFrr } from "./simulated_frr.ts";
import { simulateMachine } from "./simulated_kernel.ts";

/** What a simulated node is started with. */
export interface SimulatedNodeOptions {
  /** Its name in the API. */
  readonly name: string;
  /** Its VTEP address. */
  readonly address: string;
  /** Its own way to the API. */
  readonly connection: KubeConnection;
  /** Local copies; several nodes may share them, since nodes only read them. */
  readonly caches: NodeCaches;
  /** The daemon's configuration. */
  readonly config: DaemonConfig;
  /** Outlives the node: it is started on the same one again. */
  readonly journal: AttachmentStore;
  /** For what fails. */
  readonly log: Logger;
}

/** A running node; disposing ends it as a daemon ends whose time is up: nothing more is written. */
export interface SimulatedNode extends AsyncDisposable {
  /** Attaches pods of a tenant, all at once. */
  attach(tenant: string, pods: readonly string[]): Promise<readonly Attachment[]>;
  /** Its addresses. */
  readonly pool: NodeAddressPool;
  /** Resolves once the node is in step and all that it has to say is on the server. */
  settled(signal: AbortSignal): Promise<void>;
  /** BGP sessions that its FRR is configured with. */
  readonly peers: number;
}

/** A runtime repeats an ADD that failed for want of an answer. */
async function reserveAgain(reserve: () => Promise<Attachment>): Promise<Attachment> {
  for (;;) {
    try {
      return await reserve();
    } catch (error) {
      if (!(error instanceof IpamError) || error.code !== "ClaimFailed") throw error;
    }
  }
}

/** Starts a node; its first run waits for the caches. */
export function startSimulatedNode(options: SimulatedNodeOptions): SimulatedNode {
  const { name, address, connection, caches, config, journal, log } = options;
  const end = new AbortController();
  const { signal } = end;
  const { kernel, firewall, nextHops, announcements } = simulateMachine(address);
  const frr = simulateFrr(() => [...kernel.observe().vrfs.values()].map((vrf) => vrf.name));
  const domains = createDomainView(caches, config);
  const pool = createAddressPool({
    nodeName: name,
    journal,
    blocks: {
      client: createResourceClient(connection, ipBlockKind),
      cache: caches.blocks.cache,
    },
    turn: caches.turn,
    log,
    signal,
  });
  const state = createNodeStateWriter({
    client: createResourceClient(connection, vrfNodeStateKind),
    nodeName: name,
    turn: caches.turn,
    log,
    signal,
  });
  const nodeConfig = createNodeConfigController({
    configs: {
      cache: caches.nodeConfigs.cache,
      client: createResourceClient(connection, vrfNodeConfigKind),
    },
    nodeName: name,
    kernel,
    events: createEventRecorder({
      client: createResourceClient(connection, eventKind),
      component: "pyroute2-cni",
      host: name,
      log,
      signal,
    }),
    log,
    signal,
  });
  const reconciler = createNodeReconciler({
    kernel,
    firewall,
    frr,
    nextHops,
    announcements,
    pods: { fit: (_connection, _port, mtu) => mtu },
    limits: createPrefixLimits({ all: () => new Map(), replace: () => {} }, Date.now),
    forwarding: { follow: () => {}, leave: () => {}, saw: () => {} },
    gather: () =>
      gather({
        node: name,
        asn: config.bgp.asn,
        serviceVrfMax: config.default.service_vrf_max,
        domains: domains.acceptance().accepted,
        unreadable: caches.domains.cache.invalid().size,
        nodes: caches.nodes.cache.list(),
        nodeConfigs: caches.nodeConfigs.cache.list(),
        ownConfig: nodeConfig.accepted(),
        policies: caches.policies.cache.list(),
        blocks: pool.blocks(),
        attachments: pool.countByVrf(),
        ports: new Map(),
      }),
    reached: () => {},
    announce: (reports, abort) => state.announce(reports.map(nodeDomainState), abort),
    holdsBlocks: (vrf) => pool.blocks().some((block) => block.vrf === vrf),
    releaseBlocks: async (vrf, abort) => (await pool.releaseDomain(vrf, abort)).remaining === 0,
    report: publish,
    log,
  });
  let ready = false;

  function publish(report: NodeReport): void {
    ready = report.problems.length === 0;
    state.publish(renderNodeStatus({
      report,
      notReady: ready ? [] : report.problems,
      blocks: pool.blocks().length,
      poolProblems: pool.problems(),
      before: state.written?.conditions ?? [],
      now: new Date(),
    }));
    nodeConfig.reported(report);
  }

  const runner = createTrigger({
    run: async (abort) => {
      if (caches.unsynced().length > 0) return;
      const { problems } = await reconciler.run(abort);
      if (problems.length > 0) throw new Error(problems.join("; "));
    },
    debounceMs: 50,
    maxDelayMs: 500,
    resyncMs: config.default.fw_interval_seconds * 1000,
    signal,
    failed: (error) => log.warn("Node not in step", { node: name, error: String(error) }),
  });
  const mark = () => runner.mark();
  const followed = [caches.domains, caches.nodes, caches.nodeConfigs, caches.policies];
  const subscriptions = [
    ...followed.map(({ cache }) => cache.subscribe(mark)),
    pool.subscribe(mark),
  ];
  const election = startManager({
    resources: caches,
    followNodeStates: caches.followNodeStates,
    leases: createResourceClient(connection, leaseKind),
    events: createResourceClient(connection, eventKind),
    nodeName: name,
    serviceVrfMax: config.default.service_vrf_max,
    asn: config.bgp.asn,
    allowedPlugins: config.cni.allowed_plugins,
    defaultDomain: {
      name: "vrf-42",
      spec: { vrf: 42, table: 42, attachments: [{ type: "l3vni", vni: 42, port: 4789 }] },
    },
    log,
    signal,
  });
  mark();

  return {
    pool,
    get peers() {
      return frr.peers;
    },
    async attach(tenant, pods) {
      const domain = domains.named(tenant);
      if (domain === undefined) throw new Error(`Expected the tenant "${tenant}" to be known`);
      return await Promise.all(pods.map(async (pod) => {
        const owner = {
          network: "simulated",
          containerId: pod,
          ifname: "eth0",
          namespace: tenant,
          pod,
          podUid: pod,
          netnsPath: `/run/netns/${pod}`,
        };
        const row = await reserveAgain(() => pool.reserve(domain, owner, signal));
        pool.commit(owner, { mac: "02:00:00:00:00:01" });
        return row;
      }));
    },
    async settled(abort) {
      while (!ready) {
        abort.throwIfAborted();
        await runner.requestRun().catch(() => {});
      }
      await runner.requestRun();
      await pool.flush(abort);
      await state.flush(abort);
    },
    async [Symbol.asyncDispose]() {
      for (const unsubscribe of subscriptions) unsubscribe();
      end.abort(new Error("The simulated node ends"));
      await Promise.allSettled([
        runner.stopped,
        state.stopped,
        nodeConfig.stopped,
        election.stopped,
      ]);
      frr[Symbol.dispose]();
    },
  };
}
