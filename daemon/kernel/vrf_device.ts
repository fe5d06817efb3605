/**
 * VRFs as links of kind vrf, all in the host's network namespace.
 *
 * A VRF's table holds no default route: what is not in it is looked up by the RPDB's next rules, which lead to the service VRFs and
 * out of the node.
 *
 * @module
 */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import {
  createLink,
  deleteLink,
  getLink,
  listLinks,
  setLink,
} from "../../lib/netlink/rtnl/link.ts";
import type { Route } from "../../lib/netlink/rtnl/route.ts";
import { RT_TABLE } from "../../lib/netlink/rtnl/types.ts";
import { formatPrefix, networkOf, parsePrefix } from "../../lib/net/prefix.ts";
import { findAttachmentPoint, vrfNotReady } from "./attachment_point.ts";
import { type KernelOptions, openHost } from "./host.ts";
import { deleteLinkIfThere } from "./link_changes.ts";
import {
  bridgeName,
  ownerAlias,
  vrfName,
  vrfOfBridge,
  vrfOfName,
  vrfOfVxlanAlias,
} from "./names.ts";
import { ensureOverlayLinks, removeOverlayLinks } from "./overlay.ts";
import { overlaysIn } from "./overlay_observe.ts";
import type { OverlayHome } from "./overlay_match.ts";
import { expectKind, isOfKind, isOurs } from "./ownership.ts";
import {
  announceGateways,
  announcePods,
  askAddressesBack,
  countAddresses,
} from "./pod_neighbors.ts";
import type { GatewayAddress, Kernel, ObservedVrf, RuleSpec, VrfSpec } from "./port.ts";
import {
  applyRoutes,
  deleteRoutes,
  diffRoutes,
  isIpv6Prefix,
  listOwnRoutes,
  unreachablePrefixes,
} from "./routes.ts";
import type { OwnRule } from "./rules.ts";
import { listOwnRules, syncOwnRules } from "./rule_sync.ts";
import { type Snapshot, takeSnapshot } from "./snapshot.ts";
import {
  deviceSysctls,
  ensureHostForwardsIpv6,
  ensureHostSysctls,
  hostIpv6Sysctls,
  inside,
  sysctlsHold,
  unmetSysctls,
} from "./sysctls.ts";
import { findUnderlay, outwardLinks } from "./underlay.ts";
import { syncVtepRoutes } from "./vtep_routes.ts";

/** No link has this index: where a VRF's link is missing, its bridges cannot belong to it. */
const noLink = -1;

/**
 * Opens the adapter that keeps VRFs as links.
 *
 * @throws {SysError} If the host's namespace cannot be entered
 */
export function openDeviceKernel(options: KernelOptions): Kernel {
  const host = openHost(options);
  const { connection } = host;
  return {
    backend: "device",
    underlay: (hint) => findUnderlay(connection, hint),
    outwardLinks: (underlay) => outwardLinks(connection, underlay),
    observe() {
      const snapshot = takeSnapshot(connection);
      const routes = listOwnRoutes(connection);
      const hold = inside(host.netns, () => ({
        always: unmetSysctls(deviceSysctls).length === 0,
        ipv6: sysctlsHold(hostIpv6Sysctls),
      }));
      const vrfs = [...numbersOf(snapshot)].sort((a, b) => a - b)
        .map((vrf) => observeVrf(vrf, snapshot, routes, hold));
      return {
        vrfs: new Map(vrfs.map((vrf) => [vrf.vrf, vrf])),
        rules: listOwnRules(connection),
      };
    },
    ensureVrf(spec) {
      ensureVrfLink(connection, spec);
      // After the link: the vrf module brings sysctls of its own.
      inside(host.netns, () => {
        ensureHostSysctls(deviceSysctls);
        if (spec.prefixes.some(isIpv6Prefix)) ensureHostForwardsIpv6();
      });
      const found = deleteStrays(connection, listOwnRoutes(connection))
        .filter((route) => route.table === spec.table);
      applyRoutes(connection, diffRoutes(unreachablePrefixes(spec, spec.table), found));
    },
    // Of links zebra misses none: it reads them all again where the kernel had to drop a message.
    announceVrf() {},
    ensureOverlay(spec, overlay) {
      const master = expectKind(getLink(connection, { name: spec.name }), "vrf")?.index;
      if (master === undefined) throw vrfNotReady(spec.name, "link");
      const place = { connection, underlay: connection, netns: host.netns };
      ensureOverlayLinks({ ...place, master, foreignSocket: false }, spec.name, overlay);
    },
    countAddresses: (_vrfName, overlay) => countAddresses(connection, overlay),
    announceGateways: (_vrfName, overlay) => announceGateways(connection, overlay),
    announcePods: (_vrfName, overlay) => announcePods(connection, overlay),
    askAddressesBack: (_vrfName, overlay) => askAddressesBack(connection, overlay),
    removeOverlay: (_vrfName, overlay) => removeOverlayLinks(connection, overlay),
    detachVrf(vrf) {
      const kept = deleteStrays(connection, listOwnRoutes(connection));
      deleteRoutes(connection, inTable(kept, vrf.table));
      return Promise.resolve();
    },
    async removeVrf(vrf) {
      const link = getLink(connection, { name: vrf.name });
      if (link === undefined || !isOfKind(link, "vrf") || !isOurs(link)) return;
      await deleteLinkIfThere(connection, { index: link.index });
    },
    syncRules: (rules) => syncOwnRules(connection, rules, rulesByLink),
    syncVtepRoutes: (addresses, underlay) => syncVtepRoutes(connection, addresses, underlay),
    ingressInterfaces: ({ overlays }) => overlays.map((overlay) => overlay.bridge),
    neighborPrefixes: ({ overlays }) => [
      ...new Set(overlays.flatMap(({ gateways }) => gateways.map(subnetOf))),
    ],
    ownNamespace: () => undefined,
    connection: () => connection,
    namespace: () => host.netns ?? null,
    attachmentPoint: (vrf) => findAttachmentPoint(connection, vrf),
    [Symbol.dispose]: () => connection[Symbol.dispose](),
  };
}

