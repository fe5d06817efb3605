/** Makes, repairs and removes bridges with their VXLAN devices, wherever the VRF is kept. */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { addAddress, deleteAddress } from "../../lib/netlink/rtnl/address.ts";
import { setBridgePort } from "../../lib/netlink/rtnl/bridge_port.ts";
import {
  createLink,
  deleteLink,
  getLink,
  type Link,
  setLink,
} from "../../lib/netlink/rtnl/link.ts";
import { addFdb, deleteFdb, NTF, NUD } from "../../lib/netlink/rtnl/neighbor.ts";
import type { NetnsHandle } from "../../lib/sys/netns.ts";
import { KernelError } from "./errors.ts";
import { addLinkLocal, changeKind, clearProtoDown, deleteLinkIfThere } from "./link_changes.ts";
import { ownerAlias, vxlanAlias } from "./names.ts";
import { recallLostRoutes } from "./lost_routes.ts";
import {
  bridgeFaults,
  diffGateways,
  diffRemotes,
  isIpv6,
  linkLocalFor,
  missingPods,
  type OverlayHome,
  strayPorts,
  stretchedAgeingTime,
  type VxlanFault,
  vxlanFaults,
  vxlanPort,
} from "./overlay_match.ts";
import { expectKind, isOfKind } from "./ownership.ts";
import { knowPod } from "./pod_neighbors.ts";
import type { ObservedOverlay, OverlaySpec } from "./port.ts";
import { addressesOf, remotesOf, type Snapshot, takeSnapshot } from "./snapshot.ts";
import { bridgeSysctls, ensureSysctls, inside, ipv6LinkSysctls } from "./sysctls.ts";

/** The namespaces that an overlay is made in. */
export interface OverlayPlace extends OverlayHome {
  /** Connection in the namespace of bridge and VXLAN device. */
  readonly connection: NetlinkConnection;
  /** That namespace; the caller's own by default. */
  readonly netns?: NetnsHandle | undefined;
  /** Connection in the namespace of the underlay, where the VXLAN device's UDP socket lives. */
  readonly underlay: NetlinkConnection;
  /** The namespace of `connection` as seen from `underlay`, when the two differ. */
  readonly targetFd?: number | undefined;
}

/**
 * Makes or repairs the bridge, its gateway addresses and, last, the VXLAN device.
 *
 * @throws {KernelError} `NameTaken`, `VniInUse`
 * @throws {NetlinkError} If the kernel refuses
 */
export function ensureOverlayLinks(place: OverlayPlace, vrf: string, spec: OverlaySpec): void {
  const snapshot = takeSnapshot(place.connection);
  const bridge = ensureBridge(place, snapshot.links.get(spec.bridge), spec);
  // Before the addresses: a bridge that was down has lost those of IPv6.
  if (snapshot.links.has(spec.bridge)) recallLostRoutes(place.connection, bridge, spec);
  ensureGateways(place.connection, bridge, spec);
  ensurePorts(place.connection, bridge, spec, snapshot);
  ensureVxlan(place, snapshot, vrf, spec, bridge);
  ensureRemotes(place.connection, spec);
  for (const pod of missingPods(snapshot, spec, bridge)) knowPod(place.connection, bridge, pod);
}

