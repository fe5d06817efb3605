/** The phases of a run that concern FRR, each of which goes on where a single VRF fails: the failure is noted for that VRF alone. */
import type { FrrModel } from "../../frr/model.ts";
import { renderFrr } from "../../frr/render.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Kernel, OverlaySpec, VrfSpec } from "../kernel/port.ts";
import type { Logger } from "../log.ts";
import type { ExtraGuard } from "./extra_config.ts";
import type { FrrFollower } from "./frr_follower.ts";
import { attempt, type Run, standingVrf } from "./run.ts";

/** What the phase works with that gives FRR its configuration. */
export interface ApplyFrrDeps {
  /** The node's kernel. */
  readonly kernel: Pick<Kernel, "announceVrf">;
  /** FRR. */
  readonly follower: FrrFollower;
  /** Keeps lines away from FRR that it does not take. */
  readonly extras: ExtraGuard;
  /** For what is done. */
  readonly log: Logger;
}

/** FRR's whole configuration, but for VRFs that have failed or that zebra does not know. */
export async function applyFrr(deps: ApplyFrrDeps, run: Run): Promise<void> {
  const { follower, extras } = deps;
  try {
    await awaitVrfs(deps, run);
    const failed = new Set(
      run.plan.vrfs.filter(({ vrf }) => run.failures.has(vrf)).map(({ name }) => name),
    );
    const vrfs = run.plan.frr.vrfs.filter(({ name }) => !failed.has(name));
    const model = { ...run.plan.frr, vrfs };
    const possible = withoutMissingBfd(model, await follower.daemons(run.signal), run);
    run.refusedExtras = await extras.apply(
      possible,
      (model) => follower.apply(renderFrr(model), model, run.signal),
    );
    reportNodeExtra(run);
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

/** A VRF that zebra does not know has failed, though one that FRR carries already goes on. */
async function awaitVrfs({ kernel, follower, log }: ApplyFrrDeps, run: Run): Promise<void> {
  const wanted = run.plan.frr.vrfs.map(({ name }) => name)
    .filter((name) => standingVrf(run, name) !== undefined);
  const missed = (names: readonly string[]) => {
    log.info("VRFs announced to FRR again", { vrfs: names.length });
    for (const name of names) {
      const vrf = standingVrf(run, name);
      if (vrf !== undefined) attempt(run, vrf, "VrfFailed", () => kernel.announceVrf(name));
    }
  };
  for (const name of await follower.awaitVrfs(wanted, run.signal, missed)) {
    const message = `Expected FRR to show the VRF "${name}" as active, it does not`;
    run.problems.push(message);
    const vrf = standingVrf(run, name);
    if (vrf === undefined || follower.carries(name)) continue;
    run.failures.set(vrf, { reason: "FrrBehind", message });
  }
}

/** Extra lines of the node that FRR does not take. */
function reportNodeExtra(run: Run): void {
  const said = run.refusedExtras?.node;
  if (said === undefined) return;
  run.frrFailure ??= { reason: "ExtraConfigRefused", message: withoutExtra(said) };
  run.problems.push(withoutExtra(said));
}

/** Domains with extra lines that FRR does not take. Everything else of them works. */
export function reportExtras(run: Run): void {
  for (const [name, said] of run.refusedExtras?.vrfs ?? []) {
    const vrf = standingVrf(run, name);
    if (vrf === undefined) continue;
    run.failures.set(vrf, { reason: "ExtraConfigRefused", message: withoutExtra(said) });
  }
}

function withoutExtra(said: string): string {
  return `Expected extraConfig to be lines that FRR takes: ${said}; all goes on without these lines`;
}

/** Peers go on without BFD where its daemon does not run. */
function withoutMissingBfd(model: FrrModel, daemons: readonly string[], run: Run): FrrModel {
  const wanting = model.neighbors.filter(({ bfd }) => bfd !== undefined);
  if (wanting.length === 0 || daemons.includes("bfdd")) return model;
  const message = `Expected FRR's bfdd to run for ${wanting.length} peers with BFD, it does not: ` +
    `set "bfdd=yes" in /etc/frr/daemons and restart FRR; the sessions go on without BFD`;
  run.frrFailure = { reason: "BfdUnavailable", message };
  run.problems.push(message);
  return { ...model, neighbors: model.neighbors.map((each) => ({ ...each, bfd: undefined })) };
}

function needsFrr(spec: VrfSpec): boolean {
  return spec.overlays.some(({ type }) => type === "l3vni");
}

/** Waits until FRR has joined every VNI with its links. A VRF of which one stays down has failed, though its pods keep what works. */
export async function settle(follower: FrrFollower, run: Run): Promise<void> {
  try {
    for (const { vrf: name, vni } of await follower.settle(run.plan.frr, run.signal)) {
      const vrf = standingVrf(run, name);
      if (vrf === undefined) continue;
      const message = `Expected FRR to show the VNI ${vni} of "${name}" up, it does not`;
      run.failures.set(vrf, { reason: "VNIDown", message });
      run.problems.push(message);
    }
  } catch (error) {
    run.signal.throwIfAborted();
    run.unguarded = messageOf(error);
    run.problems.push(run.unguarded);
  }
}

/** Runs in a row in which zebra knows fewer addresses than the kernel, after which the other nodes' ones are what is too many there. */
const patientRuns = 5;

/**
 * Makes the phase that keeps zebra and the kernel of one mind about who is in a stretched subnet: zebra is told of pods and gateways that it has
 * lost, after its own restart, or since a VXLAN device came anew. What then still stands only in the kernel is what other nodes took back while
 * zebra was away.
 */
export function createAddressSync(
  kernel: Pick<Kernel, "countAddresses" | "announcePods" | "askAddressesBack">,
  follower: FrrFollower,
  log: Logger,
): (run: Run) => Promise<void> {
  const runs = new Map<number, number>();

  return async (run) => {
    const counted = standingOverlays(run, "l2vni").map((each) => ({
      ...each,
      addresses: kernel.countAddresses(each.spec.name, each.overlay),
    }));
    const known = ({ vni }: OverlaySpec) =>
      follower.state()?.vnis.find((each) => each.vni === vni)?.neighbors;
    const lost = () =>
      counted.filter(({ overlay, addresses }) => addresses > (known(overlay) ?? addresses));
    if (lost().length > 0) {
      // What was last seen of FRR may be older than the pods.
      follower.expectChange();
      await settle(follower, run);
    }
    const still = lost();
    for (const vrf of [...runs.keys()]) {
      if (!still.some(({ spec }) => spec.vrf === vrf)) runs.delete(vrf);
    }
    const inTouch = follower.state()?.peers.some(({ established }) => established) === true;
    for (const { spec, overlay } of still) {
      const inRow = inTouch ? (runs.get(spec.vrf) ?? 0) + 1 : 0;
      runs.set(spec.vrf, inRow);
      attempt(run, spec.vrf, "OverlayFailed", () => {
        const about = { vrf: spec.vrf, vni: overlay.vni };
        if (inRow > 0 && inRow % patientRuns === 0) {
          kernel.askAddressesBack(spec.name, overlay);
          log.info("Addresses of other nodes asked back from FRR", about);
        } else {
          kernel.announcePods(spec.name, overlay);
          log.info("Pods announced to FRR again", about);
        }
        follower.expectChange();
      });
    }
  };
}

/** Overlays of a type in VRFs that have not failed. */
export function standingOverlays(
  { plan, failures }: Run,
  wanted: OverlaySpec["type"],
): { readonly spec: VrfSpec; readonly overlay: OverlaySpec }[] {
  return plan.vrfs.filter(({ vrf }) => !failures.has(vrf)).flatMap((spec) =>
    spec.overlays.filter(({ type }) => type === wanted).map((overlay) => ({ spec, overlay }))
  );
}
