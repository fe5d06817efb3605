import { createEventRecorder } from "../kube/events.ts";
import {
  type ElectionTiming,
  type LeaderElection,
  startLeaderElection,
} from "../kube/leader_election.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type { Event, Lease } from "../resources/core.ts";
import type { VRFNodeState } from "../resources/vrf_node_state.ts";
import { type CniConfigResources, createCniConfigController } from "./cni_config_controller.ts";
import type { DefaultDomain } from "./default_domain.ts";
import {
  createVrfDomainController,
  type DomainControllerTiming,
  type Followed,
  type ManagedResources,
} from "./vrf_domain_controller.ts";

/** What a manager works with. */
export interface ManagerOptions {
  /** Local copies and clients, shared with the node's own work; of the states of all nodes only the client. */
  readonly resources: Omit<ManagedResources & CniConfigResources, "nodeStates"> & {
    readonly nodeStates: Pick<Followed<VRFNodeState>, "client">;
  };
  /** Begins to follow the states of all nodes, for a term of office. */
  readonly followNodeStates: () => ResourceCache<VRFNodeState> & AsyncDisposable;
  /** Client of the resource Lease. */
  readonly leases: ResourceClient<Lease>;
  /** Client of the resource Event. */
  readonly events: ResourceClient<Event>;
  /** This node's name. */
  readonly nodeName: string;
  /** `namespace/name` of the lease; `kube-system/pyroute2-cni-manager` when absent. */
  readonly leaseKey?: string;
  /** Tables below it are of service VRFs. */
  readonly serviceVrfMax: number;
  /** The installation's AS number. */
  readonly asn: number;
  /** Plugin types that a CNIConfig may name. */
  readonly allowedPlugins: readonly string[];
  /** Created when no VRFDomain exists at all. */
  readonly defaultDomain: DefaultDomain;
  /** For what is done and what fails. */
  readonly log: Logger;
  /** Ends the manager. */
  readonly signal: AbortSignal;
  /** Timing of the election and of the controller. */
  readonly timing?: ElectionTiming & DomainControllerTiming;
}

/**
 * Stands for the office of the manager on this node, and does its work while elected: finalizers and statuses of
 * domains, statuses of bindings and policies, the default domain, blocks of nodes that are gone, the choice of the CNIConfig.
 */
export function startManager(options: ManagerOptions): LeaderElection {
  const { log, signal, nodeName, timing } = options;
  const events = createEventRecorder({
    client: options.events,
    component: "pyroute2-cni-manager",
    host: nodeName,
    log,
    signal,
  });
  return startLeaderElection({
    leases: options.leases,
    key: options.leaseKey ?? "kube-system/pyroute2-cni-manager",
    identity: `${nodeName}_${crypto.randomUUID()}`,
    candidates: () => options.resources.nodes.cache.list().length,
    lead: async (term) => {
      await using states = options.followNodeStates();
      const nodeStates = { ...options.resources.nodeStates, cache: states };
      const mine = { ...options, resources: { ...options.resources, nodeStates }, events };
      const controllers = [createVrfDomainController(mine), createCniConfigController(mine)];
      await Promise.all(controllers.map((controller) => controller.run(term)));
    },
    log,
    signal,
    ...(timing === undefined ? {} : { timing }),
  });
}
