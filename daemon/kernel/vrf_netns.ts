/**
 * VRFs as network namespaces, for kernels without links of kind vrf. FRR finds them in `/run/netns` by its option `--vrfwnetns`.
 *
 * Bridge and VXLAN device live in the VRF's namespace, the VXLAN device's socket in the host's. The host leg joins the two: through
 * it the VRF's default route leads out, and the host's table for the VRF leads to the pods.
 *
 * @module
 */
import { formatPrefix, parsePrefix } from "../../lib/net/prefix.ts";
import { setLink } from "../../lib/netlink/rtnl/link.ts";
import type { Route } from "../../lib/netlink/rtnl/route.ts";
import { RT_TABLE } from "../../lib/netlink/rtnl/types.ts";
import { findAttachmentPoint, vrfNotReady } from "./attachment_point.ts";
import { type Host, type KernelOptions, openHost } from "./host.ts";
import { ensureHostLeg, findHostLeg, type HostLeg } from "./host_leg.ts";
import { hostLegPrefixes } from "./host_leg_address.ts";
import { deleteLinkIfThere } from "./link_changes.ts";
import {
  hostLegName,
  hostLegPeerName,
  ownerAlias,
  vrfName,
  vrfOfHostLeg,
  vrfOfName,
} from "./names.ts";
import { ensureOverlayLinks, removeOverlayLinks } from "./overlay.ts";
import type { OverlayHome } from "./overlay_match.ts";
import { overlaysIn } from "./overlay_observe.ts";
import { isOfKind, isOurs } from "./ownership.ts";
import {
  announceGateways,
  announcePods,
  askAddressesBack,
  countAddresses,
} from "./pod_neighbors.ts";
import type { Kernel, ObservedVrf, RuleSpec, Underlay, VrfSpec } from "./port.ts";
import {
  applyRoutes,
  deleteRoutes,
  diffRoutes,
  highestMetric,
  isIpv6Prefix,
  listOwnRoutes,
  type OwnRoute,
  unreachablePrefixes,
} from "./routes.ts";
import type { OwnRule } from "./rules.ts";
import { listOwnRules, syncOwnRules } from "./rule_sync.ts";
import { type Snapshot, takeSnapshot } from "./snapshot.ts";
import {
  ensureHostForwardsIpv6,
  ensureHostSysctls,
  ensureSysctls,
  hostIpv6Sysctls,
  hostSysctls,
  inside,
  linkSysctls,
  sysctlsHold,
  unmetSysctls,
  vrfNetnsIpv6Sysctls,
  vrfNetnsSysctls,
} from "./sysctls.ts";
import { findUnderlay, outwardLinks } from "./underlay.ts";
import { syncVtepRoutes } from "./vtep_routes.ts";
import { type VrfSpace, VrfSpaces } from "./vrf_spaces.ts";

/** The namespace is the VRF: a bridge in it belongs to no link. */
const home: OverlayHome = { master: 0, foreignSocket: true };

/** What a namespace holds: the host's, read once for all VRFs, or that of a VRF. */
interface Contents {
  readonly snapshot: Snapshot;
  readonly routes: readonly Route[];
  /** Whether the sysctls hold that are always needed. */
  readonly sysctlsHold: boolean;
  /** Whether those hold that a VRF with IPv6 needs besides. */
  readonly ipv6SysctlsHold: boolean;
}

/**
 * Opens the adapter that keeps VRFs as network namespaces.
 *
 * @throws {SysError} If the host's namespace cannot be entered
 */
