/** The route targets of domains: which routes FRR takes for a VRF, and which domains are led to by the node itself. Pure. */
import type { VRFDomainSpec } from "../resources/vrf_domain.ts";

/** Route targets of a VRF, each once and sorted. */
export interface RouteTargets {
  /** The VRF takes routes that carry one of these. */
  readonly import: readonly string[];
  /** What the VRF's routes carry. */
  readonly export: readonly string[];
}

/** What decides about a domain's route targets. */
export type TargetSpec = Pick<VRFDomainSpec, "vrf" | "routeTargets">;

/**
 * A domain's own target, which its routes always carry and which it always takes: its pods reach each other whatever the lists say. Of
 * the installation's AS number, not the node's: all nodes must agree on it.
 */
export function ownTarget(asn: number, vrf: number): string {
  return `${asn}:${vrf}`;
}

/** Whether {@linkcode ownTarget} exists: beside an AS number beyond 16 bits only 16 are left (RFC 5668). */
export function hasOwnTarget(asn: number, vrf: number): boolean {
  return asn <= 0xffff || vrf <= 0xffff;
}

/**
 * A domain's route targets: its own, and those that it names.
 *
 * @param spec What the domain names
 * @param asn The installation's AS number
 */
export function routeTargetsOf({ vrf, routeTargets = {} }: TargetSpec, asn: number): RouteTargets {
  const targets = (named: readonly string[] = []) =>
    [...new Set([ownTarget(asn, vrf), ...named])].toSorted();
  return { import: targets(routeTargets.import), export: targets(routeTargets.export) };
}

/** Which domains export a target. */
export interface Exporters<D> {
  /** The installation's AS number. */
  readonly asn: number;
  /** Domains by the targets that they export. */
  readonly byTarget: ReadonlyMap<string, readonly D[]>;
}

/**
 * Looks up once what all domains export, so that asking for each of them does not go through all others again.
 *
 * @param domains All that the node carries
 * @param asn The installation's AS number
 */
export function exportersOf<D extends TargetSpec>(
  domains: readonly D[],
  asn: number,
): Exporters<D> {
  const byTarget = new Map<string, D[]>();
  for (const domain of domains) {
    for (const target of routeTargetsOf(domain, asn).export) {
      const known = byTarget.get(target);
      if (known === undefined) byTarget.set(target, [domain]);
      else known.push(domain);
    }
  }
  return { asn, byTarget };
}

/** The other domains whose targets a domain imports: the node leads their prefixes over. */
export function importedBy<D extends TargetSpec>(
  domain: TargetSpec,
  { asn, byTarget }: Exporters<D>,
): readonly D[] {
  const exporters = routeTargetsOf(domain, asn).import.flatMap((target) =>
    byTarget.get(target) ?? []
  );
  return [...new Set(exporters)].filter((other) => other.vrf !== domain.vrf);
}

/**
 * A domain's route targets as FRR gets them. Those that other domains export are left out of the imports: FRR 8.4 puts an imported route on
 * the VNI of the VRF that imports it, with the router MAC of the other VRF, which the node at the other end drops.
 */
export function fabricTargets(
  domain: TargetSpec,
  exporters: Exporters<TargetSpec>,
): RouteTargets {
  const { asn } = exporters;
  const targets = routeTargetsOf(domain, asn);
  const own = ownTarget(asn, domain.vrf);
  const others = new Set(
    importedBy(domain, exporters).flatMap((other) => routeTargetsOf(other, asn).export),
  );
  return {
    ...targets,
    import: targets.import.filter((target) => target === own || !others.has(target)),
  };
}
