import { type AttributesOf, type AttributeTable, attributeTable } from "../attributes.ts";
import { ByteWriter } from "../byte_writer.ts";
import { bool8, bytes, decode, u16, u32, u64, u8 } from "../codec.ts";
import type { NetlinkConnection } from "../connection.ts";
import { linkPayload } from "./link_message.ts";
import { AF, RTM } from "./types.ts";

/** Attributes of a bridge's port (include/uapi/linux/if_link.h, IFLA_BRPORT_*). */
export const bridgePortSpecs = {
  state: [1, u8],
  priority: [2, u16],
  cost: [3, u32],
  hairpin: [4, bool8],
  guard: [5, bool8],
  protect: [6, bool8],
  fastLeave: [7, bool8],
  learning: [8, bool8],
  unicastFlood: [9, bool8],
  proxyArp: [10, bool8],
  proxyArpWifi: [12, bool8],
  rootId: [13, bytes],
  bridgeId: [14, bytes],
  designatedPort: [15, u16],
  designatedCost: [16, u16],
  id: [17, u16],
  number: [18, u16],
  topologyChangeAck: [19, u8],
  configPending: [20, u8],
  messageAgeTimer: [21, u64],
  forwardDelayTimer: [22, u64],
  holdTimer: [23, u64],
  multicastRouter: [25, u8],
  multicastFlood: [27, bool8],
  multicastToUnicast: [28, bool8],
  vlanTunnel: [29, bool8],
  broadcastFlood: [30, bool8],
  groupForwardMask: [31, u16],
  neighSuppress: [32, bool8],
  isolated: [33, bool8],
  locked: [39, bool8],
} as const;

/** The table of {@link bridgePortSpecs}. */
export const bridgePortAttributes: AttributeTable<typeof bridgePortSpecs> = attributeTable(
  bridgePortSpecs,
);

/** The values of {@link bridgePortAttributes}. */
export type BridgePortAttributes = AttributesOf<typeof bridgePortAttributes>;

/** Settings of a bridge's port; what is left out stays as it is. */
export interface BridgePort {
  /** Send frames back out of the port they came in by. */
  readonly hairpin?: boolean | undefined;
  /** Learn source addresses. */
  readonly learning?: boolean | undefined;
  /** Answer ARP and neighbour solicitations from the bridge's own tables instead of flooding them. */
  readonly neighSuppress?: boolean | undefined;
  /** Forward nothing between this port and other isolated ports. */
  readonly isolated?: boolean | undefined;
  /** Flood frames for unknown unicast addresses. */
  readonly unicastFlood?: boolean | undefined;
  /** Flood multicast frames that nobody asked for. */
  readonly multicastFlood?: boolean | undefined;
  /** Flood broadcast frames. */
  readonly broadcastFlood?: boolean | undefined;
}

/** Encodes a port's settings as IFLA_PROTINFO or IFLA_INFO_SLAVE_DATA holds them. */
export function encodeBridgePort(port: BridgePort): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(128);
  const { hairpin, learning, neighSuppress, isolated } = port;
  const { unicastFlood, multicastFlood, broadcastFlood } = port;
  bridgePortAttributes.write(writer, {
    hairpin,
    learning,
    unicastFlood,
    multicastFlood,
    broadcastFlood,
    neighSuppress,
    isolated,
  });
  return writer.copy();
}

/**
 * Decodes a port's settings from IFLA_INFO_SLAVE_DATA or IFLA_PROTINFO.
 *
 * @throws {NetlinkDecodeError} If the bytes do not follow the format
 */
export function decodeBridgePort(data: Uint8Array<ArrayBuffer>): BridgePort {
  const found = decode(bridgePortAttributes, data);
  const { hairpin, learning, neighSuppress, isolated } = found;
  const { unicastFlood, multicastFlood, broadcastFlood } = found;
  return {
    hairpin,
    learning,
    neighSuppress,
    isolated,
    unicastFlood,
    multicastFlood,
    broadcastFlood,
  };
}

/**
 * Changes the settings of a bridge's port.
 *
 * @param index Index of the link that is the port
 * @throws {NetlinkError} If the kernel refuses; `EOPNOTSUPP` if the link is no port
 */
export function setBridgePort(c: NetlinkConnection, index: number, port: BridgePort): void {
  c.request({
    operation: `to set up the bridge port "${index}"`,
    type: RTM.SETLINK,
    codec: linkPayload,
    value: {
      header: { family: AF.BRIDGE, index },
      attributes: { protInfo: encodeBridgePort(port) },
    },
  });
}
