import type { PoolProblem } from "../ipam/port.ts";
import type { Kernel } from "../kernel/port.ts";
import { createEventRecorder } from "../kube/events.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type { NodeReport } from "../reconcile/node_reconciler.ts";
import type { CNIConfig } from "../resources/cni_config.ts";
import type { CNIConfigSelection } from "../resources/cni_config_selection.ts";
import type { Event } from "../resources/core.ts";
import type { VRFDomain } from "../resources/vrf_domain.ts";
import type { VRFNodeConfig } from "../resources/vrf_node_config.ts";
import type { VRFNodeState } from "../resources/vrf_node_state.ts";
import { startConflistWriter } from "./conflist_writer.ts";
import { createNodeConfigController } from "./node_config_controller.ts";
import { createNodeEvents } from "./node_events.ts";
import type { NodeStateWriter } from "./node_state_writer.ts";

/** What the controllers of one node work with. */
export interface NodeControllersOptions {
  /** Local copies and clients. */
  readonly resources: {
    readonly nodeConfigs: {
      readonly cache: ResourceCache<VRFNodeConfig>;
      readonly client: ResourceClient<VRFNodeConfig>;
    };
    readonly nodeStates: { readonly cache: ResourceCache<VRFNodeState> };
    readonly cniConfigs: { readonly cache: ResourceCache<CNIConfig> };
    readonly cniConfigSelections: { readonly cache: ResourceCache<CNIConfigSelection> };
  };
  /** Client of the resource Event. */
  readonly events: ResourceClient<Event>;
  /** The domains that the node carries. */
  readonly domains: () => readonly VRFDomain[];
  /** What is wrong with the node's blocks. */
  readonly poolProblems: () => readonly PoolProblem[];
  /** This node's name. */
  readonly nodeName: string;
  /** The node's kernel. */
  readonly kernel: Pick<Kernel, "underlay">;
  /** Writes the node's VRFNodeState. */
  readonly state: Pick<NodeStateWriter, "amend">;
  /** The runtime's folder for CNI configurations. */
  readonly cniConfigDir: string;
  /** Plugin types that this node lets the runtime run. */
  readonly allowedPlugins: readonly string[];
  /** Longest time until a CNI configuration that someone removes is back, in milliseconds. */
  readonly resyncMs: number;
  /** For what is done and what fails. */
  readonly log: Logger;
  /** Ends them. */
  readonly signal: AbortSignal;
}

/** What a node does for the API beside its domains: its own settings, the runtime's configuration, events. */
export interface NodeControllers {
  /** The settings that this node uses now; undefined when it has none that it can use. */
  acceptedConfig(): VRFNodeConfig | undefined;
  /** Takes the outcome of each of the reconciler's runs, and whether the node takes pods. */
  reported(report: NodeReport, ready: boolean): void;
  /** Resolves once the signal has aborted and no write is under way. */
  readonly stopped: Promise<void>;
}

/** Starts them. */
export function startNodeControllers(options: NodeControllersOptions): NodeControllers {
  const { resources, nodeName, log, signal } = options;
  const events = createEventRecorder({
    client: options.events,
    component: "pyroute2-cni",
    host: nodeName,
    log,
    signal,
  });
  const nodeConfig = createNodeConfigController({
    ...options,
    configs: resources.nodeConfigs,
    events,
  });
  const conflist = startConflistWriter({
    ...options,
    configs: resources.cniConfigs.cache,
    selections: resources.cniConfigSelections.cache,
    directory: options.cniConfigDir,
  });
  const nodeEvents = createNodeEvents({
    events,
    domains: options.domains,
    nodeState: () => resources.nodeStates.cache.get(nodeName),
  });
  return {
    acceptedConfig: nodeConfig.accepted,
    reported(report, ready) {
      nodeConfig.reported(report);
      nodeEvents.reported(report, options.poolProblems());
      if (ready) conflist.nodeReady();
    },
    stopped: Promise.all([nodeConfig.stopped, conflist.stopped]).then(() => undefined),
  };
}
