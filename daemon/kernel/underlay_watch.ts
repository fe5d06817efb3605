/** Tells at once when the underlay's interface changes: the MTU of everything on top of it follows. */
import { monitor } from "../../lib/netlink/monitor.ts";
import { readLink } from "../../lib/netlink/rtnl/link.ts";
import { RTM, RTNLGRP } from "../../lib/netlink/rtnl/types.ts";
import type { NetnsHandle } from "../../lib/sys/netns.ts";
import type { Underlay } from "./port.ts";

/** What is watched, and who is told. */
export interface UnderlayWatchOptions {
  /** The underlay as last seen; undefined while there is none. */
  readonly known: () => Pick<Underlay, "ifindex" | "mtu"> | undefined;
  /** Called when the interface has another MTU than is known, or may have. */
  readonly changed: () => void;
  /** The network namespace; the caller's own by default. */
  readonly netns?: NetnsHandle | undefined;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Watches the underlay's MTU until the signal aborts.
 *
 * @throws {SysError} If the kernel cannot be listened to
 */
export function watchUnderlay(
  { known, changed, netns, signal }: UnderlayWatchOptions,
): Promise<void> {
  return monitor({
    groups: [RTNLGRP.LINK],
    netns,
    signal,
    onMessage(message) {
      if (message.type !== RTM.NEWLINK) return;
      const underlay = known();
      const link = underlay === undefined ? undefined : readLink(message);
      if (link?.index === underlay?.ifindex && link?.mtu !== underlay?.mtu) changed();
    },
    onLost: changed,
  });
}
