import { addressFamily } from "../../lib/net/address.ts";
import { type BoundRequest, NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { addressAddition } from "../../lib/netlink/rtnl/address.ts";
import { setBridgePort } from "../../lib/netlink/rtnl/bridge_port.ts";
import { getLink, linkChange, listLinks, setLink } from "../../lib/netlink/rtnl/link.ts";
import { routeAddition } from "../../lib/netlink/rtnl/route.ts";
import { RT_SCOPE } from "../../lib/netlink/rtnl/types.ts";
import { createVethPair, type VethPair } from "../../lib/netlink/rtnl/veth_pair.ts";
import { linkLocalOf, macFromSeed } from "../../lib/net/mac.ts";
import { parsePrefix } from "../../lib/net/prefix.ts";
import { SysError } from "../../lib/sys/errno.ts";
import { inNetns } from "../../lib/sys/netns.ts";
import { writeSysctl } from "../../lib/sys/sysctl.ts";
import { knowPod } from "../kernel/pod_neighbors.ts";
import type { AttachmentPoint } from "../kernel/port.ts";
import { detachPod } from "./detach.ts";
import {
  type AttachedInterface,
  type NetnsFd,
  type PodAddress,
  PodError,
  type PodInterfaceSpec,
  type PodRoute,
} from "./port.ts";

/** The loopback's index is the same in every network namespace (net/core/dev.c, LOOPBACK_IFINDEX). */
const loopbackIndex = 1;

/** Errors of a system call by which the daemon has too little of something. */
const lacking: readonly string[] = ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"];

/** Room for answers about single objects: one about a link takes two kilobytes. */
const receiveBytes = 16 * 1024;

/** Milliseconds in which the bridge has taken the new port into forwarding; it takes about one. */
const carrierDeadlineMs = 200;

/**
 * Makes a pod's interface: a veth pair whose peer is born in the pod's namespace, with its host end in the VRF's bridge. A
 * failure leaves nothing behind.
 *
 * @throws {PodError} `InterfaceExists`, `PodNetnsUnusable`, `MacInUse`, `RouteExists`
 * @throws {NetlinkError | SysError} When the kernel refuses
 */
export async function attachPod(
  point: AttachmentPoint,
  netns: NetnsFd,
  spec: PodInterfaceSpec,
): Promise<AttachedInterface> {
  using pod = openPod(netns);
  const { mac } = spec;
  if (spec.macIsWished === true) checkMac(point, spec);
  const hostMac = macFromSeed(`host ${spec.alias} ${spec.hostIfname}`);
  const { index, peerIndex } = await createPair(point, { pod, netns }, spec, hostMac);
  try {
    configure(pod, netns, spec, peerIndex);
    await carrier(point, index);
    // Setting the MAC, also to what it is, announces it.
    setLink(pod, peerIndex, { address: mac });
    if (!hairpinFromStart(spec)) setBridgePort(point.connection, index, { hairpin: true });
    // Last of all: a failure before it has nothing of it to take back.
    for (const { address } of point.stretched ? spec.addresses : []) {
      knowPod(point.connection, point.bridgeIndex, { address, mac });
    }
  } catch (thrown) {
    await detachPod(point.connection, spec.hostIfname);
    throw thrown;
  }
  return { mac, hostMac, mtu: point.mtu };
}

function openPod(netns: NetnsFd): NetlinkConnection {
  try {
    return NetlinkConnection.open({ netns, receiveBytes });
  } catch (cause) {
    // Of what the daemon lacks the container is not to blame.
    if (cause instanceof SysError && lacking.includes(cause.errnoName)) throw cause;
    throw new PodError(
      "PodNetnsUnusable",
      'Expected "CNI_NETNS" to be a network namespace that can be entered, found another; the container may have ended',
      { cause },
    );
  }
}

/** A bridge takes what is for a MAC of its own, or of one of its ports, for itself: the pod would never hear it. */
function checkMac(point: AttachmentPoint, { mac, hostIfname }: PodInterfaceSpec): void {
  const taken = listLinks(point.connection).find((link) =>
    link.mac === mac && link.name !== hostIfname &&
    (link.index === point.bridgeIndex || link.master === point.bridgeIndex)
  );
  if (taken === undefined) return;
  throw new PodError(
    "MacInUse",
    `Expected the MAC "${mac}" to be unused at the bridge "${point.bridge}", found it on "${taken.name}"; choose another one`,
  );
}

/**
 * Whether the pod may hear itself from the start. The kernel complains of each advertisement of an IPv6 address that comes back to the
 * one who has it, as if it were another's.
 */
function hairpinFromStart({ addresses }: PodInterfaceSpec): boolean {
  return !addresses.some(isIpv6);
}

/**
 * Gives both ends' indexes. Whether a name is taken the kernel says: the container's is looked at only then. The name of a host end belongs to
 * one attachment: one that stands there is what a killed daemon left of it.
 */
async function createPair(
  point: AttachmentPoint,
  { pod, netns }: { readonly pod: NetlinkConnection; readonly netns: NetnsFd },
  spec: PodInterfaceSpec,
  hostMac: string,
): Promise<VethPair> {
  const create = () =>
    createVethPair(point.connection, {
      name: spec.hostIfname,
      peer: { name: spec.ifname, netnsFd: netns.fd, mtu: point.mtu, address: spec.mac },
      mtu: point.mtu,
      address: hostMac,
      alias: spec.alias,
      master: point.bridgeIndex,
      bridgePort: { hairpin: hairpinFromStart(spec) },
      addrGenMode: "none",
      up: true,
    });
  try {
    return create();
  } catch (thrown) {
    if (!(thrown instanceof NetlinkError && thrown.errnoName === "EEXIST")) throw thrown;
    if (getLink(pod, { name: spec.ifname }) !== undefined) {
      throw new PodError(
        "InterfaceExists",
        `Expected no interface "${spec.ifname}" in the container, found one; another plugin of the chain may have made it`,
        { cause: thrown },
      );
    }
    if (!await detachPod(point.connection, spec.hostIfname)) throw thrown;
    return create();
  }
}

/**
 * Configures the pod's side, in one exchange with the kernel.
 *
 * With `arp_notify` and `ndisc_notify` the kernel sends a gratuitous ARP and unsolicited neighbour advertisements whenever the MAC is set, also to
 * what it is (net/ipv4/devinet.c and net/ipv6/ndisc.c, NETDEV_CHANGEADDR): the bridge learns at once where the MAC is, and neighbours that
 * knew an address with another MAC learn this one. A packet socket would do as well, but closing one holds the thread up for 10 ms
 * (packet_release waits for RCU).
 */
function configure(
  pod: NetlinkConnection,
  netns: NetnsFd,
  spec: PodInterfaceSpec,
  index: number,
): void {
  const six = spec.addresses.filter(isIpv6);
  const four = spec.addresses.filter((each) => !isIpv6(each));
  if (six.length > 0) prepareIpv6(netns, spec.ifname);
  const routes = spec.routes.map((route) => ({ route, request: podRoute(index, route) }));
  try {
    pod.batch([
      linkChange(loopbackIndex, { up: true }),
      ...four.map(({ address, prefixLength }) => addressAddition({ index, address, prefixLength })),
      ...six.length > 0 ? [linkLocalAddition(index, spec.mac)] : [],
      linkChange(index, { up: true, ...four.length > 0 ? { arpNotify: true } : {} }),
      // Looking for a duplicate would take a second, and IPAM knows that there is none.
      ...six.map(({ address, prefixLength }) =>
        addressAddition({ index, address, prefixLength, nodad: true })
      ),
      ...routes.map(({ request }) => request),
    ]);
  } catch (cause) {
    if (!(cause instanceof NetlinkError)) throw cause;
    if (cause.errnoName === "ENODEV") throw interfaceGone(spec.ifname, cause);
    const taken = routes.find(({ request }) => request.operation === cause.operation);
    if (cause.errnoName !== "EEXIST" || taken === undefined) throw cause;
    throw routeExists(spec.ifname, taken.route, cause);
  }
}

/** The address that the kernel would give the link itself when it comes up, and use a moment later: so it is in use before. */
function linkLocalAddition(index: number, mac: string): BoundRequest {
  const address = linkLocalOf(mac);
  return addressAddition({ index, address, prefixLength: 64, scope: RT_SCOPE.LINK, nodad: true });
}

function interfaceGone(ifname: string, cause: NetlinkError): PodError {
  return new PodError(
    "PodNetnsUnusable",
    `Expected the interface "${ifname}" in the container, found it gone; the container may have ended`,
    { cause },
  );
}

function routeExists(ifname: string, { destination }: PodRoute, cause: NetlinkError): PodError {
  return new PodError(
    "RouteExists",
    `Expected no route to "${destination}" in the container before "${ifname}", found one; only one interface has the default route, ` +
      'see "isDefaultGateway"',
    { cause },
  );
}

function isIpv6({ address }: PodAddress): boolean {
  return addressFamily(address) === 6;
}

/**
 * Makes a pod's interface fit for the IPv6 address that it is given: runtimes may have turned IPv6 off, and no router advertisement may
 * add to what the runtime was told. What other plugins add is used at once, too.
 */
function prepareIpv6(netns: NetnsFd, ifname: string): void {
  const conf = (name: string, key: string) => ["net", "ipv6", "conf", name, key];
  inNetns(netns, () => {
    writeSysctl(conf("lo", "disable_ipv6"), 0);
    writeSysctl(conf(ifname, "disable_ipv6"), 0);
    writeSysctl(conf(ifname, "accept_ra"), 0);
    writeSysctl(conf(ifname, "accept_dad"), 0);
    writeSysctl(conf(ifname, "ndisc_notify"), 1);
  });
}

function podRoute(oif: number, { destination, gateway }: PodRoute): BoundRequest {
  const dst = parsePrefix(destination);
  return routeAddition({ gateway, oif, ...dst.length === 0 ? {} : { dst } });
}

/** Waits until the bridge forwards what the pod sends: the kernel tells it of the carrier a moment later. */
async function carrier(point: AttachmentPoint, index: number): Promise<void> {
  const deadline = performance.now() + carrierDeadlineMs;
  while (getLink(point.connection, { index })?.running !== true) {
    if (performance.now() > deadline) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
