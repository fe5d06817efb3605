/**
 * Brings the node in step with its plan: plan → apply → prune → status, from scratch each time.
 *
 * The order of the phases is what FRR survives in both VRF backends: a VRF's container first, then FRR's configuration with
 * the VNI, then bridge and VXLAN device; for removal FRR forgets the VNI first, then the links go, then the container.
 */
import type { FrrClient } from "../../frr/client.ts";
import type { FrrState } from "../../frr/protocol.ts";
import { renderFrr } from "../../frr/render.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Kernel, RuleSpec, Underlay, VrfSpec } from "../kernel/port.ts";
import type { Logger } from "../log.ts";
import { type Difference, difference } from "./difference.ts";
import { createFrrFollower, type FrrFollower } from "./frr_follower.ts";
import type { Firewall } from "./nft.ts";
import { domainCidr, type NodePlan, type PlanDomain, type PlanInput, planNode } from "./plan.ts";

/** A domain object as this node reports on it. */
export interface DomainIdentity {
  /** Name of the VRFDomain. */
  readonly name: string;
  /** UID of the object. */
  readonly uid: string;
  /** Generation that is being applied. */
  readonly generation: number;
  /** VRF number. */
  readonly vrf: number;
  /** Set while the object is being deleted but pods still hold the VRF. */
  readonly heldBy?: number;
}

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

/** Where a domain stands on this node. */
export interface DomainReport extends DomainIdentity {
  /** `Applying` before the first touch, then `Ready` or `Failed`; `Removing` until nothing is left. */
  readonly phase: "Applying" | "Ready" | "Failed" | "Removing";
  /** One word for machines. */
  readonly reason: string;
  /** For a person. */
  readonly message: string;
}

