import { addressFamily, addressToBytes, bytesToAddress } from "../../net/address.ts";
import { type AttributesOf, type AttributeTable, attributeTable } from "../attributes.ts";
import {
  bytes,
  type Codec,
  i32,
  ipAddress,
  struct,
  type StructCodec,
  u16,
  u32,
  u8,
} from "../codec.ts";
import { NetlinkDecodeError } from "../errors.ts";
import { payload, type PayloadCodec } from "../message.ts";
import { AF } from "./types.ts";

/** Fields of struct rtmsg (include/uapi/linux/rtnetlink.h). */
export type RouteHeaderField =
  | "family"
  | "dstLength"
  | "srcLength"
  | "tos"
  | "table"
  | "protocol"
  | "scope"
  | "type"
  | "flags";

/** struct rtmsg. */
export const routeHeader: StructCodec<RouteHeaderField> = struct({
  family: u8,
  dstLength: u8,
  srcLength: u8,
  tos: u8,
  table: u8,
  protocol: u8,
  scope: u8,
  type: u8,
  flags: u32,
});

/** RTA_VIA: a gateway of another family than the destination's (struct rtvia). */
export const via: Codec<string> = {
  write(writer, value) {
    writer.u16(addressFamily(value) === 4 ? AF.INET : AF.INET6);
    writer.bytes(addressToBytes(value));
  },
  read(view, start, end) {
    const length = end - start - 2;
    if (length !== 4 && length !== 16) {
      throw new NetlinkDecodeError(
        "NetlinkValueLength",
        `Expected 6 or 18 bytes for a gateway from the kernel, found "${length + 2}"`,
      );
    }
    return bytesToAddress(new Uint8Array(view.buffer, view.byteOffset + start + 2, length));
  },
};

/** Attributes of one next hop in RTA_MULTIPATH. */
export const nextHopSpecs = {
  gateway: [5, ipAddress],
  flow: [11, u32],
  via: [18, via],
  encapType: [21, u16],
  encap: [22, bytes],
} as const;

/** The table of {@link nextHopSpecs}. */
export const nextHopAttributes: AttributeTable<typeof nextHopSpecs> = attributeTable(nextHopSpecs);

/** One next hop as it stands in RTA_MULTIPATH (struct rtnexthop and its attributes). */
export interface RawNextHop {
  /** RTNH_F_* flags. */
  readonly flags: number;
  /** Weight minus one. */
  readonly hops: number;
  /** Index of the outgoing link. */
  readonly index: number;
  /** Attributes. */
  readonly attributes: AttributesOf<typeof nextHopAttributes>;
}

type NextHopField = "length" | "flags" | "hops" | "index";

const nextHopHeader: StructCodec<NextHopField> = struct({
  length: u16,
  flags: u8,
  hops: u8,
  index: i32,
});

/** RTA_MULTIPATH: structs rtnexthop, each with its length and attributes. */
export const nextHops: Codec<readonly RawNextHop[]> = {
  write(writer, hops) {
    for (const { attributes, ...fields } of hops) {
      const start = writer.length;
      nextHopHeader.write(writer, { ...fields, length: 0 });
      nextHopAttributes.write(writer, attributes);
      writer.patchU16(start, writer.length - start);
    }
  },
  read(view, start, end) {
    const hops: RawNextHop[] = [];
    for (let at = start; at < end;) {
      const { length, ...fields } = nextHopHeader.read(view, at, end);
      if (length < nextHopHeader.size || length > end - at) {
        throw new NetlinkDecodeError(
          "NetlinkAttributeLength",
          `Expected a next hop of ${nextHopHeader.size} to ${
            end - at
          } bytes, found the length "${length}"`,
        );
      }
      const attributes = nextHopAttributes.read(view, at + nextHopHeader.size, at + length);
      hops.push({ ...fields, attributes });
      at += (length + 3) & ~3;
    }
    return hops;
  },
};

/** RTA_METRICS (include/uapi/linux/rtnetlink.h, RTAX_*). */
export const routeMetricSpecs = { lock: [1, u32], mtu: [2, u32], advmss: [8, u32] } as const;

/** The table of {@link routeMetricSpecs}. */
export const routeMetrics: AttributeTable<typeof routeMetricSpecs> = attributeTable(
  routeMetricSpecs,
);

/** Attributes of a route (include/uapi/linux/rtnetlink.h, RTA_*). */
export const routeSpecs = {
  dst: [1, ipAddress],
  src: [2, ipAddress],
  inputInterface: [3, u32],
  oif: [4, u32],
  gateway: [5, ipAddress],
  priority: [6, u32],
  preferredSource: [7, ipAddress],
  metrics: [8, routeMetrics],
  multipath: [9, nextHops],
  flow: [11, u32],
  cacheInfo: [12, bytes],
  table: [15, u32],
  mark: [16, u32],
  via: [18, via],
  preference: [20, u8],
  encapType: [21, u16],
  encap: [22, bytes],
  uid: [25, u32],
  nextHopId: [30, u32],
} as const;

/** The table of {@link routeSpecs}. */
export const routeAttributes: AttributeTable<typeof routeSpecs> = attributeTable(routeSpecs);

/** The values of {@link routeAttributes}. */
export type RouteAttributes = AttributesOf<typeof routeAttributes>;

/** Payload of RTM_NEWROUTE, RTM_DELROUTE and RTM_GETROUTE. */
export const routePayload: PayloadCodec<RouteHeaderField, RouteAttributes> = payload(
  routeHeader,
  routeAttributes,
);
