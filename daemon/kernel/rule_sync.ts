/** Reads and writes the RPDB rules that carry our protocol number. */
import { formatPrefix, parsePrefix } from "../../lib/net/prefix.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NetlinkError } from "../../lib/netlink/errors.ts";
import { addRule, deleteRule, listRules, type Rule } from "../../lib/netlink/rtnl/rule.ts";
import { ruleProtocol, type RuleSpec } from "./port.ts";
import { diffRules } from "./rules.ts";

const wholeMark = 0xffffffff;

/**
 * Lists our rules, those aside that no {@linkcode RuleSpec} can describe.
 *
 * @throws {NetlinkError} If the kernel refuses
 */
export function listOwnRules(connection: NetlinkConnection): RuleSpec[] {
  return ownRules(connection).flatMap((rule) => specOf(rule) ?? []);
}

/**
 * Adds the missing rules, then deletes ours that are not listed.
 *
 * @throws {NetlinkError} If the kernel refuses
 * @throws {AddressError} If a rule's `src` or `dst` is no prefix
 */
export function syncOwnRules(
  connection: NetlinkConnection,
  desired: readonly RuleSpec[],
): { readonly added: number; readonly deleted: number } {
  const found = ownRules(connection);
  // What carries our number but is not as we make rules was changed by hand.
  const strange = found.filter((rule) => specOf(rule) === undefined);
  const difference = diffRules(desired, found.flatMap((rule) => specOf(rule) ?? []));
  let added = 0;
  for (const spec of difference.missing) {
    // An equal rule under another protocol number is somebody else's; it does the same, and stays.
    if (succeeds("EEXIST", () => addRule(connection, ruleOf(spec)))) added++;
  }
  let deleted = 0;
  for (const rule of [...strange, ...difference.surplus.map(ruleOf)]) {
    if (succeeds("ENOENT", () => deleteRule(connection, rule))) deleted++;
  }
  return { added, deleted };
}

function ownRules(connection: NetlinkConnection): Rule[] {
  return listRules(connection).filter((rule) => rule.protocol === ruleProtocol);
}

function specOf(rule: Rule): RuleSpec | undefined {
  const { family, priority, table, action, fwmark, fwmask, src, dst, iifname, oifname } = rule;
  const plain = action === "table" && rule.l3mdev !== true && rule.invert !== true &&
    (fwmask === undefined || fwmask === wholeMark);
  if (!plain || (family === 6 && src === undefined && dst === undefined)) return undefined;
  return {
    priority,
    table,
    ...(fwmark === undefined ? {} : { fwmark }),
    ...(src === undefined ? {} : { src: formatPrefix(src) }),
    ...(dst === undefined ? {} : { dst: formatPrefix(dst) }),
    ...(iifname === undefined ? {} : { iifname }),
    ...(oifname === undefined ? {} : { oifname }),
  };
}

function ruleOf(spec: RuleSpec): Rule {
  const { priority, table, fwmark, iifname, oifname } = spec;
  const src = spec.src === undefined ? undefined : parsePrefix(spec.src);
  const dst = spec.dst === undefined ? undefined : parsePrefix(spec.dst);
  const family = dst?.family ?? src?.family ?? 4;
  return { family, priority, table, fwmark, src, dst, iifname, oifname, protocol: ruleProtocol };
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
