/** Which bridge of a VRF pods attach to. */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { getLinks } from "../../lib/netlink/rtnl/link.ts";
import { KernelError } from "./errors.ts";
import { bridgeName, vrfName } from "./names.ts";
import { isOfKind } from "./ownership.ts";
import type { AttachmentPoint } from "./port.ts";

/**
 * The bridge of the VRF that pods attach to: that of the l2vni where there is one, else that of the l3vni.
 *
 * @throws {KernelError} `VrfNotReady` while there is none
 * @throws {NetlinkError} If the kernel refuses
 */
export function findAttachmentPoint(connection: NetlinkConnection, vrf: number): AttachmentPoint {
  const stretched = bridgeName("l2vni", vrf);
  const names = [stretched, bridgeName("l3vni", vrf)];
  const bridge = getLinks(connection, names.map((name) => ({ name })))
    .find((link) => isOfKind(link, "bridge"));
  if (bridge === undefined) throw vrfNotReady(vrfName(vrf), "bridge");
  const { index, name, mtu } = bridge;
  return { connection, bridgeIndex: index, bridge: name, mtu, stretched: name === stretched };
}

/** The error for a VRF of which a part is not there yet. */
export function vrfNotReady(vrf: string, missing: string): KernelError {
  return new KernelError(
    "VrfNotReady",
    `Expected the ${missing} of "${vrf}" on this node, found none; it comes with the next reconciliation`,
  );
}
