/** Finds overlays in what a namespace holds. Pure. */
import type { Link } from "../../lib/netlink/rtnl/link.ts";
import { bridgeName, vrfName, vxlanAlias } from "./names.ts";
import {
  bridgeFaults,
  diffGateways,
  diffRemotes,
  linkLocalFor,
  missingPods,
  type OverlayHome,
  presentPorts,
  strayPorts,
  vxlanFaults,
} from "./overlay_match.ts";
import { isOfKind, isOurs } from "./ownership.ts";
import type { ObservedOverlay } from "./port.ts";
import type { Snapshot } from "./snapshot.ts";

/**
 * A VRF's overlays: its bridges that are ours or belong to its container, and VXLAN devices that lost their bridge but name the VRF.
 */
export function overlaysIn(snapshot: Snapshot, vrf: number, home: OverlayHome): ObservedOverlay[] {
  const overlays: ObservedOverlay[] = [];
  for (const type of ["l3vni", "l2vni"] as const) {
    const bridge = ownBridge(snapshot, bridgeName(type, vrf), home);
    const vxlan = vxlanOf(snapshot, bridge, vrf, type === "l3vni" ? "l3vx-" : "l2vx-");
    if (bridge === undefined && vxlan === undefined) continue;
    overlays.push(observed(snapshot, home, bridgeName(type, vrf), bridge, vxlan));
  }
  return overlays;
}

function observed(
  snapshot: Snapshot,
  home: OverlayHome,
  name: string,
  bridge: Link | undefined,
  vxlan: Link | undefined,
): ObservedOverlay {
  const gateways = bridge === undefined ? [] : snapshot.addresses.get(bridge.index) ?? [];
  const remotes = vxlan === undefined ? [] : snapshot.remotes.get(vxlan.index) ?? [];
  const linkLocals = bridge === undefined ? [] : snapshot.linkLocals.get(bridge.index) ?? [];
  return {
    bridge: name,
    ...(vxlan === undefined ? {} : { vxlan: vxlan.name }),
    gateways,
    misfits: ({ ports, mtu }) =>
      presentPorts(snapshot.links, ports).filter(({ link }) => link.mtu !== mtu)
        .map(({ port }) => port),
    matches: (spec) => {
      const { surplus, missing } = diffGateways(spec.gateways, gateways);
      const linkLocal = linkLocalFor(spec);
      const ends = diffRemotes(spec.remotes, remotes);
      return spec.bridge === name && spec.vxlan === vxlan?.name &&
        bridgeFaults(bridge, spec, home).length === 0 &&
        vxlanFaults(vxlan, spec, home, bridge?.index).length === 0 &&
        strayPorts(snapshot.links, spec.ports, bridge?.index).length === 0 &&
        missingPods(snapshot, spec, bridge?.index).length === 0 &&
        surplus.length === 0 && missing.length === 0 &&
        ends.surplus.length === 0 && ends.missing.length === 0 &&
        (linkLocal === undefined || linkLocals.includes(linkLocal));
    },
  };
}

function ownBridge(snapshot: Snapshot, name: string, home: OverlayHome): Link | undefined {
  const bridge = snapshot.links.get(name);
  if (!isOfKind(bridge, "bridge")) return undefined;
  return isOurs(bridge) || (bridge.master ?? 0) === home.master ? bridge : undefined;
}

function vxlanOf(
  snapshot: Snapshot,
  bridge: Link | undefined,
  vrf: number,
  prefix: string,
): Link | undefined {
  const alias = vxlanAlias(vrfName(vrf));
  let orphan: Link | undefined;
  for (const link of snapshot.links.values()) {
    if (!isOfKind(link, "vxlan")) continue;
    if (bridge !== undefined && link.master === bridge.index) return link;
    if (link.alias === alias && link.name.startsWith(prefix)) orphan = link;
  }
  return orphan;
}
