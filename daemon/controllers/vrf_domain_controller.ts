import { createTrigger } from "../kube/coalescing_runner.ts";
import type { EventRecorder } from "../kube/events.ts";
import { addFinalizer, removeFinalizer } from "../kube/finalizer.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Logger } from "../log.ts";
import { type Condition, findCondition } from "../resources/conditions.ts";
import type { Node } from "../resources/core.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import type { VRFDomain } from "../resources/vrf_domain.ts";
import type { VRFDomainBinding } from "../resources/vrf_domain_binding.ts";
import type { VRFNodeState } from "../resources/vrf_node_state.ts";
import type { VRFRoutingPolicy } from "../resources/vrf_routing_policy.ts";
import { bindingStatus } from "./binding_status.ts";
import { type DefaultDomain, ensureDefaultDomain } from "./default_domain.ts";
import { type Acceptance, acceptDomains, type Refusal } from "./domain_resolution.ts";
import { misnamedBlockStatus } from "./misnamed_block.ts";
import { createOrphanedBlocks, type OrphanedBlocks } from "./orphaned_blocks.ts";
import { type PolicyShares, policyShares, policyStatus } from "./policy_status.ts";
import { recordRefusal } from "./refusal_event.ts";
import { domainStatus, liveStates, remainsOf, sharesOf } from "./vrf_domain_status.ts";
import { writeStatus } from "./write_status.ts";

/** The finalizer that keeps a VRFDomain until each live node is done with it. */
export const vrfDomainFinalizer = "cni.pyroute2.org/vrf-domain";

/** A resource with its local copy and its client. */
export interface Followed<T> {
  /** The local copy. */
  readonly cache: ResourceCache<T>;
  /** Requests. */
  readonly client: ResourceClient<T>;
}

/** The resources that the controller looks at. */
export interface ManagedResources {
  /** Tenants. */
  readonly domains: Followed<VRFDomain>;
  /** Which namespace goes to which tenant. */
  readonly bindings: Followed<VRFDomainBinding>;
  /** Blocks of all nodes. */
  readonly blocks: Followed<IPBlock>;
  /** Nodes of the cluster. */
  readonly nodes: Followed<Node>;
  /** What the nodes have applied. */
  readonly nodeStates: Followed<VRFNodeState>;
  /** Routing policies. */
  readonly policies: Followed<VRFRoutingPolicy>;
}

/** Timing of the controller, in milliseconds. */
export interface DomainControllerTiming {
  /** Quiet time after a change; 100 when absent. */
  readonly debounceMs?: number;
  /** Longest wait after a change; 1 000 when absent. */
  readonly maxDelayMs?: number;
  /** Time between two runs without a change; 60 000 when absent. */
  readonly resyncMs?: number;
  /** How long a node must be gone before its blocks are released; 300 000 when absent. */
  readonly blockGraceMs?: number;
}

/** What the controller works with. */
export interface DomainControllerOptions {
  /** Resources. */
  readonly resources: ManagedResources;
  /** Tables below it are of service VRFs. */
  readonly serviceVrfMax: number;
  /** The installation's AS number. */
  readonly asn: number;
  /** Created when no VRFDomain exists at all. */
  readonly defaultDomain: DefaultDomain;
  /** For refusals, seen by `kubectl describe`. */
  readonly events?: EventRecorder;
  /** For what is done and what fails. */
  readonly log: Logger;
  /** Timing. */
  readonly timing?: DomainControllerTiming;
}

/** Keeps finalizers, statuses and orphaned blocks in order. Runs on the elected manager alone. */
export interface DomainController {
  /** Works until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** Makes the controller. */
export function createVrfDomainController(options: DomainControllerOptions): DomainController {
  const { resources, timing = {} } = options;
  return {
    async run(signal) {
      const orphans = createOrphanedBlocks({
        ...resources,
        graceMs: timing.blockGraceMs ?? 300_000,
        log: options.log,
      });
      const pass = new Pass(options, orphans);
      let again: ReturnType<typeof setTimeout> | undefined;
      const trigger = createTrigger({
        run: async (each) => {
          clearTimeout(again);
          const next = await pass.run(each);
          if (next !== undefined && !signal.aborted) again = setTimeout(() => trigger.mark(), next);
        },
        debounceMs: timing.debounceMs ?? 100,
        maxDelayMs: timing.maxDelayMs ?? 1_000,
        resyncMs: timing.resyncMs ?? 60_000,
        failed: (error) =>
          options.log.warn("VRF domains are not all in order", { error: messageOf(error) }),
        signal,
      });
      const caches = [
        resources.domains,
        resources.bindings,
        resources.blocks,
        resources.nodes,
        resources.nodeStates,
        resources.policies,
      ].map(({ cache }) => cache);
      const unsubscribe = caches.map((cache) => cache.subscribe(() => trigger.mark()));
      trigger.mark();
      try {
        await trigger.stopped;
      } finally {
        clearTimeout(again);
        for (const stop of unsubscribe) stop();
      }
    },
  };
}

/** What one run sees. */
interface View {
  readonly acceptance: Acceptance;
  readonly refusals: ReadonlyMap<string, Refusal>;
  readonly live: readonly VRFNodeState[];
  readonly blocks: readonly IPBlock[];
  readonly policies: PolicyShares;
  /** The condition `Ready` that this run gave to each domain, by name. */
  readonly ready: Map<string, Condition>;
}

class Pass {
  readonly #options: DomainControllerOptions;
  readonly #orphans: OrphanedBlocks;

  constructor(options: DomainControllerOptions, orphans: OrphanedBlocks) {
    this.#options = options;
    this.#orphans = orphans;
  }

