import type { IpFamily } from "../../net/address.ts";
import { formatPrefix, networkOf, type Prefix } from "../../net/prefix.ts";
import { type AttributesOf, type AttributeTable, attributeTable } from "../attributes.ts";
import { be32, bytes, ipAddress, struct, type StructCodec, text, u32, u64, u8 } from "../codec.ts";
import type { NetlinkConnection } from "../connection.ts";
import { type MessageView, NLM_F, type Payload, payload, type PayloadCodec } from "../message.ts";
import { AF, familyNumber, ipFamily, RTM } from "./types.ts";

/** Fields of struct fib_rule_hdr (include/uapi/linux/fib_rules.h). */
export type RuleHeaderField =
  | "family"
  | "dstLength"
  | "srcLength"
  | "tos"
  | "table"
  | "reserved1"
  | "reserved2"
  | "action"
  | "flags";

/** struct fib_rule_hdr. */
export const ruleHeader: StructCodec<RuleHeaderField> = struct({
  family: u8,
  dstLength: u8,
  srcLength: u8,
  tos: u8,
  table: u8,
  reserved1: u8,
  reserved2: u8,
  action: u8,
  flags: u32,
});

/** Attributes of a policy routing rule (include/uapi/linux/fib_rules.h, FRA_*). */
export const ruleSpecs = {
  dst: [1, ipAddress],
  src: [2, ipAddress],
  iifname: [3, text],
  goto: [4, u32],
  priority: [6, u32],
  fwmark: [10, u32],
  flow: [11, u32],
  tunnelId: [12, u64],
  suppressGroup: [13, u32],
  suppressPrefixLength: [14, u32],
  table: [15, u32],
  fwmask: [16, u32],
  oifname: [17, text],
  l3mdev: [19, u8],
  uidRange: [20, bytes],
  protocol: [21, u8],
  ipProtocol: [22, u8],
  sourcePorts: [23, bytes],
  destinationPorts: [24, bytes],
  flowLabel: [26, be32],
  flowLabelMask: [27, be32],
} as const;

/** The table of {@link ruleSpecs}. */
export const ruleAttributes: AttributeTable<typeof ruleSpecs> = attributeTable(ruleSpecs);

/** The values of {@link ruleAttributes}. */
export type RuleAttributes = AttributesOf<typeof ruleAttributes>;

/** Payload of RTM_NEWRULE, RTM_DELRULE and RTM_GETRULE. */
export const rulePayload: PayloadCodec<RuleHeaderField, RuleAttributes> = payload(
  ruleHeader,
  ruleAttributes,
);

/** What a rule does with a packet that it matches (include/uapi/linux/fib_rules.h, FR_ACT_*). */
export type RuleAction =
  | "unspec"
  | "table"
  | "goto"
  | "nop"
  | "blackhole"
  | "unreachable"
  | "prohibit";

const ACTION_NUMBERS: Readonly<Record<RuleAction, number>> = {
  unspec: 0,
  table: 1,
  goto: 2,
  nop: 3,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
};

/** FRA_SUPPRESS_PREFIXLEN of a rule that suppresses nothing; the kernel reports it for all of them. */
const SUPPRESS_NOTHING = 0xffffffff;

/** The rule matches what its selectors do not. */
const FIB_RULE_INVERT = 2;

/** A rule of the routing policy database (ip-rule(8)). */
export interface Rule {
  /** IP version. */
  readonly family: IpFamily;
  /** Place among the rules; the lowest comes first. */
  readonly priority: number;
  /** The routing table to look into; 0 with an action other than `"table"`. */
  readonly table: number;
  /** What it does; `"table"` by default. */
  readonly action?: RuleAction | undefined;
  /** Firewall mark. */
  readonly fwmark?: number | undefined;
  /** The bits of the mark that count; all by default. */
  readonly fwmask?: number | undefined;
  /** Source prefix. */
  readonly src?: Prefix | undefined;
  /** Destination prefix. */
  readonly dst?: Prefix | undefined;
  /** Name of the incoming link; `"lo"` for packets of the host itself. */
  readonly iifname?: string | undefined;
  /** Name of the outgoing link that the sender bound to. */
  readonly oifname?: string | undefined;
  /** RTPROT_*, who made it. */
  readonly protocol?: number | undefined;
  /** Whether it looks into the table of the VRF that the packet belongs to. */
  readonly l3mdev?: boolean | undefined;
  /** What it finds counts only if its prefix is longer, in bits: 0 leaves out default routes. */
  readonly suppressPrefixLength?: number | undefined;
  /** Whether it matches what its selectors do not. */
  readonly invert?: boolean | undefined;
}

/**
 * Adds a rule.
 *
 * @throws {NetlinkError} If the kernel refuses; `EEXIST` if there is one that is equal in everything
 * @throws {AddressError} If an address is none
 */
export function addRule(c: NetlinkConnection, rule: Rule): void {
  c.request({
    operation: `to add the rule ${describe(rule)}`,
    type: RTM.NEWRULE,
    flags: NLM_F.CREATE | NLM_F.EXCL,
    codec: rulePayload,
    value: ruleMessage(rule),
  });
}

/**
 * Deletes a rule: the first one that agrees with everything given.
 *
 * @throws {NetlinkError} If the kernel refuses; `ENOENT` if there is none
 * @throws {AddressError} If an address is none
 */
