/**
 * Brings the node in step with its plan: plan → apply → prune → status, from scratch each time.
 *
 * The order of the phases is what FRR survives in both VRF backends: a VRF's container first, then FRR's configuration with
 * the VNI, then bridge and VXLAN device; for removal FRR forgets the VNI first, then the links go, then the container.
 */
import type { FrrClient } from "../../frr/client.ts";
import type { FrrState } from "../../frr/protocol.ts";
import { messageOf } from "../../lib/errors.ts";
import type { ForwardingHold } from "../forwarding/forwarding_hold.ts";
import type { Kernel, Underlay } from "../kernel/port.ts";
import type { Logger } from "../log.ts";
import type { PodNetwork } from "../pod/port.ts";
import { difference } from "./difference.ts";
import {
  before,
  type DomainIdentity,
  type DomainReport,
  domainReports,
  removing,
} from "./domain_report.ts";
import { createExtraGuard } from "./extra_config.ts";
import { createFrrFollower } from "./frr_follower.ts";
import type { NodeFirewall } from "../firewall/node_firewall.ts";
import { keepNextHops, type NextHops } from "./keep_next_hops.ts";
import { applyFrr, createAddressSync, reportExtras, settle } from "./frr_phases.ts";
import { syncGateways } from "./gateway_sync.ts";
import { failClosed, syncFirewall, syncRules, syncVtepRoutes } from "./guard_phases.ts";
import { reportCramped, reportHidden, unsupported } from "./reported_limits.ts";
import type { Run } from "./run.ts";
import {
  ensureOverlays,
  ensureVrfs,
  fitPods,
  forwardingSpaces,
  prune,
  releaseBlocks,
} from "./vrf_phases.ts";
import { type PolicyIdentity, type PolicyReport, policyReports } from "./policy_report.ts";
import { type NodePlan, planNode } from "./plan.ts";
import type { PlanInput } from "./plan_input.ts";
import type { PeerOverLimit, PrefixLimits } from "./prefix_limits.ts";
import { type NodeVtep, type ReachInput, reachOf } from "./reach.ts";
import { type Announcements, relayAnnouncements } from "./relay_announcements.ts";

/** What the reconciler reads at the start of a run. */
export interface Gathered {
  /** The plan's input but for what depends on the underlay. */
  readonly input: Omit<PlanInput, "underlay" | "routerId" | "peers" | "vteps">;
  /** What is known of the other nodes. */
  readonly reach: ReachInput;
  /** Interface and address that the node's configuration asks for. */
  readonly underlay?: { readonly ifname: string; readonly address: string };
  /** The domains that the plan carries. */
  readonly carried: readonly DomainIdentity[];
  /** Domains that are being deleted and that no pod holds. */
  readonly going: readonly DomainIdentity[];
  /** Policies, as objects. */
  readonly policies: readonly PolicyIdentity[];
  /** VRFs with attachments: never pruned. */
  readonly held: ReadonlySet<number>;
  /** What is wrong with Secrets of peers' passwords, in words. */
  readonly passwordProblems: readonly string[];
  /** Set while an object cannot be read: nobody knows then which VRFs are unwanted. */
  readonly keepAll: boolean;
}

