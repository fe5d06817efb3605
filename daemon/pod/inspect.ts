import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { listAddresses } from "../../lib/netlink/rtnl/address.ts";
import { getLink, type Link } from "../../lib/netlink/rtnl/link.ts";
import { listRoutes } from "../../lib/netlink/rtnl/route.ts";
import { RT_TABLE } from "../../lib/netlink/rtnl/types.ts";
import type { AttachmentPoint } from "../kernel/port.ts";
import type { NetnsFd, PodInterfaceSpec } from "./port.ts";

/**
 * What differs between a pod's interface and its spec, in words for a person; empty when nothing does.
 *
 * @throws {NetlinkError | SysError} When the kernel cannot be asked
 */
export function inspectPod(
  point: AttachmentPoint,
  netns: NetnsFd,
  spec: PodInterfaceSpec & { readonly mac: string },
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
  spec: PodInterfaceSpec & { readonly mac: string },
  mtu: number,
): string[] {
  const faults: string[] = [];
  const { ifname } = spec;
  if (link.mac !== spec.mac) {
    faults.push(`"${ifname}" has MAC "${link.mac}" instead of "${spec.mac}"`);
  }
  if (link.mtu > mtu) faults.push(`"${ifname}" has MTU ${link.mtu}, more than ${mtu}`);
  if (!link.up) faults.push(`"${ifname}" is down`);
  const hasAddress = listAddresses(pod, link.index).some((found) =>
    found.index === link.index && found.address === spec.address &&
    found.prefixLength === spec.prefixLength
  );
  if (!hasAddress) {
    faults.push(`"${ifname}" has no address "${spec.address}/${spec.prefixLength}"`);
  }
  const hasRoute = listRoutes(pod, { family: 4, table: RT_TABLE.MAIN }).some((route) =>
    route.dst === undefined && route.gateway === spec.gateway && route.oif === link.index
  );
  if (!hasRoute) faults.push(`the container has no default route by "${spec.gateway}"`);
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
