/** Changes to links that lib/netlink's `setLink` has no words for. */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { encodeKind, type LinkKind } from "../../lib/netlink/link_kinds/link_kind.ts";
import { addAddress } from "../../lib/netlink/rtnl/address.ts";
import { deleteLinkAsync, type LinkRef } from "../../lib/netlink/rtnl/link.ts";
import { type LinkAttributes, linkPayload } from "../../lib/netlink/rtnl/link_message.ts";
import { AF, RT_SCOPE, RTM } from "../../lib/netlink/rtnl/types.ts";

/** IFLA_PROTO_DOWN_REASON (include/uapi/linux/if_link.h) with NLA_F_NESTED, which the kernel insists on here. */
const protoDownReason = 55 | 0x8000;

/**
 * Lets a link come up that a protocol holds down, whatever reasons it gave: the kernel refuses with EBUSY while one is set.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function clearProtoDown(connection: NetlinkConnection, index: number): void {
  // IFLA_PROTO_DOWN_REASON_MASK (1) with all bits, IFLA_PROTO_DOWN_REASON_VALUE (2) with none: 8 bytes each.
  const reasons = new Uint8Array([8, 0, 1, 0, 255, 255, 255, 255, 8, 0, 2, 0, 0, 0, 0, 0]);
  change(connection, index, { protoDown: 0, [`#${protoDownReason}` as const]: reasons });
}

/**
 * Changes data of a link's kind, such as the local address of a VXLAN device.
 *
 * @throws {NetlinkError} If the kernel refuses, as it does for what can be set only at creation
 */
export function changeKind(connection: NetlinkConnection, index: number, kind: LinkKind): void {
  change(connection, index, { linkInfo: encodeKind(kind) });
}

/**
 * Gives a link an IPv6 link-local address, to be used at once; does nothing if it has it.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function addLinkLocal(connection: NetlinkConnection, index: number, address: string): void {
  const scope = RT_SCOPE.LINK;
  addAddress(connection, { index, address, prefixLength: 64, scope, nodad: true }, {
    ifExists: "ignore",
  });
}

/**
 * Deletes a link while the event loop goes on.
 *
 * @returns Whether there was one
 * @throws {NetlinkError} If the kernel refuses
 */
export async function deleteLinkIfThere(
  connection: NetlinkConnection,
  link: LinkRef,
): Promise<boolean> {
  try {
    await deleteLinkAsync(connection, link);
    return true;
  } catch (thrown) {
    if (thrown instanceof NetlinkError && thrown.errnoName === "ENODEV") return false;
    throw thrown;
  }
}

function change(connection: NetlinkConnection, index: number, attributes: LinkAttributes): void {
  connection.request({
    operation: `to change the link "${index}"`,
    type: RTM.NEWLINK,
    codec: linkPayload,
    value: {
      header: { family: AF.UNSPEC, reserved: 0, type: 0, index, flags: 0, change: 0 },
      attributes,
    },
  });
}