export function openNetnsKernel(options: KernelOptions): Kernel {
  const host = openHost(options);
  const { connection } = host;
  const spaces = new VrfSpaces(host);
  const spaceOf = (name: string): VrfSpace => {
    const space = spaces.open(name);
    if (space === undefined) throw vrfNotReady(name, "network namespace");
    return space;
  };
  return {
    backend: "netns",
    underlay: (hint) => findUnderlay(connection, hint),
    outwardLinks: (underlay) => outwardLinks(connection, underlay),
    observe() {
      const outside = readOutside(host);
      const vrfs = observeAll(spaces, outside).sort((a, b) => a.vrf - b.vrf);
      return {
        vrfs: new Map(vrfs.map((vrf) => [vrf.vrf, vrf])),
        rules: listOwnRules(connection),
      };
    },
    ensureVrf(spec, underlay) {
      const ipv6 = spec.prefixes.some(isIpv6Prefix);
      inside(host.netns, () => {
        ensureHostSysctls(hostSysctls);
        if (ipv6) ensureHostForwardsIpv6();
      });
      const space = spaces.ensure(spec.name);
      claim(space);
      const sysctls = [...vrfNetnsSysctls, ...ipv6 ? vrfNetnsIpv6Sysctls : []];
      inside(space.netns, () => ensureSysctls(sysctls));
      const leg = ensureHostLeg(host, space, { vrf: spec.vrf, mtu: underlay.mtu, ipv6 });
      applyRoutes(
        space.connection,
        diffRoutes(innerRoutes(spec, leg), listOwnRoutes(space.connection)),
      );
      const found = ofVrf(listOwnRoutes(connection), spec.table, leg.hostIndex);
      applyRoutes(connection, diffRoutes(outerRoutes(spec, leg), found));
    },
    announceVrf: (name) => spaces.nameAgain(name),
    ensureOverlay(spec, overlay) {
      const { connection: inner, netns } = spaceOf(spec.name);
      const place = { ...home, connection: inner, netns, underlay: connection };
      ensureOverlayLinks({ ...place, targetFd: netns.fd }, spec.name, overlay);
    },
    countAddresses: (name, overlay) => countAddresses(spaceOf(name).connection, overlay),
    announceGateways: (name, overlay) => announceGateways(spaceOf(name).connection, overlay),
    announcePods: (name, overlay) => announcePods(spaceOf(name).connection, overlay),
    askAddressesBack: (name, overlay) => askAddressesBack(spaceOf(name).connection, overlay),
    async removeOverlay(name, overlay) {
      const space = spaces.open(name);
      if (space !== undefined) await removeOverlayLinks(space.connection, overlay);
    },
    async detachVrf(vrf) {
      const leg = takeSnapshot(connection).links.get(hostLegName(vrf.vrf));
      const own = listOwnRoutes(connection);
      deleteRoutes(connection, ofVrf(own, vrf.table, leg?.index ?? 0));
      if (leg !== undefined && isOfKind(leg, "veth") && isOurs(leg)) {
        await deleteLinkIfThere(connection, { index: leg.index });
      }
    },
    removeVrf(vrf) {
      spaces.delete(vrf.name);
      return Promise.resolve();
    },
    syncRules: (rules) => syncOwnRules(connection, rules, rulesByLeg),
    syncVtepRoutes: (addresses, underlay) => syncVtepRoutes(connection, addresses, underlay),
    ingressInterfaces: ({ vrf }) => [hostLegName(vrf)],
    neighborPrefixes: () => ["0.0.0.0/0", "::/0"],
    ownNamespace(vrf) {
      const name = vrfName(vrf);
      if (spaces.open(name) === undefined) return undefined;
      return {
        path: `${host.netnsDir}/${name}`,
        hostLink: hostLegPeerName,
        hostPrefixes: hostLegPrefixes,
      };
    },
    connection: (vrf) => spaces.open(vrfName(vrf))?.connection,
    namespace: (vrf) => spaces.open(vrfName(vrf))?.netns,
    attachmentPoint: (vrf) => findAttachmentPoint(spaceOf(vrfName(vrf)).connection, vrf),
    [Symbol.dispose]() {
      spaces[Symbol.dispose]();
      connection[Symbol.dispose]();
    },
  };
}

/** What a VRF's pods send comes to the host by the VRF's host leg. */
function rulesByLeg({ fromVrf, ...rule }: RuleSpec): OwnRule[] {
  return [fromVrf === undefined ? rule : { ...rule, iifname: hostLegName(fromVrf) }];
}

function readOutside(host: Host): Contents {
  const snapshot = takeSnapshot(host.connection);
  const legs = [...snapshot.links.values()].filter((link) => isOurs(link) && isLeg(link.name));
  const wishes = [...hostSysctls, ...legs.flatMap(({ name }) => linkSysctls(name))];
  return {
    snapshot,
    routes: listOwnRoutes(host.connection),
    ...inside(host.netns, () => ({
      sysctlsHold: unmetSysctls(wishes).length === 0,
      ipv6SysctlsHold: sysctlsHold(hostIpv6Sysctls),
    })),
  };
}

function isLeg(name: string): boolean {
  return vrfOfHostLeg(name) !== undefined;
}

/** VRFs of which a namespace of ours or a host leg of ours is left. */
function observeAll(spaces: VrfSpaces, outside: Contents): ObservedVrf[] {
  const observed = new Map<number, ObservedVrf>();
  for (const name of spaces.names()) {
    const vrf = vrfOfName(name);
    const space = spaces.open(name);
    if (vrf === undefined || space === undefined) continue;
    const snapshot = takeSnapshot(space.connection);
    const marked = isClaimed(snapshot) || hasOurLeg(outside, vrf);
    if (marked) observed.set(vrf, observeVrf(vrf, outside, readInside(space, snapshot)));
  }
  for (const name of outside.snapshot.links.keys()) {
    const vrf = vrfOfHostLeg(name);
    if (vrf === undefined || observed.has(vrf) || !hasOurLeg(outside, vrf)) continue;
    observed.set(vrf, observeVrf(vrf, outside, undefined));
  }
  return [...observed.values()];
}

function hasOurLeg(outside: Contents, vrf: number): boolean {
  const leg = outside.snapshot.links.get(hostLegName(vrf));
  return leg !== undefined && isOurs(leg);
}

