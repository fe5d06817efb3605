import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { IFA_F, listAddresses } from "../../lib/netlink/rtnl/address.ts";
import { getLink, type Link } from "../../lib/netlink/rtnl/link.ts";
import { listRoutes } from "../../lib/netlink/rtnl/route.ts";
import { RT_TABLE } from "../../lib/netlink/rtnl/types.ts";
import { formatPrefix, parsePrefix } from "../../lib/net/prefix.ts";
import type { AttachmentPoint } from "../kernel/port.ts";
import type { NetnsFd, PodInterfaceSpec } from "./port.ts";

/** An IPv6 address that the kernel does not use: it looks for a duplicate, or has found one. */
const unusable = IFA_F.TENTATIVE | IFA_F.DADFAILED;

/**
 * What differs between a pod's interface and its spec, in words for a person; empty when nothing does.
 *
 * @throws {NetlinkError | SysError} When the kernel cannot be asked
 */
export function inspectPod(
  point: AttachmentPoint,
  netns: NetnsFd,
  spec: PodInterfaceSpec,
): readonly string[] {
  using pod = NetlinkConnection.open({ netns });
  const link = getLink(pod, { name: spec.ifname });
  return [
    ...(link === undefined
      ? [`the container has no interface "${spec.ifname}"`]
      : podFaults(pod, link, spec, point.mtu)),
    ...hostFaults(getLink(point.connection, { name: spec.hostIfname }), point, spec.hostIfname),
  ];
}

function podFaults(
  pod: NetlinkConnection,
  link: Link,
  spec: PodInterfaceSpec,
  mtu: number,
): string[] {
  const faults: string[] = [];
  const { ifname } = spec;
  if (link.mac !== spec.mac) {
    faults.push(`"${ifname}" has MAC "${link.mac}" instead of "${spec.mac}"`);
  }
  if (link.mtu > mtu) faults.push(`"${ifname}" has MTU ${link.mtu}, more than ${mtu}`);
  if (!link.up) faults.push(`"${ifname}" is down`);
  const found = listAddresses(pod, link.index).filter(({ index }) => index === link.index);
  for (const { address, prefixLength } of spec.addresses) {
    const present = found.find((each) =>
      each.address === address && each.prefixLength === prefixLength
    );
    if (present === undefined) {
      faults.push(`"${ifname}" has no address "${address}/${prefixLength}"`);
    } else if ((present.flags & unusable) !== 0) {
      faults.push(`the address "${address}/${prefixLength}" of "${ifname}" is not in use`);
    }
  }
  const routes = listRoutes(pod, { table: RT_TABLE.MAIN }).filter(({ oif }) => oif === link.index);
  for (const { destination, gateway } of spec.routes) {
    const { family, length } = parsePrefix(destination);
    const found = routes.some((route) =>
      route.family === family && route.gateway === gateway &&
      (route.dst === undefined ? length === 0 : formatPrefix(route.dst) === destination)
    );
    if (found) continue;
    const what = length === 0 ? "default route" : `route to "${destination}"`;
    faults.push(`the container has no ${what} by "${gateway}"`);
  }
  return faults;
}

function hostFaults(host: Link | undefined, point: AttachmentPoint, name: string): string[] {
  if (host === undefined) return [`the host has no interface "${name}"`];
  const faults: string[] = [];
  if (host.master !== point.bridgeIndex) {
    faults.push(`"${name}" is not in the bridge "${point.bridge}"`);
  }
  if (!host.up) faults.push(`"${name}" is down`);
  return faults;
}
