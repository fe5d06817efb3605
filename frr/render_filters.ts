/** The prefix lists and route maps that guard what enters and leaves a VRF, as FRR configuration. Pure. */

import { ADDRESS_BITS, type IpFamily } from "../lib/net/address.ts";
import { parsePrefix } from "../lib/net/prefix.ts";
import type { FrrFilterEntry, FrrVrf } from "./model.ts";

/** What is carried of an IP version in a VRF. */
export interface RoutedFamily {
  /** IP version. */
  readonly family: IpFamily;
  /** The VRF's own prefix. */
  readonly prefix: string;
}

/** Which way a filter looks. */
export type Direction = "import" | "export";

const FIRST = 10;
const STEP = 10;

/** The IP versions that are carried in a VRF. */
export function familiesOf(vrf: FrrVrf): readonly RoutedFamily[] {
  return [
    ...vrf.prefix === undefined ? [] : [{ family: 4, prefix: vrf.prefix } as const],
    ...vrf.prefix6 === undefined ? [] : [{ family: 6, prefix: vrf.prefix6 } as const],
  ];
}

/** Name of the prefix list and of the route map that guard a direction, for each IP version. */
export function filterName(direction: Direction, vrfName: string, family: IpFamily): string {
  return `${direction}${family === 4 ? "" : "6"}-${vrfName}`;
}

/** Lines of all prefix lists, in two sections, one an IP version. */
export function prefixListSections(vrfs: readonly FrrVrf[]): string[][] {
  return ([4, 6] as const).map((family) =>
    vrfs.flatMap((vrf) =>
      familiesOf(vrf).filter((each) => each.family === family).flatMap(({ prefix }) =>
        directionsOf(vrf).flatMap((direction) => prefixList(vrf, direction, family, prefix))
      )
    )
  ).filter((lines) => lines.length > 0);
}

/** The route maps by which the prefix lists are used. */
export function filterRouteMaps(vrf: FrrVrf): string[][] {
  return familiesOf(vrf).flatMap(({ family }) =>
    directionsOf(vrf).map((direction) => {
      const name = filterName(direction, vrf.name, family);
      const match = ` match ${word(family)} address prefix-list ${name}`;
      return [`route-map ${name} permit 10`, match, "exit"];
    })
  );
}

/** The line by which the routes that enter a VRF are filtered on their way to the kernel; none without a filter. */
export function tableMapLines(vrf: FrrVrf, family: IpFamily): string[] {
  return vrf.filters?.import === undefined
    ? []
    : [`  table-map ${filterName("import", vrf.name, family)}`];
}

/** What leaves is always guarded: a VRF's default route and its link routes (169.254.0.0/16, the host leg's) must not. */
function directionsOf({ filters }: FrrVrf): readonly Direction[] {
  return filters?.import === undefined ? ["export"] : ["export", "import"];
}

function prefixList(
  { name: vrfName, filters }: FrrVrf,
  direction: Direction,
  family: IpFamily,
  own: string,
): string[] {
  const name = filterName(direction, vrfName, family);
  const longest = ADDRESS_BITS[family];
  const orLonger = parsePrefix(own).length < longest ? { le: longest } : {};
  const entries: FrrFilterEntry[] = [
    { prefix: own, action: "permit", ...orLonger },
    ...(filters?.[direction] ?? []).filter(({ prefix }) => parsePrefix(prefix).family === family),
  ];
  return entries.map(({ prefix, ge, le, action }, index) => {
    const range = [
      ...ge === undefined ? [] : [`ge ${ge}`],
      ...le === undefined ? [] : [`le ${le}`],
    ];
    const words = [`seq ${FIRST + index * STEP}`, action, prefix, ...range];
    return `${word(family)} prefix-list ${name} ${words.join(" ")}`;
  });
}

/** FRR's word for an IP version: in the commands of filters `ip` stands for IPv4. */
function word(family: IpFamily): "ip" | "ipv6" {
  return family === 4 ? "ip" : "ipv6";
}
