/**
 * The lines that turn one FRR configuration into another, in the order that FRR survives. Pure.
 *
 * VRF sections, BGP instances, prefix lists, route maps and BFD profiles of this project follow the desired text, removals included.
 * Sections of any other kind are added where they are missing and never removed: they belong to whoever wrote them.
 */

import { childOf, type ConfigNode, parseConfig } from "./config_tree.ts";
import { BFD_PROFILE_PREFIX } from "./render_neighbor.ts";

/** What a difference is made from. */
export interface DiffInput {
  /** What any daemon shows as its running configuration, one after another. */
  readonly running: string;
  /**
   * What bgpd shows, as `running` when absent. Filters are added where bgpd lacks them, which uses them: zebra has copies and
   * goes on showing them when bgpd starts anew without.
   */
  readonly bgpd?: string | undefined;
  /** The whole desired configuration. */
  readonly desired: string;
  /**
   * VRFs that zebra remembers though the kernel has them no more (`inactive`). Those that are not desired are forgotten by `no vrf`, which
   * FRR allows only then; doing it earlier, or `no netns` at any time, makes zebra use freed memory.
   */
  readonly inactiveVrfs?: readonly string[];
}

/**
 * Configuration lines for vtysh, in order: `no vni`, BGP instances of VRFs, the BGP instance itself; then prefix lists and route maps, BFD
 * profiles, VNIs, BGP; then what is no longer referred to. Empty when both configurations mean the same.
 */
export function diffConfig(input: DiffInput): string[] {
  const running = parseConfig(input.running);
  const inBgpd = input.bgpd === undefined ? running : parseConfig(input.bgpd);
  const desired = parseConfig(input.desired);
  const removedRouters = routersToRemove(running, desired);
  const removedVnis = vnisToRemove(running, desired, new Set(removedRouters.map(vrfOfRouter)));
  const kept = withoutRemoved(running, removedVnis, removedRouters);
  return [
    ...removedVnis.flatMap(({ vrf, vni }) => [vrf, `no ${vni}`, "exit-vrf"]),
    ...removedRouters.map((line) => `no ${line}`),
    ...kept.filter((node) => isVrf(node) && childOf(desired, node.line) === undefined)
      .flatMap((node) => changeContext(node, { line: node.line, children: [] })),
    ...desired.filter(isFilter).flatMap((node) => changeContext(childOf(inBgpd, node.line), node)),
    ...changeProfiles(kept, desired),
    ...desired.filter((node) => !isFilter(node) && !isRouter(node) && !isBfd(node)).flatMap((
      node,
    ) => changeContext(childOf(kept, node.line), node)),
    ...desired.filter(isRouter).toSorted(defaultInstanceFirst).flatMap((node) =>
      changeContext(childOf(kept, node.line), node)
    ),
    ...filtersToRemove(kept, desired),
    ...removeProfiles(kept, desired),
    ...(input.inactiveVrfs ?? []).filter((name) => childOf(desired, `vrf ${name}`) === undefined)
      .toSorted().map((name) => `no vrf ${name}`),
  ];
}

interface RemovedVni {
  /** The line that opens the VRF's section. */
  readonly vrf: string;
  /** The VNI's line in it. */
  readonly vni: string;
}

/** The BGP instances to remove: those of VRFs first, because FRR keeps the one of the node while another depends on it. */
function routersToRemove(running: readonly ConfigNode[], desired: readonly ConfigNode[]): string[] {
  const own = running.filter((node) => isRouter(node) && vrfOfRouter(node.line) === "");
  const changesAsn = own.some((node) => childOf(desired, node.line) === undefined);
  return running.filter(isRouter)
    .filter((node) => changesAsn || childOf(desired, node.line) === undefined)
    .toSorted((a, b) => defaultInstanceFirst(b, a))
    .map((node) => node.line);
}

/**
 * A VNI goes when it is not desired, and also when the VRF's BGP instance or the node's goes: FRR refuses the one before the other, for each
 * VNI has an instance, though it may be one of bgpd's own that it does not show.
 */
