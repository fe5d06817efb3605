/** The phase that keeps zebra and the kernel of one mind about the gateways of routed subnets. */
import type { FrrState } from "../../frr/protocol.ts";
import type { Kernel, OverlaySpec } from "../kernel/port.ts";
import type { Logger } from "../log.ts";
import type { FrrFollower } from "./frr_follower.ts";
import { settle, standingOverlays } from "./frr_phases.ts";
import { attempt, type Run } from "./run.ts";

/**
 * Tells zebra of gateways that it has missed: without them it has no connected routes, and announces the node's blocks to nobody. On stretched
 * bridges gateways are counted among the pods' addresses.
 */
export async function syncGateways(
  kernel: Pick<Kernel, "announceGateways">,
  follower: FrrFollower,
  log: Logger,
  run: Run,
): Promise<void> {
  const routed = standingOverlays(run, "l3vni");
  const missed = () => routed.filter(({ overlay }) => lacksGateway(follower.state(), overlay));
  if (missed().length > 0) {
    // What was last seen of FRR may be older than the gateways.
    follower.expectChange();
    await settle(follower, run);
  }
  for (const { spec, overlay } of missed()) {
    attempt(run, spec.vrf, "OverlayFailed", () => {
      kernel.announceGateways(spec.name, overlay);
      log.info("Gateways announced to FRR again", { vrf: spec.vrf, bridge: overlay.bridge });
      follower.expectChange();
    });
  }
}

/** While zebra does not know the bridge either, or the agent does not say, nothing is known to be lacking. */
function lacksGateway(state: FrrState | undefined, { bridge, gateways }: OverlaySpec): boolean {
  const known = state?.addresses?.[bridge];
  return known !== undefined &&
    gateways.some(({ address, prefixLength }) => !known.includes(`${address}/${prefixLength}`));
}
