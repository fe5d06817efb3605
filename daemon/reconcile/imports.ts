/** What a domain reaches of the domains whose route targets it imports. Pure. */
import { formatPrefix, overlaps, type Prefix } from "../../lib/net/prefix.ts";
import type { PlanDomain } from "./plan_input.ts";
import { type Exporters, importedBy } from "./route_targets.ts";

/** A prefix of another domain. */
export interface ImportedPrefix {
  /** The prefix. */
  readonly prefix: Prefix;
  /** Table that answers for it. */
  readonly table: number;
  /** Name of the other domain. */
  readonly domain: string;
}

/** What a domain imports. */
export interface Imports {
  /** Prefixes that its pods are led to. */
  readonly reached: readonly ImportedPrefix[];
  /** Prefixes that they are not: the addresses are the domain's own, or an import before has them. */
  readonly hidden: readonly ImportedPrefix[];
}

/**
 * Computes a domain's imports. Of two imported domains with the same addresses the one with the lower VRF number is reached.
 */
export function importsOf(domain: PlanDomain, exporters: Exporters<PlanDomain>): Imports {
  const all = importedBy(domain, exporters).toSorted((a, b) => a.vrf - b.vrf)
    .flatMap(({ name, table, prefixes }) =>
      prefixes.map((prefix): ImportedPrefix => ({ prefix, table, domain: name }))
    );
  const isHidden = ({ prefix }: ImportedPrefix, index: number) =>
    domain.prefixes.some((own) => overlaps(own, prefix)) ||
    all.slice(0, index).some((earlier) => overlaps(earlier.prefix, prefix));
  return {
    reached: all.filter((each, index) => !isHidden(each, index)),
    hidden: all.filter(isHidden),
  };
}

/** What is hidden, for a person; undefined when nothing is. */
export function hiddenProblem(
  hidden: readonly ImportedPrefix[],
): { readonly reason: string; readonly message: string } | undefined {
  if (hidden.length === 0) return undefined;
  const list = hidden.map(({ prefix, domain }) => `"${formatPrefix(prefix)}" of "${domain}"`);
  return {
    reason: "ImportHidden",
    message: `The route targets of other domains are imported, but ${list.join(", ")} cannot be ` +
      `reached: the domain's own prefix or another import has these addresses`,
  };
}