  /** One run over everything. One object's failure holds up no other; the run fails in the end. */
  async run(signal: AbortSignal): Promise<number | undefined> {
    const { domains, bindings, blocks, nodes, nodeStates, policies } = this.#options.resources;
    const followed = [domains, bindings, blocks, nodes, nodeStates, policies];
    // An empty copy says nothing before the first list.
    if (!followed.every(({ cache }) => cache.synced)) return;
    const failures: unknown[] = [];
    const attempt = async (action: () => Promise<void>) => {
      try {
        await action();
      } catch (error) {
        signal.throwIfAborted();
        failures.push(error);
      }
    };
    await attempt(() => this.#ensureDefault(signal));
    const view = this.#view();
    for (const domain of domains.cache.list()) {
      await attempt(() => this.#keepFinalizer(domain, view, signal));
      await attempt(() => this.#reportDomain(domain, view, signal));
    }
    for (const binding of bindings.cache.list()) {
      await attempt(() => this.#reportBinding(binding, view, signal));
    }
    for (const policy of policies.cache.list()) {
      await attempt(() => this.#reportPolicy(policy, view, signal));
    }
    for (const block of view.blocks) {
      await attempt(() => this.#reportBlock(block, signal));
    }
    let next: number | undefined;
    await attempt(async () => {
      next = await this.#orphans.release(signal);
    });
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, failures.map(messageOf).join("; "));
    return next;
  }

  #view(): View {
    const { domains, nodes, nodeStates, blocks } = this.#options.resources;
    const acceptance = acceptDomains(domains.cache.list(), this.#options);
    const live = liveStates(nodes.cache.list(), nodeStates.cache.list());
    return {
      acceptance,
      refusals: new Map(acceptance.refused.map((refusal) => [refusal.name, refusal])),
      live,
      blocks: blocks.cache.list(),
      policies: policyShares(live),
      ready: new Map(),
    };
  }

  async #ensureDefault(signal: AbortSignal): Promise<void> {
    const { resources: { domains }, defaultDomain, log } = this.#options;
    if (domains.cache.list().length + domains.cache.invalid().size > 0) return;
    if (await ensureDefaultDomain(domains.client, defaultDomain, signal)) {
      log.info("Default domain created", { domain: defaultDomain.name });
    }
  }

  async #keepFinalizer(domain: VRFDomain, view: View, signal: AbortSignal): Promise<void> {
    const { resources: { domains, nodes, nodeStates, blocks }, log } = this.#options;
    const { name, deletionTimestamp, finalizers = [] } = domain.metadata;
    if (deletionTimestamp === undefined) {
      if (!finalizers.includes(vrfDomainFinalizer)) {
        await addFinalizer(domains.client, domain, vrfDomainFinalizer, signal);
      }
      return;
    }
    if (!finalizers.includes(vrfDomainFinalizer)) return;
    const refused = view.refusals.has(name);
    if (!isGone(remainsOf(domain, view.live, view.blocks, refused))) return;
    // The copies may be behind what a node has announced: the server is asked before the object goes for good.
    const live = liveStates(await nodes.client.list(signal), await nodeStates.client.list(signal));
    const left = refused ? [] : await blocks.client.list(signal);
    if (!isGone(remainsOf(domain, live, left, refused))) return;
    await removeFinalizer(domains.client, domain, vrfDomainFinalizer, signal);
    log.info("Domain released", { domain: name, vrf: domain.spec.vrf });
  }

  async #reportDomain(domain: VRFDomain, view: View, signal: AbortSignal): Promise<void> {
    const { resources: { domains }, events } = this.#options;
    const refusal = view.refusals.get(domain.metadata.name);
    const remains = remainsOf(domain, view.live, view.blocks, refusal !== undefined);
    // What goes away in this very run gets no last words.
    if (domain.metadata.deletionTimestamp !== undefined && isGone(remains)) return;
    const status = domainStatus(domain, sharesOf(domain, view.live), remains, refusal, new Date());
    const ready = findCondition(status.conditions, "Ready");
    if (ready !== undefined) view.ready.set(domain.metadata.name, ready);
    recordRefusal(events, domain, domain.status?.conditions, status.conditions);
    await writeStatus(domains.client, domain, domain.status, status, signal);
  }

  async #reportBinding(
    binding: VRFDomainBinding,
    view: View,
    signal: AbortSignal,
  ): Promise<void> {
    const { resources: { bindings }, events } = this.#options;
    const status = bindingStatus(
      binding,
      bindings.cache.list(),
      view.acceptance,
      view.ready.get(binding.spec.vrfDomainRef.name),
      new Date(),
    );
    recordRefusal(events, binding, binding.status?.conditions, status.conditions);
    await writeStatus(bindings.client, binding, binding.status, status, signal);
  }

  /** A block that claims nothing is nobody's: no node would tell. */
  async #reportBlock(block: IPBlock, signal: AbortSignal): Promise<void> {
    const { resources: { blocks }, events } = this.#options;
    const status = misnamedBlockStatus(block, new Date());
    if (status === undefined) return;
    recordRefusal(events, block, block.status?.conditions, status.conditions);
    await writeStatus(blocks.client, block, block.status, status, signal);
  }

  async #reportPolicy(policy: VRFRoutingPolicy, view: View, signal: AbortSignal): Promise<void> {
    const { resources: { policies }, events } = this.#options;
    const nodes = view.live.map(({ metadata }) => metadata.name);
    const status = policyStatus(policy, view.acceptance, nodes, view.policies, new Date());
    recordRefusal(events, policy, policy.status?.conditions, status.conditions);
    await writeStatus(policies.client, policy, policy.status, status, signal);
  }
}

function isGone(remains: { nodes: readonly string[]; blocks: readonly string[] }): boolean {
  return remains.nodes.length + remains.blocks.length === 0;
}