/** What a run found and did. */
export interface NodeReport {
  /** Domains carried or going. */
  readonly domains: readonly DomainReport[];
  /** Policies of the domains carried. */
  readonly policies: readonly PolicyReport[];
  /** FRR as last seen; undefined while it does not answer. */
  readonly frr: FrrState | undefined;
  /** Why FRR did not take the configuration of this run; undefined when it did. */
  readonly frrFailure?: { readonly reason: string; readonly message: string } | undefined;
  /** Peers with more routes than they may send; none when absent. */
  readonly overLimit?: readonly PeerOverLimit[] | undefined;
  /** Whether some peer may send only so many. */
  readonly limited?: boolean | undefined;
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
  readonly firewall: NodeFirewall;
  /** The FRR agent's client. */
  readonly frr: FrrClient;
  /** Changes running pods' interfaces. */
  readonly pods: Pick<PodNetwork, "fit">;
  /** Keeps the next hops that zebra loses. */
  readonly nextHops: NextHops;
  /** How many routes peers may send. */
  readonly limits: PrefixLimits;
  /** Keeps what FRR takes out of the kernel while BGP is away. */
  readonly forwarding: Pick<ForwardingHold, "follow" | "leave" | "saw">;
  /** Carries pods' ARP announcements. */
  readonly announcements: Announcements;
  /** Reads caches and pool. */
  readonly gather: () => Gathered;
  /** Takes where the other nodes are, before anything is done. */
  readonly reached: (vteps: readonly NodeVtep[]) => void;
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
  const extras = createExtraGuard();
  const syncAddresses = createAddressSync(kernel, follower, log);
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
    const { problems, peers: wanted, ...reach } = reachOf(gathered.reach, underlay);
    const { peers, overLimit, limited } = options.limits.judge(wanted);
    options.reached(reach.vteps);
    const plan = planNode({
      ...gathered.input,
      ...reach,
      peers,
      domains: gathered.input.domains.filter(({ name }) => names.has(name)),
      outward: kernel.outwardLinks(underlay),
      underlay,
    });
    const steps = difference(plan.vrfs, observed, underlay);
    return {
      signal,
      carried: gathered.carried,
      policies: gathered.policies,
      keep: gathered.keepAll ? new Set(observed.vrfs.keys()) : gathered.held,
      underlay,
      plan,
      steps,
      going,
      failures: new Map([...unmarked(plan), ...unsupported(plan)]),
      refusedPolicies: new Map(),
      problems: [...problems, ...gathered.passwordProblems],
      announced: names,
      overLimit,
      limited,
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
        policies: [],
        frr: undefined,
        problems: [messageOf(error)],
        underlay: undefined,
      });
    }
    ensureVrfs(kernel, state, log);
    options.forwarding.follow(forwardingSpaces(kernel, state));
    await applyFrr({ kernel, follower, extras, log }, state);
    ensureOverlays(kernel, follower, state, log);
    await keepNextHops(kernel, options.nextHops, options.frr, state);
    relayAnnouncements(kernel, options.announcements, state);
    const left = await prune(kernel, follower, options.forwarding, state, log);
    await releaseBlocks(options.releaseBlocks, state, left);
    syncRules(kernel, state, log);
    syncVtepRoutes(kernel, state, log);
    await syncFirewall(kernel, options.firewall, state);
    failClosed(state);
    applied = new Map(
      state.plan.vrfs.filter(({ vrf }) => !state.failures.has(vrf))
        .map(({ vrf, blocks }) => [vrf, new Set(blocks)]),
    );
    await settle(follower, state);
    await syncGateways(kernel, follower, log, state);
    await syncAddresses(state);
    fitPods(kernel, options.pods, state, log);
    reportCramped(state);
    reportHidden(state);
    reportExtras(state);
    return finish({
      domains: domainReports(state, left),
      policies: policyReports(state),
      frr: follower.state(),
      frrFailure: state.frrFailure ?? missingPassword(gathered.passwordProblems) ??
        shutDown(state.overLimit),
      overLimit: state.overLimit,
      limited: state.limited,
      problems: state.problems,
      underlay: state.underlay,
    });
  }

  function finish(report: NodeReport): NodeReport {
    if (report.frr !== undefined) options.limits.saw(report.frr.peers);
    options.forwarding.saw(report.frr);
    options.report(report);
    return report;
  }

  return {
    run,
    isApplied: (vrf, block) => applied.get(vrf)?.has(block) ?? false,
  };
}

/** What became of FRR's configuration where peers' passwords could not be read. */
function missingPassword(problems: readonly string[]): NodeReport["frrFailure"] {
  return problems.length === 0
    ? undefined
    : { reason: "PasswordMissing", message: problems.join("; ") };
}

/** What is not as wanted where peers have sent too many routes. */
function shutDown(peers: readonly PeerOverLimit[]): NodeReport["frrFailure"] {
  const shut = peers.filter(({ shut }) => shut);
  return shut.length === 0
    ? undefined
    : { reason: "MaxPrefixesExceeded", message: shut.map(({ message }) => message).join("; ") };
}

/** A VRF without a mark of its own cannot be told from another one: it is not carried at all. */
function unmarked({ unmarked, markMask }: NodePlan): Run["failures"] {
  return new Map([...unmarked].map(([vrf, holder]) => [vrf, {
    reason: "MarkInUse",
    message: holder === undefined
      ? `Expected a packet mark for VRF ${vrf} within the mask 0x${
        markMask.toString(16)
      }, found none that can be used; give the domain another VRF number or "[node] mark_mask" more bits`
      : `Expected a packet mark for VRF ${vrf} within the mask 0x${
        markMask.toString(16)
      }, found it used by VRF ${holder}; give one of them another VRF number or "[node] mark_mask" more bits`,
  }]));
}