function vnisToRemove(
  running: readonly ConfigNode[],
  desired: readonly ConfigNode[],
  vrfsWithoutRouter: ReadonlySet<string>,
): RemovedVni[] {
  return running.filter(isVrf).flatMap((vrf) =>
    vrf.children
      .filter((child) => child.line.startsWith("vni "))
      .filter((vni) =>
        vrfsWithoutRouter.has("") ||
        vrfsWithoutRouter.has(vrf.line.slice("vrf ".length)) ||
        childOf(childOf(desired, vrf.line)?.children ?? [], vni.line) === undefined
      )
      .map((vni) => ({ vrf: vrf.line, vni: vni.line }))
  );
}

/** The running configuration as it is after the removals. */
function withoutRemoved(
  running: readonly ConfigNode[],
  removedVnis: readonly RemovedVni[],
  removedRouters: readonly string[],
): ConfigNode[] {
  return running.filter((node) => !removedRouters.includes(node.line)).map((node) => ({
    line: node.line,
    children: node.children.filter((child) =>
      !removedVnis.some(({ vrf, vni }) => vrf === node.line && vni === child.line)
    ),
  }));
}

/** Lines that make one context equal to the desired one, with those that enter and leave it; none when it already is. */
function changeContext(running: ConfigNode | undefined, desired: ConfigNode): string[] {
  const before = running?.children ?? [];
  const removedNeighbors = neighborsToRemove(before, desired.children);
  const removals = before
    .filter((node) => node.children.length === 0 && !isSubcontext(node.line))
    .filter((node) =>
      !coveredBy(node.line, desired.children) && !removedNeighbors.has(neighborOf(node.line))
    )
    .map((node) => negate(node.line));
  const leaves = desired.children.filter((node) => !isSubcontext(node.line));
  const additions = leaves
    .filter((node) => childOf(before, node.line) === undefined)
    .map((node) => node.line);
  const inside = [
    ...[...removedNeighbors].map((address) => `no neighbor ${address}`),
    ...removals,
    ...additions,
    ...changeSubcontexts(before, desired.children, removedNeighbors),
  ];
  if (inside.length === 0 && running !== undefined) return [];
  return isContext(desired.line)
    ? [desired.line, ...inside, leaving(desired.line)]
    : [desired.line];
}

/** The same for address families, where a neighbor that is removed as a whole needs no line of its own. */
function changeSubcontexts(
  before: readonly ConfigNode[],
  desired: readonly ConfigNode[],
  removedNeighbors: ReadonlySet<string>,
): string[] {
  const lines = [...desired, ...before].filter((node) => isSubcontext(node.line)).map((node) =>
    node.line
  );
  return [...new Set(lines)].flatMap((line) => {
    const running = childOf(before, line);
    const remaining = running?.children.filter((node) =>
      !removedNeighbors.has(neighborOf(node.line))
    );
    return changeContext(
      running && { line, children: remaining ?? [] },
      childOf(desired, line) ?? { line, children: [] },
    );
  });
}

/** Neighbors that the desired section does not define. */
function neighborsToRemove(
  before: readonly ConfigNode[],
  desired: readonly ConfigNode[],
): Set<string> {
  const defined = (nodes: readonly ConfigNode[]) =>
    nodes.flatMap((node) => /^neighbor (\S+) remote-as /.exec(node.line)?.[1] ?? []);
  const wanted = new Set(defined(desired));
  return new Set(defined(before).filter((address) => !wanted.has(address)));
}

function filtersToRemove(running: readonly ConfigNode[], desired: readonly ConfigNode[]): string[] {
  const gone = running.filter((node) => isFilter(node) && !coveredBy(node.line, desired));
  return [
    ...gone.filter((node) => node.line.startsWith("route-map ")),
    ...gone.filter((node) => !node.line.startsWith("route-map ")),
  ].map((node) => `no ${node.line}`);
}

