/** The RPDB rules of a node. Pure. */
import type { IpFamily } from "../../lib/net/address.ts";
import { formatPrefix, type Prefix } from "../../lib/net/prefix.ts";
import type { RuleSpec } from "../kernel/port.ts";
import type { ImportedPrefix } from "./imports.ts";
import { outsideMark } from "../firewall/marks.ts";
import type { PlanDomain, PlanPolicy } from "./plan_input.ts";

/** A domain as its rules depend on it. */
export interface RuleDomain
  extends Pick<PlanDomain, "name" | "vrf" | "table" | "egress" | "prefixes"> {
  /** Its mark. */
  readonly mark: number;
  /** CIDRs of the node's blocks. */
  readonly blocks: readonly string[];
  /** What it reaches of the domains whose route targets it imports. */
  readonly imported?: readonly Pick<ImportedPrefix, "table" | "prefix">[];
}

/** A rule, and for whom it is. */
export interface PlannedRule extends RuleSpec {
  /** Name of the VRFRoutingPolicy that asks for it; absent for those of domains. */
  readonly policy?: string;
}

/** All that the rules depend on. */
export interface RuleInput {
  /** Domains with a mark. */
  readonly domains: readonly RuleDomain[];
  /** Routing policies. */
  readonly policies: readonly PlanPolicy[];
  /** VRFs whose table is below this one are service VRFs. */
  readonly serviceVrfMax: number;
  /** Bits of packet marks that are ours. */
  readonly markMask: number;
  /** Links that lead out of the node. */
  readonly outward: readonly string[];
}

/**
 * Priorities of our RPDB rules. Those below 1000 come before the rule by which the kernel looks up the tables of VRF links: a default route
 * in a VRF's table would else answer for the service VRFs, and for what is to go back to another VRF.
 */
export const rulePriority = {
  /** The way back of flows: by their mark into the table that they came from. */
  back: 900,
  /** What a VRF's pods send: the VRF's own routes, without default routes. */
  own: 910,
  /** Prefixes of service VRFs, for everyone. */
  service: 920,
  /** Prefixes of the domains whose route targets a domain imports. */
  imported: 930,
  /** What VRFRoutingPolicy asks for. */
  policy: 11_000,
  /** The end for what pods of a VRF without egress send. */
  closed: 13_000,
  /** The node's own pods, for the node; blocks of VRFs with their own addresses outside, for what comes in. */
  block: 32_000,
} as const;

/** The kernel's main table. */
const mainTable = 254;

/** Computes the rules. */
export function planRules(input: RuleInput): PlannedRule[] {
  const used = new Set(input.domains.flatMap(({ prefixes }) => prefixes.map(familyOf)));
  const outside: RuleSpec = {
    priority: rulePriority.back,
    table: mainTable,
    fwmark: outsideMark(input.markMask),
    fwmask: input.markMask,
  };
  return [
    ...[...used].toSorted().map((family) => inFamily(outside, family)),
    ...input.domains.flatMap((domain) => rulesOf(input, domain)),
  ];
}

function rulesOf(input: RuleInput, domain: RuleDomain): PlannedRule[] {
  const { table, vrf, egress, mark, prefixes } = domain;
  const back: RuleSpec = {
    priority: rulePriority.back,
    table,
    fwmark: mark,
    fwmask: input.markMask,
  };
  const own: RuleSpec = { priority: rulePriority.own, table, fromVrf: vrf, noDefault: true };
  const service: RuleSpec = { priority: rulePriority.service, table };
  const closed: RuleSpec = {
    priority: rulePriority.closed,
    table: 0,
    action: "unreachable",
    fromVrf: vrf,
  };
  return [
    ...inEachFamily(domain, back),
    ...inEachFamily(domain, own),
    ...table < input.serviceVrfMax
      ? prefixes.map((prefix) => ({ ...service, dst: formatPrefix(prefix) }))
      : [],
    ...(domain.imported ?? []).map(({ table, prefix }): RuleSpec => ({
      priority: rulePriority.imported,
      table,
      fromVrf: vrf,
      dst: formatPrefix(prefix),
    })),
    ...policyRules(input, domain),
    ...egress === "none" ? inEachFamily(domain, closed) : [],
    ...blockRules(input, domain),
  ];
}

/** A rule without a prefix, in the IP versions of the domain. */
function inEachFamily({ prefixes }: RuleDomain, rule: PlannedRule): readonly PlannedRule[] {
  return prefixes.map((prefix) => inFamily(rule, prefix.family));
}

function inFamily(rule: PlannedRule, family: IpFamily): PlannedRule {
  return family === 6 ? { ...rule, family } : rule;
}

function familyOf({ family }: Prefix): IpFamily {
  return family;
}

function policyRules(input: RuleInput, domain: RuleDomain): PlannedRule[] {
  return input.policies.filter((policy) => policy.domain === domain.name)
    .flatMap(({ name, match }) => match.map((selectors) => ({ name, selectors })))
    // A match without a selector would send every packet of the node into the VRF.
    .filter(({ selectors }) => Object.values(selectors).some((value) => value !== undefined))
    .map(({ name, selectors: { dst, src, iifname, oifname } }): PlannedRule => ({
      policy: name,
      priority: rulePriority.policy,
      table: domain.table,
      ...dst === undefined ? {} : { dst },
      ...src === undefined ? {} : { src },
      ...iifname === undefined ? {} : { iifname },
      ...oifname === undefined ? {} : { oifname },
    }))
    .flatMap((rule) =>
      // A prefix tells the rule's IP version.
      rule.src === undefined && rule.dst === undefined ? inEachFamily(domain, rule) : [rule]
    );
}

/** Only what comes from the node itself or from outside: from another VRF there is no way to these blocks. */
function blockRules(input: RuleInput, { table, egress, blocks }: RuleDomain): RuleSpec[] {
  const entrances = ["lo", ...egress === "routed" ? input.outward : []];
  const priority = rulePriority.block;
  return blocks.flatMap((dst) =>
    entrances.map((iifname): RuleSpec => ({ priority, table, iifname, dst }))
  );
}