/** What a run found and did. */
export interface NodeReport {
  /** Domains carried or going. */
  readonly domains: readonly DomainReport[];
  /** FRR as last seen; undefined while it does not answer. */
  readonly frr: FrrState | undefined;
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

/** The state of one run: which VRFs failed and why. */
interface Run {
  readonly signal: AbortSignal;
  readonly gathered: Gathered;
  readonly underlay: Underlay;
  readonly plan: NodePlan;
  readonly steps: Difference;
  /** VRFs that must not be pruned. */
  readonly keep: ReadonlySet<number>;
  /** Domains of which something is to be removed. */
  readonly going: readonly DomainIdentity[];
  readonly failures: Map<number, { reason: string; message: string }>;
  readonly problems: string[];
  readonly announced: ReadonlySet<string>;
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
    const names = new Set(
      gathered.input.domains.map(({ name }) => name).filter((name) => announced.has(name)),
    );
    const plan = planNode({
      ...gathered.input,
      domains: gathered.input.domains.filter(({ name }) => names.has(name)),
      routerId: gathered.input.routerId ?? underlay.address,
      underlay,
    });
    const steps = difference(plan.vrfs, observed, underlay);
    // What could not be announced is neither applied nor removed: only an object that is gone is.
    const unannounced = gathered.carried.filter(({ name }) => !names.has(name)).map(({ vrf }) =>
      vrf
    );
    return {
      signal,
      gathered,
      keep: gathered.keepAll
        ? new Set(observed.vrfs.keys())
        : new Set([...gathered.held, ...unannounced]),
      underlay,
      plan,
      steps,
      going,
      failures: new Map(),
      problems: [],
      announced,
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
    await releaseBlocks(options, state, left);
    syncRules(kernel, state, log);
    await syncFirewall(kernel, options.firewall, state);
    await follower.settle(state.plan.frr, state.signal).catch((error) => {
      signal.throwIfAborted();
      state.problems.push(messageOf(error));
    });
    applied = new Map(
      state.plan.vrfs.filter(({ vrf }) => !state.failures.has(vrf))
        .map(({ vrf, blocks }) => [vrf, new Set(blocks)]),
    );
    return finish({
      domains: domainReports(state, left),
      frr: follower.state(),
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

function ensureVrfs(kernel: Kernel, run: Run, log: Logger): void {
  for (const spec of run.steps.ensureVrfs) {
    attempt(run, spec.vrf, "VrfFailed", () => {
      kernel.ensureVrf(spec, run.underlay);
      log.info("VRF applied", { vrf: spec.vrf, table: spec.table });
    });
  }
}

async function applyFrr(follower: FrrFollower, run: Run): Promise<void> {
  const model = {
    ...run.plan.frr,
    vrfs: run.plan.frr.vrfs.filter(({ name }) =>
      !run.plan.vrfs.some((spec) => spec.name === name && run.failures.has(spec.vrf))
    ),
  };
  try {
    await follower.apply(renderFrr(model), model, run.signal);
  } catch (error) {
    run.signal.throwIfAborted();
    run.problems.push(messageOf(error));
    const reason = error instanceof Error && "code" in error ? String(error.code) : "FrrFailed";
    for (const spec of run.plan.vrfs) {
      // What FRR already carries goes on; a VRF that it does not know must not get its VXLAN device yet.
      if (needsFrr(spec) && !follower.carries(spec.name)) {
        run.failures.set(spec.vrf, { reason, message: messageOf(error) });
      }
    }
  }
}

function needsFrr(spec: VrfSpec): boolean {
  return spec.overlays.some(({ type }) => type === "l3vni");
}

function ensureOverlays(kernel: Kernel, follower: FrrFollower, run: Run, log: Logger): void {
  for (const { vrf, overlay } of run.steps.ensureOverlays) {
    if (run.failures.has(vrf.vrf)) continue;
    attempt(run, vrf.vrf, "OverlayFailed", () => {
      kernel.ensureOverlay(vrf, overlay);
      follower.expectChange();
      log.info("Overlay applied", { vrf: vrf.vrf, vni: overlay.vni, bridge: overlay.bridge });
    });
  }
}

/** Removes what nothing wants; returns the VRF numbers of which something is left. */
async function prune(
  kernel: Kernel,
  follower: FrrFollower,
  run: Run,
  log: Logger,
): Promise<Set<number>> {
  const { steps, keep, signal } = run;
  const left = new Set<number>(keep);
  const doomed = steps.removeVrfs.filter(({ vrf }) => !keep.has(vrf));
  const kept = new Set(
    steps.removeVrfs.filter(({ vrf }) => keep.has(vrf)).map(({ name }) => name),
  );
  try {
    if (!follower.inStep() && doomed.length > 0) {
      // zebra may crash over a VRF that goes while it still has the VNI.
      throw new Error(`FRR must forget ${doomed.map(({ name }) => `"${name}"`).join(", ")} first`);
    }
    for (const { vrf, overlay } of steps.removeOverlays) {
      if (!kept.has(vrf)) await kernel.removeOverlay(vrf, overlay);
    }
    for (const vrf of doomed) await kernel.detachVrf(vrf);
    await follower.awaitEmpty(doomed.map(({ name }) => name), kernel.backend, signal);
    for (const vrf of doomed) {
      await kernel.removeVrf(vrf);
      log.info("VRF removed", { vrf: vrf.vrf });
    }
    if (doomed.length > 0) await follower.forget(doomed.map(({ name }) => name), signal);
  } catch (error) {
    signal.throwIfAborted();
    run.problems.push(messageOf(error));
    log.error("Removal failed", { error: messageOf(error) });
    for (const { vrf } of doomed) left.add(vrf);
  }
  return left;
}

/** Gives back the blocks of VRFs that have left the kernel; adds to `left` where that fails. */
async function releaseBlocks(
  options: NodeReconcilerOptions,
  run: Run,
  left: Set<number>,
): Promise<void> {
  for (const { vrf } of run.going) {
    if (left.has(vrf)) continue;
    try {
      if (!await options.releaseBlocks(vrf, run.signal)) left.add(vrf);
    } catch (error) {
      run.signal.throwIfAborted();
      run.problems.push(messageOf(error));
      left.add(vrf);
    }
  }
}

function syncRules(kernel: Kernel, run: Run, log: Logger): void {
  const failed = new Set(
    run.plan.vrfs.filter(({ vrf }) => run.failures.has(vrf)).map(({ table }) => table),
  );
  const rules = run.plan.rules.filter((rule: RuleSpec) => !failed.has(rule.table));
  try {
    const { added, deleted } = kernel.syncRules(rules);
    if (added + deleted > 0) log.info("Policy rules applied", { added, deleted });
  } catch (error) {
    run.problems.push(messageOf(error));
  }
}

async function syncFirewall(kernel: Kernel, firewall: Firewall, run: Run): Promise<void> {
  const prefixes = new Map(
    run.gathered.input.domains.map((domain: PlanDomain) => [domain.vrf, domainCidr(domain)]),
  );
  const vrfs = run.plan.vrfs.filter(({ vrf }) => !run.failures.has(vrf)).map((spec) => ({
    vrf: spec.vrf,
    ingress: kernel.ingressInterfaces(spec),
    prefixes: [prefixes.get(spec.vrf) ?? ""].filter((prefix) => prefix !== ""),
  }));
  try {
    await firewall.sync({ defaultLink: run.underlay.ifname, vrfs }, run.signal);
  } catch (error) {
    run.signal.throwIfAborted();
    run.problems.push(messageOf(error));
  }
}

function attempt(run: Run, vrf: number, reason: string, action: () => void): void {
  if (run.failures.has(vrf)) return;
  try {
    action();
  } catch (error) {
    run.failures.set(vrf, { reason, message: messageOf(error) });
    run.problems.push(`VRF ${vrf}: ${messageOf(error)}`);
  }
}

function before(domain: DomainIdentity, known: boolean): DomainReport {
  return known
    ? { ...domain, phase: "Ready", reason: "Applied", message: "" }
    : { ...domain, phase: "Applying", reason: "Applying", message: "" };
}

function removing(domain: DomainIdentity): DomainReport {
  return { ...domain, phase: "Removing", reason: "Removing", message: "" };
}

function domainReports(run: Run, left: ReadonlySet<number>): DomainReport[] {
  const carried = run.gathered.carried.map((domain): DomainReport => {
    const failure = run.failures.get(domain.vrf);
    if (failure !== undefined) return { ...domain, phase: "Failed", ...failure };
    if (!run.announced.has(domain.name)) return before(domain, false);
    if (domain.heldBy !== undefined) {
      const message = `${domain.heldBy} attachments still use the VRF: delete the pods`;
      return { ...domain, phase: "Removing", reason: "PodsAttached", message };
    }
    return { ...domain, phase: "Ready", reason: "Applied", message: "" };
  });
  return [...carried, ...run.going.filter(({ vrf }) => left.has(vrf)).map(removing)];
}
