import {
  type AttributesOf,
  type AttributeTable,
  attributeTable,
  listOf,
  NLA_F_NESTED,
} from "../attributes.ts";
import {
  bytes,
  encode,
  hardwareAddress,
  i32,
  struct,
  type StructCodec,
  text,
  u16,
  u32,
  u8,
} from "../codec.ts";
import { AF } from "./types.ts";
import { payload, type PayloadCodec } from "../message.ts";

/** Fields of struct ifinfomsg (include/uapi/linux/rtnetlink.h). */
export type LinkHeaderField = "family" | "reserved" | "type" | "index" | "flags" | "change";

/** struct ifinfomsg. */
export const linkHeader: StructCodec<LinkHeaderField> = struct({
  family: u8,
  reserved: u8,
  type: u16,
  index: i32,
  flags: u32,
  change: u32,
});

/** IFLA_LINKINFO: the kind of link and its data, which the files in link_kinds read and write. */
export const linkInfoSpecs = {
  kind: [1, text],
  data: [2, bytes],
  xstats: [3, bytes],
  slaveKind: [4, text],
  slaveData: [5, bytes],
} as const;

/** The table of {@link linkInfoSpecs}. */
export const linkInfoAttributes: AttributeTable<typeof linkInfoSpecs> = attributeTable(
  linkInfoSpecs,
);

/** IFLA_AF_SPEC, AF_INET6 (include/uapi/linux/if_link.h, IFLA_INET6_*). */
export const inet6Specs = {
  flags: [1, u32],
  addrGenMode: [8, u8],
} as const;

/** The table of {@link inet6Specs}. */
export const inet6Attributes: AttributeTable<typeof inet6Specs> = attributeTable(inet6Specs);

/** IFLA_INET_CONF as it is set: settings of a link by their numbers (include/uapi/linux/ip.h, IPV4_DEVCONF_*). As it is told it is an array. */
const inetConfAttributes = attributeTable({ arpNotify: [22, u32] });

/** IFLA_AF_SPEC, AF_INET, as it is set (include/uapi/linux/if_link.h, IFLA_INET_*). */
const inetAttributes = attributeTable({ conf: [1, inetConfAttributes] });

/** IFLA_AF_SPEC of a link, by address family. */
export const afSpecSpecs = {
  inet: [2, bytes],
  inet6: [10, inet6Attributes],
} as const;

/** The table of {@link afSpecSpecs}. */
export const afSpecAttributes: AttributeTable<typeof afSpecSpecs> = attributeTable(afSpecSpecs);

/** Attributes of a link (include/uapi/linux/if_link.h, IFLA_*). */
export const linkSpecs = {
  address: [1, hardwareAddress],
  broadcast: [2, hardwareAddress],
  name: [3, text],
  mtu: [4, u32],
  link: [5, u32],
  qdisc: [6, text],
  master: [10, u32],
  protInfo: [12 | NLA_F_NESTED, bytes],
  txQueueLength: [13, u32],
  operState: [16, u8],
  linkMode: [17, u8],
  linkInfo: [18, linkInfoAttributes],
  netnsPid: [19, u32],
  alias: [20, text],
  afSpec: [26, afSpecAttributes],
  group: [27, u32],
  netnsFd: [28, u32],
  extMask: [29, u32],
  promiscuity: [30, u32],
  txQueues: [31, u32],
  rxQueues: [32, u32],
  carrier: [33, u8],
  carrierChanges: [35, u32],
  linkNetnsId: [37, i32],
  protoDown: [39, u8],
  gsoMaxSegments: [40, u32],
  gsoMaxSize: [41, u32],
  newNetnsId: [45, i32],
  targetNetnsId: [46, i32],
  carrierUpCount: [47, u32],
  carrierDownCount: [48, u32],
  newIndex: [49, i32],
  minMtu: [50, u32],
  maxMtu: [51, u32],
  propList: [52 | NLA_F_NESTED, listOf([53, text])],
  altName: [53, text],
  permanentAddress: [54, hardwareAddress],
} as const;

/** The table of {@link linkSpecs}. */
export const linkAttributes: AttributeTable<typeof linkSpecs> = attributeTable(linkSpecs);

/** The values of {@link linkAttributes}. */
export type LinkAttributes = AttributesOf<typeof linkAttributes>;

/** Payload of RTM_NEWLINK, RTM_SETLINK, RTM_DELLINK and RTM_GETLINK. */
export const linkPayload: PayloadCodec<LinkHeaderField, LinkAttributes> = payload(
  linkHeader,
  linkAttributes,
);

/** The link is administratively up (include/uapi/linux/if.h). */
export const IFF_UP = 0x1;
/** The link has its resources: carrier and operational state are up (include/uapi/linux/if.h). */
export const IFF_RUNNING = 0x40;
/** Leave statistics out of the answer (include/uapi/linux/rtnetlink.h). */
export const RTEXT_FILTER_SKIP_STATS = 8;

/** How a link's IPv6 link-local address is made (include/uapi/linux/if_link.h, `enum in6_addr_gen_mode`). */
export type AddrGenMode = "eui64" | "none" | "stable_secret" | "random";

const ADDR_GEN_MODES: readonly AddrGenMode[] = ["eui64", "none", "stable_secret", "random"];

/** The values of {@link linkHeader}. */
export type LinkHeader = Readonly<Record<LinkHeaderField, number>>;

/** A header with zeros for what is not given. */
export function linkHeaderOf(fields: { readonly [F in LinkHeaderField]?: number }): LinkHeader {
  return { family: AF.UNSPEC, reserved: 0, type: 0, index: 0, flags: 0, change: 0, ...fields };
}

/** The header fields that set the administrative state; none to leave it as it is. */
export function upFlags(up: boolean | undefined): { flags?: number; change?: number } {
  return up === undefined ? {} : { flags: up ? IFF_UP : 0, change: IFF_UP };
}

/** What IFLA_AF_SPEC sets. */
export interface AfSettings {
  /** How the IPv6 link-local address is made. */
  readonly addrGenMode?: AddrGenMode | undefined;
  /** Whether a change of the MAC is told to IPv4's neighbours, as the sysctl `arp_notify` says it. */
  readonly arpNotify?: boolean | undefined;
}

/** IFLA_AF_SPEC that makes these settings; `undefined` where there is none to make. */
export function afSpecOf({ addrGenMode, arpNotify }: AfSettings): LinkAttributes["afSpec"] {
  if (addrGenMode === undefined && arpNotify === undefined) return undefined;
  return {
    ...arpNotify === undefined
      ? {}
      : { inet: encode(inetAttributes, { conf: { arpNotify: Number(arpNotify) } }) },
    ...addrGenMode === undefined
      ? {}
      : { inet6: { addrGenMode: ADDR_GEN_MODES.indexOf(addrGenMode) } },
  };
}

/** How the IPv6 link-local address is made; `undefined` if it is not told or not known. */
export function addrGenModeOf(attributes: LinkAttributes): AddrGenMode | undefined {
  const mode = attributes.afSpec?.inet6?.addrGenMode;
  return mode === undefined ? undefined : ADDR_GEN_MODES[mode];
}
