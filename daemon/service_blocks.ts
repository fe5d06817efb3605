/**
 * Which other VRFs a node must hold a block of for its pods' sake: service VRFs, and those whose route targets are imported. What its pods
 * send into another VRF takes the address of the node's gateway there, so
 * that the answers come back to this node from wherever they are given.
 *
 * @module
 */
import type { AcceptOptions } from "./controllers/domain_resolution.ts";
import { exportersOf, importedBy } from "./reconcile/route_targets.ts";
import type { VRFDomain } from "./resources/vrf_domain.ts";

/**
 * The VRF numbers of service VRFs that pods of other VRFs on this node may use, and of domains that theirs import.
 *
 * @param domains The accepted domains
 * @param attachments Number of attachments on this node by VRF
 * @param options `serviceVrfMax`: tables below it are of service VRFs; `asn`: the installation's AS number
 */
export function servicesInUse(
  domains: readonly VRFDomain[],
  attachments: ReadonlyMap<number, number>,
  { serviceVrfMax, asn }: AcceptOptions,
): number[] {
  const used = new Set([...attachments].filter(([, count]) => count > 0).map(([vrf]) => vrf));
  const specs = domains.map(({ spec }) => spec);
  const exporters = exportersOf(specs, asn);
  const imported = new Set(
    specs.filter(({ vrf }) => used.has(vrf)).flatMap((spec) => importedBy(spec, exporters)),
  );
  return domains.filter(({ metadata, spec }) =>
    (spec.table < serviceVrfMax || imported.has(spec)) && spec.attachments.length > 0 &&
    metadata.deletionTimestamp === undefined && [...used].some((vrf) => vrf !== spec.vrf)
  ).map(({ spec }) => spec.vrf);
}
