import { addressFamily } from "../../net/address.ts";
import { type AttributesOf, type AttributeTable, attributeTable } from "../attributes.ts";
import { be16, be32, bool8, bytes, flag, ipAddress, u32, u8 } from "../codec.ts";

/** Data of a VXLAN link (include/uapi/linux/if_link.h, IFLA_VXLAN_*). */
export const vxlanSpecs = {
  id: [1, u32],
  group: [2, ipAddress],
  link: [3, u32],
  local: [4, ipAddress],
  ttl: [5, u8],
  tos: [6, u8],
  learning: [7, bool8],
  ageing: [8, u32],
  limit: [9, u32],
  portRange: [10, bytes],
  proxy: [11, bool8],
  rsc: [12, bool8],
  l2miss: [13, bool8],
  l3miss: [14, bool8],
  port: [15, be16],
  group6: [16, ipAddress],
  local6: [17, ipAddress],
  udpChecksum: [18, bool8],
  udpZeroChecksum6Tx: [19, bool8],
  udpZeroChecksum6Rx: [20, bool8],
  remoteChecksumTx: [21, bool8],
  remoteChecksumRx: [22, bool8],
  gbp: [23, flag],
  remoteChecksumNoPartial: [24, flag],
  collectMetadata: [25, bool8],
  label: [26, be32],
  gpe: [27, flag],
  ttlInherit: [28, bool8],
  df: [29, u8],
  vniFilter: [30, bool8],
} as const;

/** The table of {@link vxlanSpecs}. */
export const vxlanAttributes: AttributeTable<typeof vxlanSpecs> = attributeTable(vxlanSpecs);

/** The values of {@link vxlanAttributes}. */
export type VxlanAttributes = AttributesOf<typeof vxlanAttributes>;

/** A VXLAN tunnel endpoint (RFC 7348); what is left out gets the kernel's default. */
export interface VxlanKind {
  /** Discriminator. */
  readonly type: "vxlan";
  /** VXLAN network identifier, 24 bits. */
  readonly vni: number;
  /** Source address of the tunnel, IPv4 or IPv6. */
  readonly local?: string | undefined;
  /** Remote endpoint or multicast group, IPv4 or IPv6. */
  readonly remote?: string | undefined;
  /** Index of the link that the tunnel's packets leave by. */
  readonly link?: number | undefined;
  /** UDP destination port. The kernel's default is 8472, not the standard's 4789. */
  readonly port?: number | undefined;
  /** Whether remote endpoints are learnt from what arrives; off where a control plane tells them. */
  readonly learning?: boolean | undefined;
  /** Time to live of the tunnel's packets; 0 lets the kernel choose. */
  readonly ttl?: number | undefined;
  /** Type of service of the tunnel's packets; 1 copies it from the packet inside. */
  readonly tos?: number | undefined;
  /** How long a learnt address is kept, in seconds. */
  readonly ageing?: number | undefined;
}

/** The data of a VXLAN link to be created. */
export function vxlanData(kind: VxlanKind): VxlanAttributes {
  const { local, remote } = kind;
  const sixLocal = local !== undefined && addressFamily(local) === 6;
  const sixRemote = remote !== undefined && addressFamily(remote) === 6;
  return {
    id: kind.vni,
    group: sixRemote ? undefined : remote,
    group6: sixRemote ? remote : undefined,
    local: sixLocal ? undefined : local,
    local6: sixLocal ? local : undefined,
    link: kind.link,
    ttl: kind.ttl,
    tos: kind.tos,
    learning: kind.learning,
    ageing: kind.ageing,
    port: kind.port,
  };
}

/** The VXLAN link that the data describes. */
export function vxlanKind(data: VxlanAttributes): VxlanKind {
  return {
    type: "vxlan",
    vni: data.id ?? 0,
    local: data.local ?? data.local6,
    remote: data.group ?? data.group6,
    link: data.link,
    port: data.port,
    learning: data.learning,
    ttl: data.ttl,
    tos: data.tos,
    ageing: data.ageing,
  };
}
