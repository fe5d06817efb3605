/** Pods' interfaces as the kernel has them: what a journal that was lost had known. */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { listAddresses } from "../../lib/netlink/rtnl/address.ts";
import { getLink, type Link, listLinks } from "../../lib/netlink/rtnl/link.ts";
import { RT_SCOPE } from "../../lib/netlink/rtnl/types.ts";
import { parsePodAlias, type PodAlias, vrfOfBridge } from "./names.ts";

/** A pod's interface. */
export interface RunningPod extends PodAlias {
  /** Name of the veth's host end. */
  readonly hostIfname: string;
  /** MAC address in the pod. */
  readonly mac: string;
  /** Its addresses and their prefix lengths on the interface, in bits. */
  readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
}

/**
 * Lists the interfaces of a VRF's pods, those included whose bridge is gone. It looks into the pods' namespaces through the kernel, by the
 * numbers that these have here, so that no path to them is needed.
 *
 * @param c Where the host ends are; those of other VRFs may be there too
 * @param vrf VRF number
 * @param wanted Which host ends to look at, by name
 * @throws {NetlinkError} If the kernel refuses
 */
export function listRunningPods(
  c: NetlinkConnection,
  vrf: number,
  wanted: (hostIfname: string) => boolean,
): RunningPod[] {
  const bridges = listLinks(c, { kind: "bridge" });
  const vrfs = new Map(bridges.map(({ index, name }) => [index, vrfOfBridge(name)]));
  return listLinks(c, { kind: "veth" }).flatMap((link) => {
    const alias = parsePodAlias(link.alias);
    if (alias === undefined || !wanted(link.name)) return [];
    if (link.master !== undefined && vrfs.get(link.master) !== vrf) return [];
    const pod = podOf(c, link, alias);
    return pod === undefined ? [] : [pod];
  });
}

function podOf(c: NetlinkConnection, end: Link, alias: PodAlias): RunningPod | undefined {
  const { linkIndex: index, linkNetnsId: netnsId } = end;
  if (index === undefined || netnsId === undefined) return undefined;
  try {
    const peer = getLink(c, { index, netnsId });
    if (peer === undefined) return undefined;
    const addresses = listAddresses(c, index, netnsId)
      .filter(({ scope }) => scope === RT_SCOPE.UNIVERSE)
      .map(({ address, prefixLength }) => ({ address, prefixLength }));
    return { ...alias, hostIfname: end.name, mac: peer.mac ?? "", addresses };
  } catch (thrown) {
    // The pod may have ended just now, and its namespace's number with it.
    const gone = thrown instanceof NetlinkError && getLink(c, { index: end.index }) === undefined;
    if (gone) return undefined;
    throw thrown;
  }
}
