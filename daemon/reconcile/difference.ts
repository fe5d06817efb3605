/** What separates a node from its plan, as steps in the order that kernel and FRR survive. Pure. */
import type {
  KernelState,
  ObservedOverlay,
  ObservedVrf,
  OverlaySpec,
  PodPort,
  Underlay,
  VrfSpec,
} from "../kernel/port.ts";

/** The steps, by phase. FRR's configuration is applied between `ensureVrfs` and the rest. */
export interface Difference {
  /** VRFs that are missing or need repair, with what FRR need not know. */
  readonly ensureVrfs: readonly VrfSpec[];
  /** Overlays that are missing or need repair. */
  readonly ensureOverlays: readonly { readonly vrf: VrfSpec; readonly overlay: OverlaySpec }[];
  /** Pods whose interface has another MTU than their overlay. */
  readonly fitPods: readonly Misfit[];
  /** Overlays that nothing wants, in VRFs that stay or go. */
  readonly removeOverlays: readonly { readonly vrf: string; readonly overlay: ObservedOverlay }[];
  /** VRFs that nothing wants. */
  readonly removeVrfs: readonly ObservedVrf[];
}

/** A pod whose interface has another MTU than its overlay. */
export interface Misfit {
  /** The pod's VRF. */
  readonly vrf: VrfSpec;
  /** The MTU that it shall have, in bytes. */
  readonly mtu: number;
  /** The pod. */
  readonly port: PodPort;
}

/**
 * Compares the wanted VRFs with those in the kernel.
 *
 * @param vrfs The plan's VRFs
 * @param observed What the kernel holds of ours
 * @param underlay The node's underlay
 */
export function difference(
  vrfs: readonly VrfSpec[],
  observed: KernelState,
  underlay: Underlay,
): Difference {
  const wanted = new Map(vrfs.map((vrf) => [vrf.vrf, vrf]));
  const present = [...observed.vrfs.values()];
  return {
    ensureVrfs: vrfs.filter((spec) =>
      !(observed.vrfs.get(spec.vrf)?.matches(spec, underlay) ?? false)
    ),
    ensureOverlays: vrfs.flatMap((vrf) =>
      vrf.overlays
        .filter((overlay) => !(findOverlay(observed, vrf, overlay)?.matches(overlay) ?? false))
        .map((overlay) => ({ vrf, overlay }))
    ),
    fitPods: vrfs.flatMap((vrf) =>
      vrf.overlays.flatMap((overlay) =>
        (findOverlay(observed, vrf, overlay)?.misfits(overlay) ?? [])
          .map((port) => ({ vrf, mtu: overlay.mtu, port }))
      )
    ),
    removeOverlays: present.flatMap((vrf) => {
      const bridges = new Set(wanted.get(vrf.vrf)?.overlays.map(({ bridge }) => bridge));
      return vrf.overlays
        .filter(({ bridge }) => !bridges.has(bridge))
        .map((overlay) => ({ vrf: vrf.name, overlay }));
    }),
    removeVrfs: present.filter(({ vrf }) => !wanted.has(vrf)),
  };
}

function findOverlay(
  observed: KernelState,
  vrf: VrfSpec,
  overlay: OverlaySpec,
): ObservedOverlay | undefined {
  return observed.vrfs.get(vrf.vrf)?.overlays.find(({ bridge }) => bridge === overlay.bridge);
}
