/**
 * The phases of a run, each of which goes on where a single VRF fails: the failure is noted for that VRF alone.
 */
import { renderFrr } from "../../frr/render.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Kernel, RuleSpec, Underlay, VrfSpec } from "../kernel/port.ts";
import type { Logger } from "../log.ts";
import type { Difference } from "./difference.ts";
import type { DomainIdentity } from "./domain_report.ts";
import type { FrrFollower } from "./frr_follower.ts";
import type { Firewall } from "./nft.ts";
import { insidePrefixes, type NodePlan } from "./plan.ts";

/** The state of one run: which VRFs failed and why. */
export interface Run {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** The domains to carry, as objects. */
  readonly carried: readonly DomainIdentity[];
  /** The node's underlay. */
  readonly underlay: Underlay;
  /** What the node shall be. */
  readonly plan: NodePlan;
  /** What separates it from that. */
  readonly steps: Difference;
  /** VRFs that must not be pruned. */
  readonly keep: ReadonlySet<number>;
  /** Domains of which something is to be removed. */
  readonly going: readonly DomainIdentity[];
  /** VRFs that failed in this run, by number. */
  readonly failures: Map<number, { reason: string; message: string }>;
  /** Why FRR did not take the configuration. */
  frrFailure?: { readonly reason: string; readonly message: string };
  /** What went wrong, in words. */
  readonly problems: string[];
  /** Names of the domains that are listed on the server. */
  readonly announced: ReadonlySet<string>;
}

/** VRFs' containers that are missing or need repair. */
export function ensureVrfs(kernel: Kernel, run: Run, log: Logger): void {
  for (const spec of run.steps.ensureVrfs) {
    attempt(run, spec.vrf, "VrfFailed", () => {
      kernel.ensureVrf(spec, run.underlay);
      log.info("VRF applied", { vrf: spec.vrf, table: spec.table });
    });
  }
}

/** FRR's whole configuration. */
export async function applyFrr(follower: FrrFollower, run: Run): Promise<void> {
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
    run.frrFailure = { reason, message: messageOf(error) };
    for (const spec of run.plan.vrfs) {
      // What FRR already carries goes on; a VRF that it does not know must not get its VXLAN device yet.
      if (needsFrr(spec) && !follower.carries(spec.name)) {
        run.failures.set(spec.vrf, run.frrFailure);
      }
    }
  }
}

function needsFrr(spec: VrfSpec): boolean {
  return spec.overlays.some(({ type }) => type === "l3vni");
}

/** Bridges, gateways and VXLAN devices that are missing or need repair. */
export function ensureOverlays(kernel: Kernel, follower: FrrFollower, run: Run, log: Logger): void {
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
export async function prune(
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
export async function releaseBlocks(
  release: (vrf: number, signal: AbortSignal) => Promise<boolean>,
  run: Run,
  left: Set<number>,
): Promise<void> {
  for (const { vrf } of run.going) {
    if (left.has(vrf)) continue;
    try {
      if (!await release(vrf, run.signal)) left.add(vrf);
    } catch (error) {
      run.signal.throwIfAborted();
      run.problems.push(messageOf(error));
      left.add(vrf);
    }
  }
}

/** RPDB rules of all VRFs that stand. */
export function syncRules(kernel: Kernel, run: Run, log: Logger): void {
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

/** The nftables table. */
export async function syncFirewall(kernel: Kernel, firewall: Firewall, run: Run): Promise<void> {
  const vrfs = run.plan.vrfs.filter(({ vrf }) => !run.failures.has(vrf)).map((spec) => ({
    vrf: spec.vrf,
    ingress: kernel.ingressInterfaces(spec),
    prefixes: insidePrefixes(spec),
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
