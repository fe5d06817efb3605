/**
 * Brings the node in step with its plan: plan → apply → prune → status, from scratch each time.
 *
 * The order of the phases is what FRR survives in both VRF backends: a VRF's container first, then FRR's configuration with
 * the VNI, then bridge and VXLAN device; for removal FRR forgets the VNI first, then the links go, then the container.
 */
import type { FrrClient } from "../../frr/client.ts";
import type { FrrState } from "../../frr/protocol.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Kernel, Underlay } from "../kernel/port.ts";
import type { Logger } from "../log.ts";
import { difference } from "./difference.ts";
import {
  before,
  type DomainIdentity,
  type DomainReport,
  domainReports,
  removing,
} from "./domain_report.ts";
import { createFrrFollower } from "./frr_follower.ts";
import type { Firewall } from "./nft.ts";
import {
  applyFrr,
  ensureOverlays,
  ensureVrfs,
  prune,
  releaseBlocks,
  type Run,
  syncFirewall,
  syncRules,
} from "./phases.ts";
import { type PlanInput, planNode } from "./plan.ts";

/** What the reconciler reads at the start of a run. */
export interface Gathered {
  /** The plan's input but for the underlay. */
  readonly input: Omit<PlanInput, "underlay" | "routerId"> & { readonly routerId?: string };
  /** Interface and address that the node's configuration asks for. */
  readonly underlay?: { readonly ifname: string; readonly address: string };
  /** The domains that the plan carries. */
  readonly carried: readonly DomainIdentity[];
  /** Domains that are being deleted and that no pod holds. */
  readonly going: readonly DomainIdentity[];
  /** VRFs with attachments: never pruned. */
  readonly held: ReadonlySet<number>;
  /** Set while an object cannot be read: nobody knows then which VRFs are unwanted. */
  readonly keepAll: boolean;
}

/** What a run found and did. */
export interface NodeReport {
  /** Domains carried or going. */
  readonly domains: readonly DomainReport[];
  /** FRR as last seen; undefined while it does not answer. */
  readonly frr: FrrState | undefined;
  /** Why FRR did not take the configuration of this run; undefined when it did. */
  readonly frrFailure?: { readonly reason: string; readonly message: string } | undefined;
  /** Why the node is not in step, in words; empty when it is. */
  readonly problems: readonly string[];
  /** The underlay, once known. */
  readonly underlay: Underlay | undefined;
}

/** What the reconciler works with. */
export interface NodeReconcilerOptions {
  /** The node's kernel. */
  readonly kernel: Kernel;
  /** The node's firewall. */
  readonly firewall: Firewall;
  /** The FRR agent's client. */
  readonly frr: FrrClient;
  /** Reads caches and pool. */
  readonly gather: () => Gathered;
  /**
   * Lists domains in the node's state before the kernel is touched for them; resolves to the names that are listed on the
   * server. A domain that is not is left for the next run: its finalizer could go while this node still carries it.
   */
  readonly announce: (
    domains: readonly DomainReport[],
    signal: AbortSignal,
  ) => Promise<ReadonlySet<string>>;
  /** Whether this node holds blocks of a VRF. */
  readonly holdsBlocks: (vrf: number) => boolean;
  /** Gives back this node's blocks of a VRF that is gone from the kernel; resolves to whether none is left. */
  readonly releaseBlocks: (vrf: number, signal: AbortSignal) => Promise<boolean>;
  /** Takes the outcome of each run. */
  readonly report: (report: NodeReport) => void;
  /** For what is done and what fails. */
  readonly log: Logger;
}

/** The node's reconciler. Runs must not overlap: the caller coalesces. */
export interface NodeReconciler {
  /** One whole run. Rejects only when aborted; everything else is in the report. */
  run(signal: AbortSignal): Promise<NodeReport>;
  /** Whether pods can attach to the VRF with an address of the block. */
  isApplied(vrf: number, block: string): boolean;
}

/** Makes a reconciler. */
export function createNodeReconciler(options: NodeReconcilerOptions): NodeReconciler {
  const { kernel, log } = options;
  const follower = createFrrFollower(options.frr, log);
  let applied: ReadonlyMap<number, ReadonlySet<string>> = new Map();

  async function start(gathered: Gathered, signal: AbortSignal): Promise<Run> {
    const underlay = kernel.underlay(gathered.underlay);
    const observed = kernel.observe();
    const going = gathered.going.filter(({ vrf }) =>
      observed.vrfs.has(vrf) || options.holdsBlocks(vrf)
    );
    const announced = await options.announce([
      ...gathered.carried.map((domain) => before(domain, applied.has(domain.vrf))),
      ...going.map(removing),
    ], signal);
    // What stands on the node already is carried on with; only a first touch must wait until it is announced.
    const names = new Set(
      gathered.carried.filter(({ name, vrf }) => announced.has(name) || observed.vrfs.has(vrf))
        .map(({ name }) => name),
    );
    const plan = planNode({
      ...gathered.input,
      domains: gathered.input.domains.filter(({ name }) => names.has(name)),
      routerId: gathered.input.routerId ?? underlay.address,
      underlay,
    });
    const steps = difference(plan.vrfs, observed, underlay);
    return {
      signal,
      carried: gathered.carried,
      keep: gathered.keepAll ? new Set(observed.vrfs.keys()) : gathered.held,
      underlay,
      plan,
      steps,
      going,
      failures: new Map(),
      problems: [],
      announced: names,
    };
  }

  async function run(signal: AbortSignal): Promise<NodeReport> {
    const gathered = options.gather();
    let state: Run;
    try {
      state = await start(gathered, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.error("Cannot plan the node", { error: messageOf(error) });
      return finish({
        domains: [],
        frr: undefined,
        problems: [messageOf(error)],
        underlay: undefined,
      });
    }
    ensureVrfs(kernel, state, log);
    await applyFrr(follower, state);
    ensureOverlays(kernel, follower, state, log);
    const left = await prune(kernel, follower, state, log);
    await releaseBlocks(options.releaseBlocks, state, left);
    syncRules(kernel, state, log);
    await syncFirewall(kernel, options.firewall, state);
    applied = new Map(
      state.plan.vrfs.filter(({ vrf }) => !state.failures.has(vrf))
        .map(({ vrf, blocks }) => [vrf, new Set(blocks)]),
    );
    await follower.settle(state.plan.frr, state.signal).catch((error) => {
      signal.throwIfAborted();
      state.problems.push(messageOf(error));
    });
    return finish({
      domains: domainReports(state, left),
      frr: follower.state(),
      frrFailure: state.frrFailure,
      problems: state.problems,
      underlay: state.underlay,
    });
  }

  function finish(report: NodeReport): NodeReport {
    options.report(report);
    return report;
  }

  return {
    run,
    isApplied: (vrf, block) => applied.get(vrf)?.has(block) ?? false,
  };
}