/**
 * Deletes the VXLAN device and the bridge, in that order; what is not there or of another kind is left alone.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export async function removeOverlayLinks(
  connection: NetlinkConnection,
  overlay: ObservedOverlay,
): Promise<void> {
  const { vxlan, bridge } = overlay;
  if (vxlan !== undefined && isOfKind(getLink(connection, { name: vxlan }), "vxlan")) {
    await deleteLinkIfThere(connection, { name: vxlan });
  }
  if (isOfKind(getLink(connection, { name: bridge }), "bridge")) {
    await deleteLinkIfThere(connection, { name: bridge });
  }
}

/** Gives the bridge's index. */
function ensureBridge(place: OverlayPlace, found: Link | undefined, spec: OverlaySpec): number {
  const { connection, netns, master } = place;
  const { bridge: name, mac: address, mtu } = spec;
  const bridge = expectKind(found, "bridge");
  const ageingTime = spec.type === "l2vni" ? stretchedAgeingTime : undefined;
  const kind = { type: "bridge", stp: false, ageingTime } as const;
  const index = bridge?.index ?? createLink(connection, {
    name,
    kind,
    address,
    mtu,
    addrGenMode: "none",
    alias: ownerAlias,
    ...(master === 0 ? {} : { master }),
  });
  const sysctls = [
    ...bridgeSysctls(name),
    ...spec.gateways.some(isIpv6) ? ipv6LinkSysctls(name) : [],
  ];
  inside(netns, () => ensureSysctls(sysctls));
  if (bridge === undefined) {
    setLink(connection, index, { up: true });
    return index;
  }
  const faults = new Set(bridgeFaults(bridge, spec, place));
  if (faults.has("stp") || faults.has("ageing")) {
    // The key is left out unless it is on: kernels without VLAN filtering refuse to hear of it.
    const vlanFiltering = bridge.kind.vlanFiltering === true ? false : undefined;
    changeKind(connection, index, { ...kind, vlanFiltering });
  }
  if (faults.size > 0) {
    setLink(connection, index, {
      address: faults.has("mac") ? address : undefined,
      mtu: faults.has("mtu") ? mtu : undefined,
      master: faults.has("master") ? master : undefined,
      addrGenMode: faults.has("addrGenMode") ? "none" : undefined,
      alias: faults.has("alias") ? ownerAlias : undefined,
      up: faults.has("down") ? true : undefined,
    });
  }
  return index;
}

/** The addresses are read again: a bridge that changes its VRF, or was down, has lost those of IPv6. */
function ensureGateways(connection: NetlinkConnection, index: number, spec: OverlaySpec): void {
  const found = addressesOf(connection, index);
  const { surplus, missing } = diffGateways(spec.gateways, found.addresses);
  for (const gateway of surplus) deleteAddress(connection, { index, ...gateway });
  const linkLocal = linkLocalFor(spec);
  if (linkLocal !== undefined && !found.linkLocals.includes(linkLocal)) {
    addLinkLocal(connection, index, linkLocal);
  }
  for (const gateway of missing) {
    // A duplicate is what anycast gateways look like: looking for one would only hold the address back.
    addAddress(connection, { index, ...gateway, nodad: isIpv6(gateway) }, { ifExists: "ignore" });
  }
}

/** A bridge that was deleted or replaced let its pods go: they come back with what their attachment gave them. */
function ensurePorts(
  connection: NetlinkConnection,
  bridgeIndex: number,
  spec: OverlaySpec,
  snapshot: Snapshot,
): void {
  for (const { port, link: { index } } of strayPorts(snapshot.links, spec.ports, bridgeIndex)) {
    try {
      setLink(connection, index, { master: bridgeIndex });
      // A port's settings are lost with its master.
      setBridgePort(connection, index, { hairpin: true });
      if (spec.type === "l2vni") relearn(connection, index, port.mac);
    } catch (thrown) {
      // The pod was detached meanwhile.
      if (!(thrown instanceof NetlinkError && thrown.errnoName === "ENODEV")) throw thrown;
    }
  }
}

/** The bridge forgot the pod's MAC with its port: the other nodes must not wait until the pod says something. */
function relearn(connection: NetlinkConnection, index: number, mac: string): void {
  try {
    const state = NUD.REACHABLE;
    addFdb(connection, { index, mac, state, flags: NTF.MASTER }, { replace: true });
  } catch (thrown) {
    // A port whose pod has set its end down learns nothing.
    if (!(thrown instanceof NetlinkError && thrown.errnoName === "EPERM")) throw thrown;
  }
}

