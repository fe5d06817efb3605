/** The phases of a run that make, mend and remove VRFs in the kernel; where a single VRF fails, that is noted for it alone. */
import { messageOf } from "../../lib/errors.ts";
import type { ForwardingHold, ForwardingSpace } from "../forwarding/forwarding_hold.ts";
import type { Kernel } from "../kernel/port.ts";
import type { Logger } from "../log.ts";
import type { PodNetwork } from "../pod/port.ts";
import type { FrrFollower } from "./frr_follower.ts";
import { attempt, type Run } from "./run.ts";

/** VRFs' containers that are missing or need repair. */
export function ensureVrfs(kernel: Kernel, run: Run, log: Logger): void {
  for (const spec of run.steps.ensureVrfs) {
    attempt(run, spec.vrf, "VrfFailed", () => {
      kernel.ensureVrf(spec, run.underlay);
      log.info("VRF applied", { vrf: spec.vrf, table: spec.table });
    });
  }
}

/** The namespaces in which FRR makes routes: one a VRF, or the host's for all. */
export function forwardingSpaces(kernel: Kernel, run: Run): readonly ForwardingSpace[] {
  const spaces = new Map<string, ForwardingSpace>();
  for (const { vrf, name } of run.plan.vrfs) {
    const netns = kernel.namespace(vrf);
    if (netns === null) spaces.set("host", { name: "host", netns });
    else if (netns !== undefined) spaces.set(name, { name, netns });
  }
  return [...spaces.values()];
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
  forwarding: Pick<ForwardingHold, "leave">,
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
      forwarding.leave(vrf.name);
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

/**
 * Running pods whose interface has another MTU than their overlay. Where the namespace of one is out of reach and it may go on sending what
 * the overlay has no room for, its domain has failed, though everything else of it works.
 */
export function fitPods(
  kernel: Kernel,
  pods: Pick<PodNetwork, "fit">,
  run: Run,
  log: Logger,
): void {
  for (const [spec, misfits] of Map.groupBy(run.steps.fitPods, ({ vrf }) => vrf)) {
    const connection = kernel.connection(spec.vrf);
    if (connection === undefined) continue;
    attempt(run, spec.vrf, "OverlayFailed", () => {
      const tried = misfits.map((misfit) => ({
        ...misfit,
        found: pods.fit(connection, misfit.port, misfit.mtu),
      }));
      const fitted = tried.filter(({ found, mtu }) => found === mtu).length;
      if (fitted > 0) log.info("MTU of pods changed", { vrf: spec.vrf, pods: fitted });
      const large = tried.filter(({ found, mtu }) => found !== undefined && found > mtu);
      const [first] = large;
      if (first !== undefined) {
        const message =
          `Expected pods with an MTU of ${first.mtu} at most, found ${large.length} with more whose network namespace is out of reach, ` +
          `such as "${first.port.netnsPath}"; make them anew`;
        run.failures.set(spec.vrf, { reason: "PodMTUTooLarge", message });
      }
    });
  }
}
