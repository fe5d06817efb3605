/** Reads and writes the RPDB rules that carry our protocol number. */
import { formatPrefix, parsePrefix } from "../../lib/net/prefix.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { addRule, deleteRule, listRules, type Rule } from "../../lib/netlink/rtnl/rule.ts";
import { ruleProtocol, type RuleSpec, type RuleSync } from "./port.ts";
import { diffRules, type OwnRule, wholeMark } from "./rules.ts";

/**
 * Lists our rules, those aside that no {@linkcode OwnRule} can describe.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function listOwnRules(connection: NetlinkConnection): OwnRule[] {
  return ownRules(connection).flatMap((rule) => specOf(rule) ?? []);
}

/**
 * Adds the missing rules, then deletes ours that are not listed. A rule that the kernel refuses keeps no other out: what one
 * object asks for must not hurt the rest.
 *
 * @param connection To the kernel
 * @param rules Rules that shall be
 * @param told What the kernel is told of a rule
 * @throws {NetlinkError} If rules cannot be listed or deleted
 * @throws {AddressError} If a rule's `src` or `dst` is no prefix
 */
export function syncOwnRules(
  connection: NetlinkConnection,
  rules: readonly RuleSpec[],
  told: (rule: RuleSpec) => readonly OwnRule[],
): RuleSync {
  const origin = new Map(rules.flatMap((rule) => told(rule).map((own) => [own, rule] as const)));
  const desired = [...origin.keys()];
  const refused: { rule: RuleSpec; message: string }[] = [];
  const found = ownRules(connection);
  // What carries our number but is not as we make rules was changed by hand.
  const strange = found.filter((rule) => specOf(rule) === undefined);
  const difference = diffRules(desired, found.flatMap((rule) => specOf(rule) ?? []));
  let added = 0;
  for (const spec of difference.missing) {
    // An equal rule under another protocol number is somebody else's; it does the same, and stays.
    try {
      if (succeeds("EEXIST", () => addRule(connection, ruleOf(spec)))) added++;
    } catch (thrown) {
      const rule = origin.get(spec);
      if (!(thrown instanceof NetlinkError) || rule === undefined) throw thrown;
      refused.push({ rule, message: thrown.message });
    }
  }
  let deleted = 0;
  for (const rule of [...strange, ...difference.surplus.map(ruleOf)]) {
    if (succeeds("ENOENT", () => deleteRule(connection, rule))) deleted++;
  }
  return { added, deleted, refused };
}

function ownRules(connection: NetlinkConnection): Rule[] {
  return listRules(connection).filter((rule) => rule.protocol === ruleProtocol);
}

function specOf(rule: Rule): OwnRule | undefined {
  const { family, priority, table, action, fwmark, fwmask, src, dst, iifname, oifname } = rule;
  const { l3mdev, suppressPrefixLength, invert } = rule;
  const known = (action === "table" || action === "unreachable") && invert !== true &&
    (suppressPrefixLength === undefined || suppressPrefixLength === 0);
  if (!known) return undefined;
  return {
    ...(family === 6 && src === undefined && dst === undefined ? { family } : {}),
    priority,
    table,
    ...(action === "unreachable" ? { action } : {}),
    ...(l3mdev === true ? { l3mdev } : {}),
    ...(suppressPrefixLength === undefined ? {} : { noDefault: true }),
    ...(fwmark === undefined ? {} : { fwmark }),
    ...(fwmark === undefined || fwmask === undefined || fwmask === wholeMark ? {} : { fwmask }),
    ...(src === undefined ? {} : { src: formatPrefix(src) }),
    ...(dst === undefined ? {} : { dst: formatPrefix(dst) }),
    ...(iifname === undefined ? {} : { iifname }),
    ...(oifname === undefined ? {} : { oifname }),
  };
}

function ruleOf(spec: OwnRule): Rule {
  const { priority, table, action, fwmark, fwmask, iifname, oifname, l3mdev } = spec;
  const src = spec.src === undefined ? undefined : parsePrefix(spec.src);
  const dst = spec.dst === undefined ? undefined : parsePrefix(spec.dst);
  return {
    family: dst?.family ?? src?.family ?? spec.family ?? 4,
    priority,
    table,
    action,
    fwmark,
    fwmask,
    src,
    dst,
    iifname,
    oifname,
    l3mdev,
    suppressPrefixLength: spec.noDefault === true ? 0 : undefined,
    protocol: ruleProtocol,
  };
}

/** Whether the request was granted, rather than refused with the one error that does not matter. */
function succeeds(harmless: "EEXIST" | "ENOENT", request: () => void): boolean {
  try {
    request();
    return true;
  } catch (thrown) {
    if (thrown instanceof NetlinkError && thrown.errnoName === harmless) return false;
    throw thrown;
  }
}
