/** The model as FRR configuration text. Pure: the same model gives the same bytes, whatever the order of its lists. */

import { type IpFamily, parseAddress } from "../lib/net/address.ts";
import type { FrrModel, FrrNeighbor, FrrVrf } from "./model.ts";
import {
  familiesOf,
  filterName,
  filterRouteMaps,
  prefixListSections,
  tableMapLines,
} from "./render_filters.ts";
import { peerRouteMapLines, peerRouteMaps } from "./render_peer_filters.ts";
import { bfdSection, isExternal, neighborFamilyLines, neighborLines } from "./render_neighbor.ts";
import { validateModel } from "./validate.ts";

/** A VRF that BGP carries by itself. */
type RoutedVrf = FrrVrf & { readonly l3vni: number };

/**
 * FRR configuration text of a model, in the form of FRR's own `show running-config`. What others refer to comes first:
 * a route map that bgpd learns of only after its use takes effect five seconds late.
 *
 * Nothing is rendered that is a default of FRR 8.4: FRR hides defaults, and each would be applied again for ever.
 *
 * @throws {FrrModelError} When a value of the model cannot stand in FRR configuration
 */
export function renderFrr(model: FrrModel): string {
  validateModel(model);
  const vrfs = model.vrfs.filter(isRouted).toSorted((a, b) => compareText(a.name, b.name));
  const sections = [
    ...prefixListSections(vrfs),
    ...vrfs.flatMap(filterRouteMaps),
    ...peerRouteMaps({ ...model, neighbors: model.neighbors.toSorted(compareAddress) }),
    ...bfdSection(model.neighbors),
    ...vrfs.map(vniSection),
    routerSection(model),
    ...vrfs.map((vrf) => vrfRouterSection(model.asn, vrf)),
  ];
  return sections.map((lines) => [...lines, "!"].join("\n") + "\n").join("");
}

/** Extra lines, each once. */
function indented(indent: string, lines: readonly string[] = []): string[] {
  return [...new Set(lines)].map((line) => indent + line);
}

function isRouted(vrf: FrrVrf): vrf is RoutedVrf {
  return vrf.l3vni !== undefined;
}

function vniSection(vrf: RoutedVrf): string[] {
  return [`vrf ${vrf.name}`, ` vni ${vrf.l3vni}`, "exit-vrf"];
}

function routerSection(model: FrrModel): string[] {
  const neighbors = model.neighbors.toSorted(compareAddress);
  return [
    `router bgp ${model.asn}`,
    ` bgp router-id ${model.routerId}`,
    // FRR would exchange nothing with an external peer that no route map is given for.
    ...neighbors.some((each) => isExternal(each, model.asn))
      ? [" no bgp ebgp-requires-policy"]
      : [],
    " no bgp default ipv4-unicast",
    ...neighbors.flatMap((each) => neighborLines(each, model.asn)),
    ...indented(" ", model.extra?.bgp),
    " !",
    " address-family l2vpn evpn",
    ...neighbors.flatMap((each) => [
      ...neighborFamilyLines(each),
      ...peerRouteMapLines(each, model.nextHop),
    ]),
    "  advertise-all-vni",
    ...(model.advertiseSviIp === true ? ["  advertise-svi-ip"] : []),
    ...indented("  ", model.extra?.evpn),
    " exit-address-family",
    "exit",
  ];
}

function vrfRouterSection(asn: number, vrf: RoutedVrf): string[] {
  const families = familiesOf(vrf);
  return [
    `router bgp ${asn} vrf ${vrf.name}`,
    ` bgp router-id ${vrf.routerId}`,
    ...indented(" ", vrf.extra?.bgp),
    " !",
    ...families.flatMap(({ family }) => redistribution(vrf, family)),
    " address-family l2vpn evpn",
    ...families.map(({ family }) => `  advertise ipv${family} unicast`),
    `  rd ${vrf.rd}`,
    ...routeTargetLines("import", asn, vrf),
    ...routeTargetLines("export", asn, vrf),
    ...indented("  ", vrf.extra?.evpn),
    " exit-address-family",
    "exit",
  ];
}

function redistribution(vrf: RoutedVrf, family: IpFamily): string[] {
  const filter = filterName("export", vrf.name, family);
  return [
    ` address-family ipv${family} unicast`,
    ...["kernel", "connected", "static"].map((source) =>
      `  redistribute ${source} route-map ${filter}`
    ),
    ...tableMapLines(vrf, family),
    ...indented("  ", family === 4 ? vrf.extra?.ipv4 : vrf.extra?.ipv6),
    " exit-address-family",
    " !",
  ];
}

/**
 * The route target `<ASN>:<VNI>` is FRR's automatic one (RFC 8365, section 5.1.2.1). Standing alone it is a default: FRR
 * ignores it where the VNI is up already, and shows it where it is not, so it is never rendered. Among others it must be
 * given, but last: the first other one ends the automatic derivation, and FRR would take it for given before that.
 */
function routeTargetLines(direction: "import" | "export", asn: number, vrf: RoutedVrf): string[] {
  // Of a longer AS number FRR takes the low 16 bits, which nobody writes by hand.
  const automatic = asn <= 0xffff ? `${asn}:${vrf.l3vni}` : "";
  const targets = vrf.routeTargets[direction];
  const others = targets.filter((target) => target !== automatic).toSorted(compareText);
  if (others.length === 0) return [];
  return [...others, ...targets.includes(automatic) ? [automatic] : []]
    .map((target) => `  route-target ${direction} ${target}`);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** IPv4 before IPv6, then the lower first. */
function compareAddress(a: FrrNeighbor, b: FrrNeighbor): number {
  const [left, right] = [parseAddress(a.address), parseAddress(b.address)];
  if (left.family !== right.family) return left.family - right.family;
  return left.value < right.value ? -1 : left.value > right.value ? 1 : 0;
}
