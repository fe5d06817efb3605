import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { deleteLinkAsync } from "../../lib/netlink/rtnl/link.ts";

/**
 * Deletes a veth by its host end, and with it the pod's end; works without the pod's namespace. The kernel takes milliseconds
 * for it, during which the event loop goes on.
 *
 * @returns Whether there was one
 * @throws {NetlinkError} When the kernel refuses for another reason
 */
export async function detachPod(
  connection: NetlinkConnection,
  hostIfname: string,
): Promise<boolean> {
  try {
    await deleteLinkAsync(connection, { name: hostIfname });
    return true;
  } catch (thrown) {
    if (thrown instanceof NetlinkError && thrown.errnoName === "ENODEV") return false;
    throw thrown;
  }
}