/** BFD profiles that are missing or different. */
function changeProfiles(running: readonly ConfigNode[], desired: readonly ConfigNode[]): string[] {
  const before = profilesOf(running);
  const lines = profilesOf(desired).flatMap((node) =>
    changeContext(childOf(before, node.line), node)
  );
  return lines.length === 0 ? [] : ["bfd", ...lines, "exit"];
}

/** BFD profiles of this project that nothing refers to any more. */
function removeProfiles(running: readonly ConfigNode[], desired: readonly ConfigNode[]): string[] {
  const wanted = profilesOf(desired);
  const gone = profilesOf(running).filter(({ line }) =>
    line.startsWith(`profile ${BFD_PROFILE_PREFIX}`) && childOf(wanted, line) === undefined
  );
  return gone.length === 0 ? [] : ["bfd", ...gone.map(({ line }) => `no ${line}`), "exit"];
}

function profilesOf(nodes: readonly ConfigNode[]): readonly ConfigNode[] {
  const section = nodes.find(isBfd);
  return section?.children.filter(({ line }) => line.startsWith("profile ")) ?? [];
}

/** Settings of which a context holds one: the new line replaces the old one, and removing it first would only cause a gap. */
const SINGLE: readonly RegExp[] = [
  /^bgp router-id /,
  /^rd /,
  /^redistribute \S+/,
  /^table-map /,
  /^neighbor \S+ remote-as /,
  /^neighbor \S+ (?:description|ebgp-multihop|update-source|bfd profile|password|timers connect) /,
  /^neighbor \S+ timers (?=\d)/,
  /^neighbor \S+ allowas-in(?= |$)/,
  /^(?:detect-multiplier|transmit-interval|receive-interval) /,
  /^match (?:ip|ipv6) address /,
  /^match evpn (?:route-type|vni) /,
  /^set ip next-hop /,
  /^(?:ip|ipv6) prefix-list \S+ seq \d+ /,
];

/** Whether a running line is desired as it is, or replaced by a desired line of the same setting. */
function coveredBy(line: string, desired: readonly ConfigNode[]): boolean {
  if (childOf(desired, line) !== undefined) return true;
  const setting = SINGLE.find((pattern) => pattern.test(line));
  const key = setting?.exec(line)?.[0];
  return key !== undefined && desired.some((node) => setting?.exec(node.line)?.[0] === key);
}

function negate(line: string): string {
  const password = /^neighbor \S+ password(?= )/.exec(line)?.[0];
  if (password !== undefined) return `no ${password}`;
  return line.startsWith("no ") ? line.slice("no ".length) : `no ${line}`;
}

function neighborOf(line: string): string {
  return /^(?:no )?neighbor (\S+) /.exec(line)?.[1] ?? "";
}

function isRouter(node: ConfigNode): boolean {
  return node.line.startsWith("router bgp ");
}

function isBfd(node: ConfigNode): boolean {
  return node.line === "bfd";
}

function isVrf(node: ConfigNode): boolean {
  return node.line.startsWith("vrf ");
}

function isFilter(node: ConfigNode): boolean {
  return /^(?:ip prefix-list|ipv6 prefix-list|route-map) /.test(node.line);
}

function vrfOfRouter(line: string): string {
  return / vrf (\S+)$/.exec(line)?.[1] ?? "";
}

function defaultInstanceFirst(a: ConfigNode, b: ConfigNode): number {
  return Number(vrfOfRouter(a.line) !== "") - Number(vrfOfRouter(b.line) !== "");
}

function isSubcontext(line: string): boolean {
  return line.startsWith("address-family ");
}

function isContext(line: string): boolean {
  return /^(?:vrf|router|route-map|interface|address-family|profile) /.test(line);
}

function leaving(line: string): string {
  if (line.startsWith("vrf ")) return "exit-vrf";
  return isSubcontext(line) ? "exit-address-family" : "exit";
}
