import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { getLink, type Link, setLink } from "../../lib/netlink/rtnl/link.ts";
import { isNetworkNamespace, openNetns } from "../../lib/sys/netns.ts";
import { SysError } from "../../lib/sys/errno.ts";
import type { PodPort } from "../kernel/port.ts";

/**
 * Gives a running pod's interface another MTU, on both ends. A pod that has chosen a smaller one than it was given keeps it.
 *
 * @param connection Where the host end is
 * @param mtu In bytes
 * @returns The MTU that the pod may have now, in bytes: another than `mtu` where its namespace is out of reach; undefined where it has gone
 * @throws {NetlinkError} When the kernel refuses
 */
export function fitPod(
  connection: NetlinkConnection,
  port: PodPort,
  mtu: number,
): number | undefined {
  const host = getLink(connection, { name: port.name });
  if (host === undefined || host.mtu === mtu) return host?.mtu;
  using pod = openPod(port);
  const inner = pod === undefined ? undefined : peerOf(pod, host, port);
  // The host end stays as well, and so tells what the pod has: lowered alone, it would drop what the pod sends.
  if (pod === undefined || inner === undefined) return host.mtu;
  // A frame must never be longer than the end that it arrives at takes.
  if (mtu > host.mtu) setLink(connection, host.index, { mtu });
  if (inner.mtu === host.mtu || inner.mtu > mtu) setLink(pod, inner.index, { mtu });
  if (mtu < host.mtu) setLink(connection, host.index, { mtu });
  return mtu;
}

/** A connection in the pod's namespace; undefined when its path leads to none, or to none that this process sees. */
function openPod({ netnsPath }: PodPort): NetlinkConnection | undefined {
  try {
    using netns = openNetns(netnsPath);
    return isNetworkNamespace(netns) ? NetlinkConnection.open({ netns }) : undefined;
  } catch (thrown) {
    if (thrown instanceof SysError) return undefined;
    throw thrown;
  }
}

/**
 * The other end; undefined when the path meanwhile leads to another namespace. Indices agree by chance in namespaces that were made alike, but
 * no two pods of a node have one MAC: it follows from VRF and address.
 */
function peerOf(pod: NetlinkConnection, host: Link, { ifname, mac }: PodPort): Link | undefined {
  const found = getLink(pod, { name: ifname });
  const paired = found?.index === host.linkIndex && found?.linkIndex === host.index;
  return paired && found.mac === mac ? found : undefined;
}
