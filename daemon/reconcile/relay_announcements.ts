/** The phase that tells the relay of pods' announcements which bridges stretch a subnet. */
import { messageOf } from "../../lib/errors.ts";
import { getLink } from "../../lib/netlink/rtnl/link.ts";
import type { AnnouncementRelay, RelayedBridge } from "../kernel/announcement_relay.ts";
import type { Kernel, OverlaySpec, VrfSpec } from "../kernel/port.ts";
import type { Run } from "./run.ts";

/** What carries announcements between two runs. */
export type Announcements = Pick<AnnouncementRelay, "relay">;

/** Tells the relay of the bridges as they are now. */
export function relayAnnouncements(kernel: Kernel, relay: Announcements, run: Run): void {
  try {
    const vrfs = run.plan.vrfs.filter(({ vrf }) => !run.failures.has(vrf));
    relay.relay(vrfs.flatMap((spec) => {
      const stretched = spec.overlays.find(({ type }) => type === "l2vni");
      return stretched === undefined ? [] : bridgeOf(kernel, spec, stretched) ?? [];
    }));
  } catch (error) {
    run.problems.push(messageOf(error));
  }
}

function bridgeOf(
  kernel: Kernel,
  { vrf }: VrfSpec,
  overlay: OverlaySpec,
): RelayedBridge | undefined {
  const connection = kernel.connection(vrf);
  const netns = kernel.namespace(vrf);
  if (connection === undefined || netns === undefined) return undefined;
  const bridge = getLink(connection, { name: overlay.bridge });
  const vxlan = getLink(connection, { name: overlay.vxlan });
  if (bridge === undefined || vxlan === undefined) return undefined;
  return { vrf, netns, connection, bridge: bridge.index, mac: overlay.mac, vxlan: vxlan.index };
}