export function deleteRule(c: NetlinkConnection, rule: Rule): void {
  const { header, attributes } = ruleMessage(rule);
  c.request({
    operation: `to delete the rule ${describe(rule)}`,
    type: RTM.DELRULE,
    codec: rulePayload,
    value: {
      header: { ...header, action: ACTION_NUMBERS[rule.action ?? "unspec"] },
      attributes,
    },
  });
}

/**
 * Lists rules in their order.
 *
 * @param family One IP version; both by default
 * @throws {NetlinkError} If the kernel refuses
 */
export function listRules(c: NetlinkConnection, family?: IpFamily): Rule[] {
  const families = family === undefined ? [AF.INET, AF.INET6] : [familyNumber(family)];
  return families.flatMap((number) =>
    c.dump({
      operation: "to list the rules",
      type: RTM.GETRULE,
      codec: rulePayload,
      value: { header: headerOf({ family: number }), attributes: {} },
    }, readRule)
  );
}

/**
 * Reads a rule from an RTM_NEWRULE or RTM_DELRULE message; `undefined` for any other, and for families other than IPv4 and IPv6.
 *
 * @throws {NetlinkDecodeError} If the message is malformed
 */
export function readRule(message: MessageView): Rule | undefined {
  if (message.type !== RTM.NEWRULE && message.type !== RTM.DELRULE) return undefined;
  const family = ipFamily(ruleHeader.read(message.view, message.start, message.end).family);
  if (family === undefined) return undefined;
  const { header, attributes } = rulePayload.read(message.view, message.start, message.end);
  return {
    family,
    priority: attributes.priority ?? 0,
    table: attributes.table ?? header.table,
    action: actionOf(header.action),
    fwmark: attributes.fwmark,
    fwmask: attributes.fwmask,
    src: prefixOf(family, attributes.src, header.srcLength),
    dst: prefixOf(family, attributes.dst, header.dstLength),
    iifname: attributes.iifname,
    oifname: attributes.oifname,
    protocol: attributes.protocol,
    l3mdev: attributes.l3mdev === undefined ? undefined : attributes.l3mdev !== 0,
    suppressPrefixLength: attributes.suppressPrefixLength === SUPPRESS_NOTHING
      ? undefined
      : attributes.suppressPrefixLength,
    invert: (header.flags & FIB_RULE_INVERT) !== 0 ? true : undefined,
  };
}

type RuleHeader = Readonly<Record<RuleHeaderField, number>>;

function ruleMessage(rule: Rule): Payload<RuleHeader, RuleAttributes> {
  const { table, priority, fwmark, fwmask, iifname, oifname, protocol, l3mdev } = rule;
  const { suppressPrefixLength } = rule;
  const src = rule.src === undefined ? undefined : networkOf(rule.src);
  const dst = rule.dst === undefined ? undefined : networkOf(rule.dst);
  return {
    header: headerOf({
      family: familyNumber(rule.family),
      srcLength: src?.length ?? 0,
      dstLength: dst?.length ?? 0,
      table: table < 256 ? table : 0,
      action: ACTION_NUMBERS[rule.action ?? "table"],
      flags: rule.invert === true ? FIB_RULE_INVERT : 0,
    }),
    attributes: {
      priority,
      src: src === undefined || src.length === 0 ? undefined : src.address,
      dst: dst === undefined || dst.length === 0 ? undefined : dst.address,
      fwmark,
      fwmask,
      table: table < 256 ? undefined : table,
      iifname,
      oifname,
      l3mdev: l3mdev === true ? 1 : undefined,
      suppressPrefixLength,
      protocol,
    },
  };
}

function headerOf(fields: { readonly [F in RuleHeaderField]?: number }): RuleHeader {
  return {
    family: 0,
    dstLength: 0,
    srcLength: 0,
    tos: 0,
    table: 0,
    reserved1: 0,
    reserved2: 0,
    action: 0,
    flags: 0,
    ...fields,
  };
}

function prefixOf(
  family: IpFamily,
  address: string | undefined,
  length: number,
): Prefix | undefined {
  return address === undefined ? undefined : { family, address, length };
}

function actionOf(number: number): RuleAction {
  const found = (Object.entries(ACTION_NUMBERS) as [RuleAction, number][])
    .find(([, value]) => value === number);
  return found?.[0] ?? "unspec";
}

function describe(rule: Rule): string {
  const parts = [`with priority "${rule.priority}"`];
  if (rule.src !== undefined) parts.push(`from "${formatPrefix(rule.src)}"`);
  if (rule.dst !== undefined) parts.push(`to "${formatPrefix(rule.dst)}"`);
  if (rule.fwmark !== undefined) parts.push(`for the mark "${rule.fwmark}"`);
  if (rule.iifname !== undefined) parts.push(`from link "${rule.iifname}"`);
  if (rule.oifname !== undefined) parts.push(`out of link "${rule.oifname}"`);
  if (rule.action === undefined || rule.action === "table") {
    parts.push(rule.l3mdev === true ? "into the VRF's table" : `into table "${rule.table}"`);
  } else {
    parts.push(`to "${rule.action}"`);
  }
  return parts.join(" ");
}