function ensureVxlan(
  place: OverlayPlace,
  snapshot: Snapshot,
  vrf: string,
  spec: OverlaySpec,
  bridgeIndex: number,
): void {
  const { connection } = place;
  removeOtherVxlans(place, snapshot, spec, bridgeIndex);
  const alias = vxlanAlias(vrf);
  let vxlan: Link | undefined = expectKind(snapshot.links.get(spec.vxlan), "vxlan");
  let faults = new Set(vxlanFaults(vxlan, spec, place, bridgeIndex));
  if (vxlan !== undefined && faults.has("identity")) {
    deleteLink(connection, { index: vxlan.index });
    vxlan = undefined;
  }
  if (vxlan === undefined) {
    vxlan = createVxlan(place, spec);
    faults = new Set(vxlanFaults(vxlan, spec, place, bridgeIndex));
  }
  if (faults.has("alias")) setLink(connection, vxlan.index, { alias });
  repairVxlan(connection, vxlan, spec, bridgeIndex, faults);
}

/** Tells the VXLAN device where the other nodes are, where that is not zebra's business. */
function ensureRemotes(connection: NetlinkConnection, { vxlan, remotes }: OverlaySpec): void {
  const index = remotes && getLink(connection, { name: vxlan })?.index;
  if (index === undefined) return;
  const { surplus, missing } = diffRemotes(remotes, remotesOf(connection, index));
  for (const { mac, address } of surplus) deleteFdb(connection, { index, mac, dst: address });
  for (const { mac, address } of missing) {
    addFdb(connection, { index, mac, dst: address }, { replace: true });
  }
}

/** A bridge has one VXLAN device: one with another name is of an earlier VNI. */
function removeOtherVxlans(
  place: OverlayPlace,
  snapshot: Snapshot,
  spec: OverlaySpec,
  bridgeIndex: number,
): void {
  for (const link of snapshot.links.values()) {
    const isPort = link.master === bridgeIndex && isOfKind(link, "vxlan");
    if (isPort && link.name !== spec.vxlan) deleteLink(place.connection, { index: link.index });
  }
}

/** The device is born in its final namespace, with its socket where the underlay is: nothing is moved. */
function createVxlan(place: OverlayPlace, spec: OverlaySpec): Link {
  const { vni, port, local, mtu, vxlan: name } = spec;
  try {
    createLink(place.underlay, {
      name,
      kind: { type: "vxlan", vni, port, local, learning: false },
      mtu,
      netnsFd: place.targetFd,
    });
  } catch (thrown) {
    if (!(thrown instanceof NetlinkError) || thrown.errnoName !== "EEXIST") throw thrown;
    throw new KernelError(
      "VniInUse",
      `Expected VNI "${vni}" on port "${port}" to be free for "${name}", found a VXLAN device that uses it; it may be in a namespace that is just going away, else delete it`,
      { cause: thrown },
    );
  }
  const created = getLink(place.connection, { name });
  if (created !== undefined) return created;
  throw new KernelError(
    "VrfNotReady",
    `Expected the new VXLAN device "${name}" in the VRF's namespace, found none; was it deleted meanwhile?`,
  );
}

/** Up comes last: zebra looks at the device when it comes up. */
function repairVxlan(
  connection: NetlinkConnection,
  vxlan: Link,
  spec: OverlaySpec,
  bridgeIndex: number,
  faults: ReadonlySet<VxlanFault>,
): void {
  const { index } = vxlan;
  if (faults.has("local")) {
    changeKind(connection, index, { type: "vxlan", vni: spec.vni, local: spec.local });
  }
  if (faults.has("mtu") || faults.has("addrGenMode") || faults.has("master")) {
    setLink(connection, index, {
      mtu: faults.has("mtu") ? spec.mtu : undefined,
      addrGenMode: faults.has("addrGenMode") ? "none" : undefined,
      master: faults.has("master") ? bridgeIndex : undefined,
    });
  }
  // A port's settings are lost with its master.
  if (faults.has("port") || faults.has("master")) {
    setBridgePort(connection, index, vxlanPort);
  }
  if (faults.has("protoDown")) clearProtoDown(connection, index);
  if (faults.has("down")) setLink(connection, index, { up: true });
}