function readInside(space: VrfSpace, snapshot: Snapshot): Contents {
  return {
    snapshot,
    routes: listOwnRoutes(space.connection),
    ...inside(space.netns, () => ({
      sysctlsHold: unmetSysctls(vrfNetnsSysctls).length === 0,
      ipv6SysctlsHold: sysctlsHold(vrfNetnsIpv6Sysctls),
    })),
  };
}

function observeVrf(vrf: number, outside: Contents, within: Contents | undefined): ObservedVrf {
  const name = vrfName(vrf);
  const legIndex = outside.snapshot.links.get(hostLegName(vrf))?.index ?? 0;
  const throughLeg = outside.routes.filter((route) => route.oif === legIndex);
  const table = throughLeg[0]?.table ?? 0;
  return {
    vrf,
    name,
    table,
    overlays: within === undefined ? [] : overlaysIn(within.snapshot, vrf, home),
    blocks: throughLeg.flatMap(({ dst, metric }) =>
      dst === undefined || metric === highestMetric ? [] : [formatPrefix(dst)]
    ),
    matches: (spec, underlay) =>
      spec.name === name && within !== undefined && matchesSpec(spec, underlay, outside, within),
  };
}

function matchesSpec(
  spec: VrfSpec,
  underlay: Underlay,
  outside: Contents,
  within: Contents,
): boolean {
  const { snapshot } = within;
  const ipv6 = spec.prefixes.some(isIpv6Prefix);
  const sound = [within, outside].every(({ sysctlsHold, ipv6SysctlsHold }) =>
    sysctlsHold && (ipv6SysctlsHold || !ipv6)
  );
  if (!sound) return false;
  if (!isClaimed(snapshot) || snapshot.links.get("lo")?.up !== true) return false;
  const wish = { vrf: spec.vrf, mtu: underlay.mtu, ipv6 };
  const leg = findHostLeg(wish, outside.snapshot, snapshot);
  if (leg === undefined) return false;
  const inner = diffRoutes(innerRoutes(spec, leg), within.routes);
  const outer = diffRoutes(
    outerRoutes(spec, leg),
    ofVrf(outside.routes, spec.table, leg.hostIndex),
  );
  return [inner, outer].every(({ missing, surplus }) => missing.length + surplus.length === 0);
}

/** The mark by which a namespace is known to be ours: our alias on its loopback link, which also has to be up. */
function isClaimed(snapshot: Snapshot): boolean {
  const lo = snapshot.links.get("lo");
  return lo !== undefined && isOurs(lo);
}

function claim(space: VrfSpace): void {
  const snapshot = takeSnapshot(space.connection);
  const lo = snapshot.links.get("lo");
  if (lo === undefined) throw vrfNotReady(space.name, "loopback link");
  if (!lo.up || !isClaimed(snapshot)) {
    setLink(space.connection, lo.index, { up: true, alias: ownerAlias });
  }
}

/**
 * Our routes in the VRF's namespace: out of it through the host leg. zebra takes the upper byte of their metric for the distance, so that it
 * never prefers them to what it learns.
 */
function innerRoutes(spec: VrfSpec, leg: HostLeg): OwnRoute[] {
  const table = RT_TABLE.MAIN;
  const throughLeg = (cidr: string) => ({
    table,
    gateway: isIpv6Prefix(cidr) ? leg.ipv6?.host : leg.host,
    oif: leg.vrfIndex,
    metric: highestMetric,
  });
  return [
    ...unreachablePrefixes(spec, table),
    ...spec.prefixes.map((cidr): OwnRoute => ({
      ...throughLeg(cidr),
      family: isIpv6Prefix(cidr) ? 6 : 4,
    })),
    ...(spec.viaHost ?? []).map((cidr) => ({ ...throughLeg(cidr), dst: parsePrefix(cidr) })),
  ];
}

/**
 * Our routes in the host's table for the VRF, through the host leg: to this node's blocks and, last of all, to the whole prefixes. So it is
 * the VRF's namespace that decides about the rest, by what FRR learnt or by its unreachable route, as the VRF's table does where a VRF is a
 * link. All of them go with the host leg.
 */
function outerRoutes(spec: VrfSpec, leg: HostLeg): OwnRoute[] {
  const throughLeg = (cidr: string) => ({
    table: spec.table,
    gateway: isIpv6Prefix(cidr) ? leg.ipv6?.vrf : leg.vrf,
    oif: leg.hostIndex,
    dst: parsePrefix(cidr),
  });
  return [
    ...spec.prefixes.map((prefix) => ({ ...throughLeg(prefix), metric: highestMetric })),
    ...spec.blocks.map(throughLeg),
  ];
}

/** Those of our routes in the host's namespace that are a VRF's: in its table, or through its host leg in whatever table. */
function ofVrf(routes: readonly Route[], table: number, legIndex: number): Route[] {
  return routes.filter((route) =>
    (legIndex !== 0 && route.oif === legIndex) ||
    (table !== 0 && table !== RT_TABLE.MAIN && route.table === table)
  );
}
