import { type AttributesOf, type AttributeTable, attributeTable } from "../attributes.ts";
import { be16, bytes, hardwareAddress, u16, u32, u64, u8 } from "../codec.ts";

/** Data of a bridge (include/uapi/linux/if_link.h, IFLA_BR_*). */
export const bridgeSpecs = {
  forwardDelay: [1, u32],
  helloTime: [2, u32],
  maxAge: [3, u32],
  ageingTime: [4, u32],
  stpState: [5, u32],
  priority: [6, u16],
  vlanFiltering: [7, u8],
  vlanProtocol: [8, be16],
  groupForwardMask: [9, u16],
  rootId: [10, bytes],
  bridgeId: [11, bytes],
  rootPort: [12, u16],
  rootPathCost: [13, u32],
  topologyChange: [14, u8],
  topologyChangeDetected: [15, u8],
  helloTimer: [16, u64],
  tcnTimer: [17, u64],
  topologyChangeTimer: [18, u64],
  gcTimer: [19, u64],
  groupAddress: [20, hardwareAddress],
  multicastRouter: [22, u8],
  multicastSnooping: [23, u8],
  nfCallIptables: [36, u8],
  nfCallIp6tables: [37, u8],
  nfCallArptables: [38, u8],
  vlanDefaultPvid: [39, u16],
} as const;

/** The table of {@link bridgeSpecs}. */
export const bridgeAttributes: AttributeTable<typeof bridgeSpecs> = attributeTable(bridgeSpecs);

/** The values of {@link bridgeAttributes}. */
export type BridgeAttributes = AttributesOf<typeof bridgeAttributes>;

/** A bridge; what is left out gets the kernel's default. */
export interface BridgeKind {
  /** Discriminator. */
  readonly type: "bridge";
  /** How long a port listens and learns before it forwards, in hundredths of a second. */
  readonly forwardDelay?: number | undefined;
  /** How long a learnt address is kept, in hundredths of a second. */
  readonly ageingTime?: number | undefined;
  /** Whether the spanning tree protocol runs. */
  readonly stp?: boolean | undefined;
  /** Whether VLAN tags are looked at. */
  readonly vlanFiltering?: boolean | undefined;
  /** Whether multicast group membership is learnt by listening to IGMP and MLD. */
  readonly multicastSnooping?: boolean | undefined;
}

/** The data of a bridge to be created. */
export function bridgeData(kind: BridgeKind): BridgeAttributes {
  return {
    forwardDelay: kind.forwardDelay,
    ageingTime: kind.ageingTime,
    stpState: numberOf(kind.stp),
    vlanFiltering: numberOf(kind.vlanFiltering),
    multicastSnooping: numberOf(kind.multicastSnooping),
  };
}

/** The bridge that the data describes. */
export function bridgeKind(data: BridgeAttributes): BridgeKind {
  return {
    type: "bridge",
    forwardDelay: data.forwardDelay,
    ageingTime: data.ageingTime,
    stp: booleanOf(data.stpState),
    vlanFiltering: booleanOf(data.vlanFiltering),
    multicastSnooping: booleanOf(data.multicastSnooping),
  };
}

function numberOf(value: boolean | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

function booleanOf(value: number | undefined): boolean | undefined {
  return value === undefined ? undefined : value !== 0;
}
