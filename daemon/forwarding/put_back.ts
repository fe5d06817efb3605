/** Writing entries of FRR again that FRR has taken away, and taking them away for good. */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { addFdb, deleteFdb, type FdbEntry, NTF, NUD } from "../../lib/netlink/rtnl/neighbor.ts";
import { addRoute, deleteRoute, type Route, type RouteSpec } from "../../lib/netlink/rtnl/route.ts";
import { RTPROT } from "../../lib/netlink/rtnl/types.ts";
import { heldMetric, isEverywhere, type Learned } from "./learned.ts";

/** The link is going, or FRR was faster. */
const harmless = ["ENODEV", "ENETDOWN", "EEXIST", "EINVAL", "ENETUNREACH", "EHOSTUNREACH"];
const gone = ["ENODEV", "ENOENT", "ESRCH"];

/**
 * Puts an entry back as ours, behind whatever FRR makes in its place.
 *
 * @returns Whether it stands
 * @throws {NetlinkError} If the kernel refuses for a reason of its own
 */
export function putBack(c: NetlinkConnection, entry: Learned): boolean {
  return attempt(harmless, () => {
    switch (entry.kind) {
      case "route":
        return addRoute(c, heldRoute(entry.route), { replace: true });
      case "fdb":
        return addFdb(c, heldFdb(entry.entry), appended(entry.entry));
    }
  });
}

/**
 * Writes an entry as FRR has made it: over ours, which may have come in between.
 *
 * @throws {NetlinkError} If the kernel refuses for a reason of its own
 */
export function restore(c: NetlinkConnection, entry: Learned): void {
  attempt(harmless, () => {
    if (entry.kind === "fdb") addFdb(c, addressedFdb(entry.entry), { replace: true });
  });
}

/**
 * Takes ours away. A route of FRR to the same place stays.
 *
 * @returns Whether it stood
 * @throws {NetlinkError} If the kernel refuses for a reason of its own
 */
export function takeAway(c: NetlinkConnection, entry: Learned): boolean {
  return attempt(gone, () => {
    switch (entry.kind) {
      case "route":
        return deleteRoute(c, heldRoute(entry.route));
      case "fdb":
        return deleteFdb(c, heldFdb(entry.entry));
    }
  });
}

/** A route that zebra passes over: of its own protocol, so that it is neither taken for one of the kernel's nor announced. */
function heldRoute({ dst, family, table, gateway, oif, onlink, nextHops }: Route): RouteSpec {
  const way = nextHops === undefined ? { gateway, oif, onlink } : { nextHops };
  return { dst, family, table, ...way, metric: heldMetric, protocol: RTPROT.BGP };
}

/**
 * In a bridge without the flag by which FRR marks its own, so that FRR's next one shows as another. A VXLAN device keeps an entry that lacks
 * the flag from FRR (vxlan_fdb_update_existing of drivers/net/vxlan): there ours is like FRR's.
 */
function heldFdb(entry: FdbEntry): FdbEntry {
  const { flags = 0, ...addressed } = addressedFdb(entry);
  return (flags & NTF.SELF) !== 0
    ? { ...addressed, flags, state: NUD.NOARP | NUD.REACHABLE }
    : { ...addressed, flags: flags & ~NTF.EXT_LEARNED, state: NUD.NOARP };
}

/** As it is to be written: told by the kernel, a bridge's entry names the bridge instead of bearing its flag. */
function addressedFdb(entry: FdbEntry): FdbEntry {
  const { index, mac, dst, vlan, vni, port, master, state, flags = 0 } = entry;
  const where = (flags & NTF.SELF) === 0 && master !== undefined ? NTF.MASTER : 0;
  return { index, mac, dst, vlan, vni, port, state, flags: flags | where };
}

/** All zeros stand for several VTEPs at once. */
function appended({ mac }: FdbEntry): { readonly append?: boolean } {
  return isEverywhere(mac) ? { append: true } : {};
}

function attempt(accepted: readonly string[], action: () => void): boolean {
  try {
    action();
    return true;
  } catch (thrown) {
    if (thrown instanceof NetlinkError && accepted.includes(thrown.errnoName ?? "")) return false;
    throw thrown;
  }
}
