/** The daemon's local copies of what it acts on, and its clients for what it writes. */
import type { Contact } from "./api_contact.ts";
import type { KubeConnection } from "./kube/connect.ts";
import { createContactLog } from "./kube/contact_log.ts";
import type { ResourceClient } from "./kube/port.ts";
import { type RunningCache, startCache } from "./kube/resource_cache.ts";
import { createResourceClient, type ListScope } from "./kube/resource_client.ts";
import { createTurns } from "./kube/turns.ts";
import type { Logger } from "./log.ts";
import { type CNIConfig, cniConfigKind } from "./resources/cni_config.ts";
import {
  type CNIConfigSelection,
  cniConfigSelectionKind,
} from "./resources/cni_config_selection.ts";
import { type Node, nodeKind, type Pod, podKind } from "./resources/core.ts";
import { type IPBlock, ipBlockKind } from "./resources/ip_block.ts";
import type { ResourceKind, ResourceObject } from "./resources/kind.ts";
import { type VRFDomain, vrfDomainKind } from "./resources/vrf_domain.ts";
import { type VRFDomainBinding, vrfDomainBindingKind } from "./resources/vrf_domain_binding.ts";
import { type VRFNodeConfig, vrfNodeConfigKind } from "./resources/vrf_node_config.ts";
import { type VRFNodeState, vrfNodeStateKind } from "./resources/vrf_node_state.ts";
import { type VRFRoutingPolicy, vrfRoutingPolicyKind } from "./resources/vrf_routing_policy.ts";

import { trimPod } from "./wishes/pod_lookup.ts";

/** A resource that the daemon follows and writes. */
export interface Followed<T> {
  /** The local copy. */
  readonly cache: RunningCache<T>;
  /** Requests. */
  readonly client: ResourceClient<T>;
}

/** All that the daemon follows. */
export interface NodeCaches extends AsyncDisposable {
  /** Tenants. */
  readonly domains: Followed<VRFDomain>;
  /** Which namespace goes to which tenant. */
  readonly bindings: Followed<VRFDomainBinding>;
  /** Blocks of all nodes. */
  readonly blocks: Followed<IPBlock>;
  /** Nodes of the cluster. */
  readonly nodes: Followed<Node>;
  /** Per-node settings. */
  readonly nodeConfigs: Followed<VRFNodeConfig>;
  /** What this node has applied. */
  readonly nodeStates: Followed<VRFNodeState>;
  /** Routing policies. */
  readonly policies: Followed<VRFRoutingPolicy>;
  /** CNI configuration lists. */
  readonly cniConfigs: Followed<CNIConfig>;
  /** The choice among them. */
  readonly cniConfigSelections: Followed<CNIConfigSelection>;
  /** This node's pods, trimmed to what is wished for them: a copy that may lack one, so that nothing waits for its first list. */
  readonly pods: Followed<Pod>;
  /** Follows what all nodes have applied, which the manager alone needs: five thousand nodes must not hear of each other's states. */
  followNodeStates(): RunningCache<VRFNodeState>;
  /** Milliseconds to wait before what all nodes do at the same moment. */
  turn(): number;
  /** Names of the resources whose first list has not arrived. */
  unsynced(): string[];
  /** How each resource is followed at present. */
  contacts(): readonly Contact[];
  /** Resolves once all first lists have arrived. */
  whenSynced(signal: AbortSignal): Promise<void>;
}

/** Starts following everything. */
export function startNodeCaches(
  connection: KubeConnection,
  nodeName: string,
  log: Logger,
): NodeCaches {
  const running: [string, RunningCache<ResourceObject>][] = [];
  const contact = createContactLog(log);
  const turn = createTurns({ nodes: () => nodes.cache.list().length });
  const timing = { turn };
  const follow = <T extends ResourceObject>(
    resource: ResourceKind<T>,
    scope: ListScope = {},
  ): Followed<T> => {
    const cache = startCache({ connection, resource, log, contact, timing, ...scope });
    running.push([resource.plural, cache]);
    return { cache, client: createResourceClient(connection, resource) };
  };
  // In the order in which they are named where they are missing.
  const domains = follow(vrfDomainKind);
  const bindings = follow(vrfDomainBindingKind);
  const blocks = follow(ipBlockKind);
  const nodes = follow(nodeKind);
  const pods = startCache({
    connection,
    resource: podKind,
    fieldSelector: `spec.nodeName=${nodeName}`,
    trim: trimPod,
    log,
    contact,
    timing,
  });
  return {
    pods: { cache: pods, client: createResourceClient(connection, podKind) },
    domains,
    bindings,
    blocks,
    nodes,
    nodeConfigs: follow(vrfNodeConfigKind),
    nodeStates: follow(vrfNodeStateKind, { fieldSelector: `metadata.name=${nodeName}` }),
    followNodeStates: () =>
      startCache({ connection, resource: vrfNodeStateKind, log, contact, timing }),
    turn,
    policies: follow(vrfRoutingPolicyKind),
    cniConfigs: follow(cniConfigKind),
    cniConfigSelections: follow(cniConfigSelectionKind),
    async whenSynced(signal) {
      await Promise.all(running.map(([, cache]) => cache.whenSynced(signal)));
    },
    unsynced: () => running.filter(([, cache]) => !cache.synced).map(([name]) => name),
    contacts: () =>
      [...running, [podKind.plural, pods] as const].map(([resource, cache]) => ({
        resource,
        synced: cache.synced,
        connected: cache.connected,
        restarts: cache.restarts,
        error: cache.lastError,
      })),
    async [Symbol.asyncDispose]() {
      const caches = [...running.map(([, cache]) => cache), pods];
      await Promise.all(caches.map((cache) => cache[Symbol.asyncDispose]()));
    },
  };
}
