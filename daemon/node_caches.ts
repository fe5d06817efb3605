/** The daemon's local copies of what it acts on, and its clients for what it writes. */
import type { KubeConnection } from "./kube/connect.ts";
import type { ResourceClient } from "./kube/port.ts";
import { type RunningCache, startCache } from "./kube/resource_cache.ts";
import { createResourceClient } from "./kube/resource_client.ts";
import type { Logger } from "./log.ts";
import { type CNIConfig, cniConfigKind } from "./resources/cni_config.ts";
import {
  type CNIConfigSelection,
  cniConfigSelectionKind,
} from "./resources/cni_config_selection.ts";
import { type Node, nodeKind } from "./resources/core.ts";
import { type IPBlock, ipBlockKind } from "./resources/ip_block.ts";
import type { ResourceKind, ResourceObject } from "./resources/kind.ts";
import { type VRFDomain, vrfDomainKind } from "./resources/vrf_domain.ts";
import { type VRFDomainBinding, vrfDomainBindingKind } from "./resources/vrf_domain_binding.ts";
import { type VRFNodeConfig, vrfNodeConfigKind } from "./resources/vrf_node_config.ts";
import { type VRFNodeState, vrfNodeStateKind } from "./resources/vrf_node_state.ts";
import { type VRFRoutingPolicy, vrfRoutingPolicyKind } from "./resources/vrf_routing_policy.ts";

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
  /** What the nodes have applied. */
  readonly nodeStates: Followed<VRFNodeState>;
  /** Routing policies. */
  readonly policies: Followed<VRFRoutingPolicy>;
  /** CNI configuration lists. */
  readonly cniConfigs: Followed<CNIConfig>;
  /** The choice among them. */
  readonly cniConfigSelections: Followed<CNIConfigSelection>;
  /** Names of the resources whose first list has not arrived. */
  unsynced(): string[];
  /** Resolves once all first lists have arrived. */
  whenSynced(signal: AbortSignal): Promise<void>;
}

/** Starts following everything. */
export function startNodeCaches(connection: KubeConnection, log: Logger): NodeCaches {
  const running: [string, RunningCache<ResourceObject>][] = [];
  const follow = <T extends ResourceObject>(resource: ResourceKind<T>): Followed<T> => {
    const cache = startCache({ connection, resource, log });
    running.push([resource.plural, cache]);
    return { cache, client: createResourceClient(connection, resource) };
  };
  return {
    domains: follow(vrfDomainKind),
    bindings: follow(vrfDomainBindingKind),
    blocks: follow(ipBlockKind),
    nodes: follow(nodeKind),
    nodeConfigs: follow(vrfNodeConfigKind),
    nodeStates: follow(vrfNodeStateKind),
    policies: follow(vrfRoutingPolicyKind),
    cniConfigs: follow(cniConfigKind),
    cniConfigSelections: follow(cniConfigSelectionKind),
    async whenSynced(signal) {
      await Promise.all(running.map(([, cache]) => cache.whenSynced(signal)));
    },
    unsynced: () => running.filter(([, cache]) => !cache.synced).map(([name]) => name),
    async [Symbol.asyncDispose]() {
      await Promise.all(running.map(([, cache]) => cache[Symbol.asyncDispose]()));
    },
  };
}
