/** The model as FRR configuration text. Pure: the same model gives the same bytes, whatever the order of its lists. */

import type { FrrModel, FrrNeighbor, FrrVrf } from "./model.ts";
import { requireIpv4, requirePrefix, validateModel } from "./validate.ts";

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
    ...(vrfs.length > 0 ? [vrfs.map(exportPrefixList)] : []),
    ...vrfs.map(exportRouteMap),
    ...vrfs.map(vniSection),
    routerSection(model),
    ...vrfs.map((vrf) => vrfRouterSection(model.asn, vrf)),
  ];
  return sections.map((lines) => [...lines, "!"].join("\n") + "\n").join("");
}

/** Name of the prefix list and of the route map that guard what leaves a VRF. */
export function exportFilterName(vrfName: string): string {
  return `export-${vrfName}`;
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
    " no bgp default ipv4-unicast",
    ...neighbors.map((neighbor) => ` neighbor ${neighbor.address} remote-as ${neighbor.remoteAs}`),
    " !",
    " address-family l2vpn evpn",
    ...neighbors.map((neighbor) => `  neighbor ${neighbor.address} activate`),
    "  advertise-all-vni",
    ...(model.advertiseSviIp === true ? ["  advertise-svi-ip"] : []),
    " exit-address-family",
    "exit",
  ];
}

function vrfRouterSection(asn: number, vrf: RoutedVrf): string[] {
  const filter = exportFilterName(vrf.name);
  return [
    `router bgp ${asn} vrf ${vrf.name}`,
    ` bgp router-id ${vrf.routerId}`,
    " !",
    " address-family ipv4 unicast",
    ...["kernel", "connected", "static"].map((source) =>
      `  redistribute ${source} route-map ${filter}`
    ),
    " exit-address-family",
    " !",
    " address-family l2vpn evpn",
    "  advertise ipv4 unicast",
    `  rd ${vrf.rd}`,
    ...routeTargetLines("import", asn, vrf),
    ...routeTargetLines("export", asn, vrf),
    " exit-address-family",
    "exit",
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

/** Keeps the VRF's default route and its link routes (169.254.0.0/16) from being exported. */
function exportPrefixList(vrf: RoutedVrf): string {
  const length = requirePrefix(vrf.prefix, "prefix");
  const orLonger = length < 32 ? " le 32" : "";
  return `ip prefix-list ${exportFilterName(vrf.name)} seq 10 permit ${vrf.prefix}${orLonger}`;
}

function exportRouteMap(vrf: RoutedVrf): string[] {
  const name = exportFilterName(vrf.name);
  return [`route-map ${name} permit 10`, ` match ip address prefix-list ${name}`, "exit"];
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareAddress(a: FrrNeighbor, b: FrrNeighbor): number {
  return requireIpv4(a.address, "address") - requireIpv4(b.address, "address");
}