/**
 * One rule looks up the own tables of all VRFs: the kernel knows them by the link. For whatever else the link must be named. From Linux 5.18 on
 * packets of a VRF come by its bridge, before and from 6.11 on (also) by the VRF's own link. A rule for a link that is not there matches
 * nothing.
 */
function rulesByLink({ fromVrf, ...rule }: RuleSpec): OwnRule[] {
  if (fromVrf === undefined) return [rule];
  if (rule.noDefault === true) return [{ ...rule, table: 0, l3mdev: true }];
  const links = [vrfName(fromVrf), bridgeName("l3vni", fromVrf), bridgeName("l2vni", fromVrf)];
  return links.map((iifname) => ({ ...rule, iifname }));
}

/** Numbers of all VRFs of which anything of ours is left. */
function numbersOf(snapshot: Snapshot): Set<number> {
  const numbers = new Set<number>();
  for (const link of snapshot.links.values()) {
    if (!isOurs(link)) continue;
    const vrf = isOfKind(link, "vrf")
      ? vrfOfName(link.name)
      : vrfOfBridge(link.name) ?? vrfOfVxlanAlias(link.alias);
    if (vrf !== undefined) numbers.add(vrf);
  }
  return numbers;
}

function observeVrf(
  vrf: number,
  snapshot: Snapshot,
  routes: readonly Route[],
  hold: { readonly always: boolean; readonly ipv6: boolean },
): ObservedVrf {
  const name = vrfName(vrf);
  const found = snapshot.links.get(name);
  const link = isOfKind(found, "vrf") ? found : undefined;
  const table = link?.kind.table ?? 0;
  const home: OverlayHome = { master: link?.index ?? noLink, foreignSocket: false };
  const overlays = overlaysIn(snapshot, vrf, home);
  const gateways = overlays.flatMap((overlay) => overlay.gateways);
  return {
    vrf,
    name,
    table,
    overlays,
    blocks: [...new Set(gateways.map(subnetOf))],
    matches: (spec) => {
      if (link === undefined || !link.up || !isOurs(link) || !hold.always) return false;
      if (spec.prefixes.some(isIpv6Prefix) && !hold.ipv6) return false;
      const wanted = unreachablePrefixes(spec, spec.table);
      const { missing, surplus } = diffRoutes(wanted, inTable(routes, table));
      return spec.name === name && spec.table === table && missing.length === 0 &&
        surplus.length === 0;
    },
  };
}

/** A VRF's table cannot be changed: with another one, the link is made anew, and its bridges follow later. */
function ensureVrfLink(connection: NetlinkConnection, spec: VrfSpec): void {
  const found = expectKind(getLink(connection, { name: spec.name }), "vrf");
  if (found !== undefined && found.kind.table === spec.table) {
    if (!found.up || !isOurs(found)) {
      setLink(connection, found.index, { up: true, alias: ownerAlias });
    }
    return;
  }
  if (found !== undefined) {
    deleteLink(connection, { index: found.index });
  }
  const kind = { type: "vrf", table: spec.table } as const;
  createLink(connection, { name: spec.name, kind, alias: ownerAlias, up: true });
}

/**
 * Deletes our routes in tables that no VRF has, and gives the others. Where somebody deleted a VRF's link by hand, the route that leads
 * nowhere stays, and nothing tells any more whose it was.
 */
function deleteStrays(connection: NetlinkConnection, routes: readonly Route[]): Route[] {
  const tables = new Set<number>();
  for (const link of listLinks(connection, { kind: "vrf" })) {
    if (isOfKind(link, "vrf")) tables.add(link.kind.table);
  }
  const isStray = ({ table }: Route) => table !== RT_TABLE.MAIN && !tables.has(table);
  deleteRoutes(connection, routes.filter(isStray));
  return routes.filter((route) => !isStray(route));
}

/** Our routes in a VRF's table. The main table is nobody's VRF. */
function inTable(routes: readonly Route[], table: number): Route[] {
  if (table === 0 || table === RT_TABLE.MAIN) return [];
  return routes.filter((route) => route.table === table);
}

function subnetOf({ address, prefixLength }: GatewayAddress): string {
  return formatPrefix(networkOf(parsePrefix(`${address}/${prefixLength}`)));
}
