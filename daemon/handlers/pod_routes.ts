/** What a container reaches by which of its interfaces. */
import { CniError } from "../../lib/cni/errors.ts";
import {
  contains,
  formatPrefix,
  networkOf,
  overlaps,
  parsePrefix,
  type Prefix,
} from "../../lib/net/prefix.ts";
import type { Attachment, PoolDomain } from "../ipam/port.ts";
import type { PodRoute } from "../pod/port.ts";
import type { CniNetnsCall } from "../server/cni_api.ts";
import { firstInterface } from "../wishes/pod_annotations.ts";
import type { AddDeps } from "./deps.ts";

/** Whether the container's default route leads through the interface: the first one's, unless the configuration says otherwise. */
export function hasDefaultRoute({ args, wishes }: CniNetnsCall): boolean {
  return wishes.isDefaultGateway ?? args.ifname === firstInterface;
}

/**
 * What is reached by the gateways, in each IP version of the attachment: everything, or the domain's prefix where the interface's own
 * subnet does not hold it already.
 *
 * @param row The attachment
 * @param domain Its domain
 * @param all Whether it has the default route
 */
export function routesOf(row: Attachment, domain: PoolDomain, all: boolean): readonly PodRoute[] {
  return row.allocations.flatMap(({ address, prefixLength, gateway }) => {
    const subnet = networkOf(parsePrefix(`${address}/${prefixLength}`));
    if (all) return [{ destination: subnet.family === 4 ? "0.0.0.0/0" : "::/0", gateway }];
    return prefixesOf(domain)
      .filter((prefix) => prefix.family === subnet.family && !contains(subnet, prefix))
      .map((prefix) => ({ destination: formatPrefix(prefix), gateway }));
  });
}

function prefixesOf({ ranges }: PoolDomain): readonly Prefix[] {
  return ranges.map(({ prefix }) => parsePrefix(prefix));
}

/**
 * Checks that a container's interfaces are in domains with different addresses: it could not tell through which of two it reaches an
 * address that both have.
 *
 * @throws {CniError} `InvalidConfig`
 */
export function checkDistinct(
  deps: Pick<AddDeps, "pool" | "domainNamed">,
  row: Attachment,
  domain: PoolDomain,
): void {
  for (const other of deps.pool.ofContainer(row.containerId)) {
    if (other.ifname === row.ifname && other.network === row.network) continue;
    const known = deps.domainNamed(other.domain);
    const taken = known === undefined
      ? other.allocations.map(({ block }) => parsePrefix(block))
      : prefixesOf(known);
    for (const prefix of prefixesOf(domain)) {
      const both = taken.find((each) => overlaps(prefix, each));
      if (both !== undefined) throw ambiguous(row, prefix, other, both);
    }
  }
}

function ambiguous(row: Attachment, prefix: Prefix, other: Attachment, taken: Prefix): CniError {
  const [ours, theirs] = [formatPrefix(prefix), formatPrefix(taken)];
  return new CniError(
    "InvalidConfig",
    `Expected interfaces of a container in domains with different addresses, found "${row.ifname}" in the VRFDomain ` +
      `"${row.domain}" with "${ours}" and "${other.ifname}" in "${other.domain}" with "${theirs}"; attach it to one of them`,
  );
}
