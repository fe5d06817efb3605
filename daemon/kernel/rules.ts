/** RPDB rules: which of ours are missing, and which are too many. */
import { formatPrefix, networkOf, parsePrefix } from "../../lib/net/prefix.ts";
import type { RuleSpec } from "./port.ts";

/** A rule as the kernel holds it: which VRF's pods it is for is told by the kernel's own means. */
export interface OwnRule extends Omit<RuleSpec, "fromVrf"> {
  /** Whether it looks up the table of the VRF link that the packet came by, whichever that is. */
  readonly l3mdev?: true;
}

/** What separates the rules that are from those that shall be. */
export interface RuleDifference {
  /** Rules to add, in the order of the wish. */
  readonly missing: readonly OwnRule[];
  /** Rules to delete. One that is there twice is listed once less than it is there. */
  readonly surplus: readonly OwnRule[];
}

/**
 * Compares rules by what they match and where they lead.
 *
 * @param desired Rules that shall be; doubles count once
 * @param found Rules that carry our protocol number
 * @throws {AddressError} `InvalidPrefix` if a desired rule's `src` or `dst` is no prefix
 */
export function diffRules(
  desired: readonly OwnRule[],
  found: readonly OwnRule[],
): RuleDifference {
  const wanted = new Map(desired.map((rule) => [ruleKey(rule), rule]));
  const seen = new Set<string>();
  const surplus: OwnRule[] = [];
  for (const rule of found) {
    const key = ruleKey(rule);
    if (!wanted.has(key) || seen.has(key)) surplus.push(rule);
    seen.add(key);
  }
  const missing = [...wanted].filter(([key]) => !seen.has(key)).map(([, rule]) => rule);
  return { missing, surplus };
}

/** All bits of a mark. */
export const wholeMark = 0xffffffff;

/** A text that two rules share exactly if the kernel could not tell them apart. */
function ruleKey(rule: OwnRule): string {
  const prefix = rule.dst ?? rule.src;
  return JSON.stringify([
    prefix === undefined ? rule.family ?? 4 : parsePrefix(prefix).family,
    rule.priority,
    rule.table,
    rule.action ?? "table",
    rule.l3mdev === true,
    rule.noDefault === true,
    rule.fwmark ?? 0,
    rule.fwmark === undefined ? 0 : rule.fwmask ?? wholeMark,
    canonical(rule.src),
    canonical(rule.dst),
    rule.iifname ?? "",
    rule.oifname ?? "",
  ]);
}

/** The network in canonical form; "everything" is the same as no prefix. */
function canonical(prefix: string | undefined): string {
  if (prefix === undefined) return "";
  const parsed = parsePrefix(prefix);
  return parsed.length === 0 ? "" : formatPrefix(networkOf(parsed));
}
