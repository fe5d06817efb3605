/** Sets and maps of the project's nftables table: all that differs between VRFs. Pure. */
import { parsePrefix, prefixRange } from "../../lib/net/prefix.ts";
import type { FirewallModel, FirewallVrf } from "./model.ts";
import { outsideMark } from "./marks.ts";
import {
  concat,
  families,
  type Family,
  type NftJson,
  type NftSet,
  ofFamily,
  prefixElement,
} from "./nft_json.ts";

/** Sets and maps that tell the VRFs apart. */
export function sets(
  vrfs: readonly FirewallVrf[],
  { markMask, outward }: FirewallModel,
): NftSet[] {
  const perLink = <T>(of: (name: string, mark: number) => T): T[] =>
    vrfs.flatMap(({ ingress, mark }) => ingress.map((name) => of(name, mark)));
  const marks = (of: (vrf: FirewallVrf) => boolean): number[] =>
    vrfs.filter(of).map(({ mark }) => mark);
  return [
    setOf(
      "map",
      "ingress",
      { type: "ifname", map: "mark" },
      perLink((name, mark) => [name, mark]),
    ),
    setOf("set", "outward", { type: "ifname" }, outward.toSorted()),
    setOf("set", "links", { type: "ifname" }, perLink((name) => name)),
    setOf("set", "own", { type: ["mark", "ifname"] }, perLink((name, mark) => concat(mark, name))),
    setOf("set", "marks", { type: "mark" }, marks(() => true)),
    setOf("set", "origins", { type: "mark" }, [...marks(() => true), outsideMark(markMask)]),
    setOf("set", "natted", { type: "mark" }, marks(({ egress }) => egress === "nat")),
    setOf("set", "closed", { type: "mark" }, marks(({ egress }) => egress === "none")),
    ...families.flatMap((family) => prefixSets(family, vrfs)),
  ];
}

/** Sets of one IP version. */
function prefixSets(family: Family, vrfs: readonly FirewallVrf[]): NftSet[] {
  const { type, suffix } = family;
  const keyed = (of: (vrf: FirewallVrf) => readonly string[]): NftJson[] =>
    vrfs.flatMap((vrf) =>
      withoutContained(ofFamily(family, of(vrf)))
        .map((cidr) => concat(vrf.mark, prefixElement(cidr)))
    );
  const flags = ["interval"];
  const keyedType = { type: ["mark", type], flags };
  return [
    setOf("map", `blocks${suffix}`, { type, map: "mark", flags }, blocks(family, vrfs)),
    setOf("set", `inside${suffix}`, keyedType, keyed(({ prefixes }) => prefixes)),
    setOf("set", `neighbors${suffix}`, keyedType, keyed(({ neighbors }) => neighbors)),
  ];
}

function setOf(
  kind: NftSet["kind"],
  name: string,
  type: NftSet["type"],
  elements: readonly NftJson[],
): NftSet {
  return { kind, name, type, elements };
}

/** Blocks are a node's own but where that could not be helped: then the first VRF has it. */
function blocks(family: Family, vrfs: readonly FirewallVrf[]): NftJson[] {
  const all = vrfs.flatMap(({ blocks, mark }) =>
    ofFamily(family, blocks).map((cidr) => ({ cidr, mark }))
  );
  const kept = new Set(withoutContained(all.map(({ cidr }) => cidr)));
  return all.flatMap(({ cidr, mark }) => kept.delete(cidr) ? [[prefixElement(cidr), mark]] : []);
}

/** Intervals of one set must not overlap: what lies in another one goes, and of equal ones all but the first. */
function withoutContained(cidrs: readonly string[]): readonly string[] {
  const ranges = cidrs.map((cidr, index) => ({ cidr, index, ...prefixRange(parsePrefix(cidr)) }))
    .toSorted((a, b) => compare(a.first, b.first) || compare(b.last, a.last) || a.index - b.index);
  // Prefixes lie in each other or apart: looking at the last one that was kept is enough.
  let end = -1n;
  const kept = ranges.filter(({ last }) => {
    const apart = last > end;
    if (apart) end = last;
    return apart;
  });
  return kept.toSorted((a, b) => a.index - b.index).map(({ cidr }) => cidr);
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
