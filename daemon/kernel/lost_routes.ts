/**
 * Routes that a bridge has lost without zebra's knowledge.
 *
 * With a link's last IPv4 address the kernel drops all IPv4 routes over it and tells nobody (fib_inetaddr_event of net/ipv4/fib_frontend.c): zebra
 * goes on believing that they are there.
 *
 * @module
 */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { setLink } from "../../lib/netlink/rtnl/link.ts";
import { listNeighbors } from "../../lib/netlink/rtnl/neighbor.ts";
import { listRoutes } from "../../lib/netlink/rtnl/route.ts";
import { RTPROT } from "../../lib/netlink/rtnl/types.ts";
import { addressFamily } from "../../lib/net/address.ts";
import { isNextHop } from "./next_hops.ts";
import { isIpv6 } from "./overlay_match.ts";
import type { OverlaySpec } from "./port.ts";
import { addressesOf } from "./snapshot.ts";

/**
 * Has zebra make its routes over a bridge anew, if the bridge has lost them: sets it down and up.
 *
 * @param bridge Its index
 * @param spec What it shall be
 * @throws {NetlinkError} If the kernel refuses
 */
export function recallLostRoutes(
  connection: NetlinkConnection,
  bridge: number,
  spec: Pick<OverlaySpec, "gateways" | "ports">,
): void {
  if (!hasLostRoutes(connection, bridge, spec)) return;
  setLink(connection, bridge, { up: false });
  setLink(connection, bridge, { up: true });
}

/** A bridge that never had an address has no pods, and no next hop without a route. */
function hasLostRoutes(
  connection: NetlinkConnection,
  index: number,
  { gateways, ports }: Pick<OverlaySpec, "gateways" | "ports">,
): boolean {
  const { addresses } = addressesOf(connection, index);
  if (addresses.some((each) => !isIpv6(each)) || gateways.every(isIpv6)) return false;
  const hasHops = () =>
    listNeighbors(connection, { index }).some((each) =>
      isNextHop(each) && addressFamily(each.address) === 4
    );
  if (ports.length === 0 && !hasHops()) return false;
  return !listRoutes(connection, { family: 4 }).some(({ oif, protocol }) =>
    oif === index && protocol === RTPROT.BGP
  );
}
