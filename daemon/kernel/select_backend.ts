/** Chooses how VRFs are kept on this node. */
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { createLink } from "../../lib/netlink/rtnl/link.ts";
import { createNetns } from "../../lib/sys/netns.ts";
import type { VrfBackend } from "./port.ts";

/** A backend, or `auto` to take links of kind vrf wherever the kernel has them. */
export type BackendChoice = VrfBackend | "auto";

/**
 * The backend that a choice means on this kernel. Whether the kernel has links of kind vrf is found out by making one, in a network
 * namespace that goes at once; this loads the module where there is one.
 *
 * @throws {SysError} If no namespace can be made
 * @throws {NetlinkError} If the kernel refuses the link for another reason than that it knows no such kind
 */
export function selectBackend(choice: BackendChoice): VrfBackend {
  if (choice !== "auto") return choice;
  return kernelHasVrfLinks() ? "device" : "netns";
}

/**
 * Whether this kernel can make links of kind vrf.
 *
 * @throws {SysError} If no namespace can be made
 * @throws {NetlinkError} If the kernel refuses the link for another reason than that it knows no such kind
 */
export function kernelHasVrfLinks(): boolean {
  using netns = createNetns();
  using connection = NetlinkConnection.open({ netns });
  try {
    createLink(connection, { name: "probe", kind: { type: "vrf", table: 10 } });
    return true;
  } catch (thrown) {
    if (thrown instanceof NetlinkError && thrown.errnoName === "EOPNOTSUPP") return false;
    throw thrown;
  }
}
