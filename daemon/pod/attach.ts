import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { addAddress } from "../../lib/netlink/rtnl/address.ts";
import { createLink, getLink, setLink } from "../../lib/netlink/rtnl/link.ts";
import { addRoute } from "../../lib/netlink/rtnl/route.ts";
import { macFromSeed } from "../../lib/net/mac.ts";
import { inNetns } from "../../lib/sys/netns.ts";
import { writeSysctl } from "../../lib/sys/sysctl.ts";
import type { AttachmentPoint } from "../kernel/port.ts";
import { detachPod } from "./detach.ts";
import { type AttachedInterface, type NetnsFd, PodError, type PodInterfaceSpec } from "./port.ts";

/** The loopback's index is the same in every network namespace (net/core/dev.c, LOOPBACK_IFINDEX). */
const loopbackIndex = 1;

/** Longest alias in bytes: IFALIASZ (include/uapi/linux/if.h) less the closing NUL. */
const longestAlias = 255;

/** Milliseconds in which the bridge has taken the new port into forwarding; it takes about one. */
const carrierDeadlineMs = 200;

/**
 * Makes a pod's interface: a veth pair whose peer is born in the pod's namespace, with its host end in the VRF's bridge. A
 * failure leaves nothing behind.
 *
 * @throws {PodError} `InterfaceExists`, `PodNetnsUnusable`
 * @throws {NetlinkError | SysError} When the kernel refuses
 */
export async function attachPod(
  point: AttachmentPoint,
  netns: NetnsFd,
  spec: PodInterfaceSpec,
): Promise<AttachedInterface> {
  using pod = openPod(netns);
  if (getLink(pod, { name: spec.ifname }) !== undefined) {
    throw new PodError(
      "InterfaceExists",
      `Expected no interface "${spec.ifname}" in the container, found one; another plugin of the chain may have made it`,
    );
  }
  const mac = macFromSeed(`pod ${spec.alias} ${spec.hostIfname}`);
  const hostMac = macFromSeed(`host ${spec.alias} ${spec.hostIfname}`);
  await createPair(point, netns, spec, { mac, hostMac });
  try {
    const index = configure(pod, spec);
    await carrier(point, spec.hostIfname);
    announce(pod, netns, { ifname: spec.ifname, index, mac });
  } catch (thrown) {
    await detachPod(point.connection, spec.hostIfname);
    throw thrown;
  }
  return { mac, hostMac, mtu: point.mtu };
}

function openPod(netns: NetnsFd): NetlinkConnection {
  try {
    return NetlinkConnection.open({ netns });
  } catch (cause) {
    throw new PodError(
      "PodNetnsUnusable",
      'Expected "CNI_NETNS" to be a network namespace that can be entered, found another; the container may have ended',
      { cause },
    );
  }
}

/** The name of a host end belongs to one attachment: one that stands there is what a killed daemon left of it. */
async function createPair(
  point: AttachmentPoint,
  netns: NetnsFd,
  spec: PodInterfaceSpec,
  macs: { readonly mac: string; readonly hostMac: string },
): Promise<void> {
  const create = () =>
    createLink(point.connection, {
      name: spec.hostIfname,
      kind: {
        type: "veth",
        peer: { name: spec.ifname, netnsFd: netns.fd, mtu: point.mtu, address: macs.mac },
      },
      mtu: point.mtu,
      address: macs.hostMac,
      alias: spec.alias.slice(0, longestAlias),
      master: point.bridgeIndex,
      bridgePort: { hairpin: true },
      addrGenMode: "none",
      up: true,
    });
  try {
    create();
  } catch (thrown) {
    if (!(thrown instanceof NetlinkError && thrown.errnoName === "EEXIST")) throw thrown;
    if (!await detachPod(point.connection, spec.hostIfname)) throw thrown;
    create();
  }
}

/** Configures the pod's side; gives its index there. */
function configure(pod: NetlinkConnection, spec: PodInterfaceSpec): number {
  const link = getLink(pod, { name: spec.ifname });
  if (link === undefined) {
    throw new PodError(
      "PodNetnsUnusable",
      `Expected the interface "${spec.ifname}" in the container, found it gone; the container may have ended`,
    );
  }
  setLink(pod, loopbackIndex, { up: true });
  addAddress(pod, {
    index: link.index,
    address: spec.address,
    prefixLength: spec.prefixLength,
  });
  setLink(pod, link.index, { up: true });
  addRoute(pod, { gateway: spec.gateway, oif: link.index });
  return link.index;
}

/** Waits until the bridge forwards what the pod sends: the kernel tells it of the carrier a moment later. */
async function carrier(point: AttachmentPoint, hostIfname: string): Promise<void> {
  const deadline = performance.now() + carrierDeadlineMs;
  while (getLink(point.connection, { name: hostIfname })?.running !== true) {
    if (performance.now() > deadline) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/**
 * Has the kernel send a gratuitous ARP, so that neighbours that knew the address from an earlier pod learn the new MAC at once.
 *
 * With `arp_notify` it does so whenever the MAC is set, also to what it is (net/ipv4/devinet.c, NETDEV_CHANGEADDR). A packet
 * socket would do as well, but closing one holds the thread up for 10 ms (packet_release waits for RCU).
 */
function announce(
  pod: NetlinkConnection,
  netns: NetnsFd,
  link: { readonly ifname: string; readonly index: number; readonly mac: string },
): void {
  inNetns(netns, () => writeSysctl(["net", "ipv4", "conf", link.ifname, "arp_notify"], 1));
  setLink(pod, link.index, { address: link.mac });
}
