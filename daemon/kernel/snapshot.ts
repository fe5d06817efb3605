/** What a network namespace holds of links and addresses at one moment. */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { listAddresses } from "../../lib/netlink/rtnl/address.ts";
import { type Link, listLinks } from "../../lib/netlink/rtnl/link.ts";
import { RT_SCOPE } from "../../lib/netlink/rtnl/types.ts";
import type { GatewayAddress } from "./port.ts";

/** Links and addresses of a namespace, read by one dump each, however many links there are. */
export interface Snapshot {
  /** Links by name. */
  readonly links: ReadonlyMap<string, Link>;
  /** Addresses by link index, without the link-local ones that IPv6 makes by itself. */
  readonly addresses: ReadonlyMap<number, readonly GatewayAddress[]>;
}

/**
 * Reads the links and addresses of the connection's namespace.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function takeSnapshot(connection: NetlinkConnection): Snapshot {
  const links = new Map(listLinks(connection).map((link) => [link.name, link]));
  const addresses = new Map<number, GatewayAddress[]>();
  for (const { index, family, scope, address, prefixLength } of listAddresses(connection)) {
    if (family === 6 && scope === RT_SCOPE.LINK) continue;
    const ofLink = addresses.get(index) ?? [];
    ofLink.push({ address, prefixLength });
    addresses.set(index, ofLink);
  }
  return { links, addresses };
}
