import { AddressError, addressFamily, type IpFamily } from "../../net/address.ts";
import { type AttributesOf, type AttributeTable, attributeTable } from "../attributes.ts";
import {
  be16,
  bytes,
  hardwareAddress,
  i32,
  ipAddress,
  struct,
  type StructCodec,
  u16,
  u32,
  u8,
} from "../codec.ts";
import type { NetlinkConnection } from "../connection.ts";
import { NetlinkError } from "../errors.ts";
import { type MessageView, NLM_F, type Payload, payload, type PayloadCodec } from "../message.ts";
import { AF, familyNumber, ipFamily, RTM } from "./types.ts";

/** Fields of struct ndmsg (include/uapi/linux/neighbour.h). */
export type NeighborHeaderField =
  | "family"
  | "reserved1"
  | "reserved2"
  | "index"
  | "state"
  | "flags"
  | "type";

/** struct ndmsg. */
export const neighborHeader: StructCodec<NeighborHeaderField> = struct({
  family: u8,
  reserved1: u8,
  reserved2: u16,
  index: i32,
  state: u16,
  flags: u8,
  type: u8,
});

/** Attributes of a neighbour or a forwarding entry (include/uapi/linux/neighbour.h, NDA_*). */
export const neighborSpecs = {
  dst: [1, ipAddress],
  mac: [2, hardwareAddress],
  cacheInfo: [3, bytes],
  probes: [4, u32],
  vlan: [5, u16],
  port: [6, be16],
  vni: [7, u32],
  remoteIndex: [8, u32],
  master: [9, u32],
  linkNetnsId: [10, i32],
  sourceVni: [11, u32],
  protocol: [12, u8],
  nextHopId: [13, u32],
  flagsExt: [15, u32],
} as const;

/** The table of {@link neighborSpecs}. */
export const neighborAttributes: AttributeTable<typeof neighborSpecs> = attributeTable(
  neighborSpecs,
);

/** The values of {@link neighborAttributes}. */
export type NeighborAttributes = AttributesOf<typeof neighborAttributes>;

/** Payload of RTM_NEWNEIGH, RTM_DELNEIGH and RTM_GETNEIGH. */
export const neighborPayload: PayloadCodec<NeighborHeaderField, NeighborAttributes> = payload(
  neighborHeader,
  neighborAttributes,
);

/** States of a neighbour (include/uapi/linux/neighbour.h, NUD_*). */
export const NUD = {
  INCOMPLETE: 0x01,
  REACHABLE: 0x02,
  STALE: 0x04,
  DELAY: 0x08,
  PROBE: 0x10,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;

/** Flags of a neighbour (include/uapi/linux/neighbour.h, NTF_*). */
export const NTF = {
  SELF: 0x02,
  MASTER: 0x04,
  PROXY: 0x08,
  EXT_LEARNED: 0x10,
  STICKY: 0x40,
  ROUTER: 0x80,
} as const;

/** An entry of the neighbour table: ARP for IPv4, neighbour discovery for IPv6. */
export interface Neighbor {
  /** Index of the link. */
  readonly index: number;
  /** IP address. */
  readonly address: string;
  /** Link-layer address; absent while it is not known. */
  readonly mac?: string | undefined;
  /** NUD_* state; permanent by default. */
  readonly state?: number | undefined;
  /** NTF_* flags; none by default. */
  readonly flags?: number | undefined;
  /** Who made it, as with routes (RTPROT_*). */
  readonly protocol?: number | undefined;
}

/** An entry of a forwarding database: of a bridge (`NTF.MASTER`) or of a link such as a VXLAN (`NTF.SELF`). */
export interface FdbEntry {
  /** Index of the link: the bridge's port or the VXLAN link. */
  readonly index: number;
  /** MAC address; all zeros for the default destinations of a VXLAN. */
  readonly mac: string;
  /** Remote tunnel endpoint. */
  readonly dst?: string | undefined;
  /** VLAN id. */
  readonly vlan?: number | undefined;
  /** VXLAN network identifier, if not the link's own. */
  readonly vni?: number | undefined;
  /** UDP port, if not the link's own. */
  readonly port?: number | undefined;
  /** Index of the bridge, as the kernel tells it. */
  readonly master?: number | undefined;
  /** NUD_* state; permanent by default. */
  readonly state?: number | undefined;
  /** NTF_* flags; `NTF.SELF` by default. */
  readonly flags?: number | undefined;
}

/**
 * Adds a neighbour.
 *
 * @param options `replace`: change the one that is there; without, it is an error
 * @throws {NetlinkError} If the kernel refuses; `EEXIST`, `ENODEV`
 * @throws {AddressError} If the address is none
 */
export function addNeighbor(
  c: NetlinkConnection,
  neighbor: Neighbor,
  options: { readonly replace?: boolean } = {},
): void {
  c.request({
    operation: `to add the neighbour "${neighbor.address}" to the link "${neighbor.index}"`,
    type: RTM.NEWNEIGH,
    flags: NLM_F.CREATE | (options.replace === true ? NLM_F.REPLACE : NLM_F.EXCL),
    codec: neighborPayload,
    value: neighborMessage(neighbor),
  });
}

/**
 * Deletes a neighbour.
 *
 * @throws {NetlinkError} If the kernel refuses; `ENOENT` if there is none
 * @throws {AddressError} If the address is none
 */
export function deleteNeighbor(c: NetlinkConnection, neighbor: Neighbor): void {
  c.request({
    operation: `to delete the neighbour "${neighbor.address}" from the link "${neighbor.index}"`,
    type: RTM.DELNEIGH,
    codec: neighborPayload,
    value: neighborMessage(neighbor),
  });
}

/**
 * Finds a neighbour.
 *
 * @returns `undefined` if there is none, and where the kernel can only list them (before Linux 5.0)
 * @throws {NetlinkError} If the kernel refuses for another reason
 * @throws {AddressError} If the address is none
 */
export function getNeighbor(
  c: NetlinkConnection,
  neighbor: Pick<Neighbor, "index" | "address">,
): Neighbor | undefined {
  const { header, attributes } = neighborMessage({ ...neighbor, state: 0 });
  try {
    return c.query({
      operation: `to find the neighbour "${neighbor.address}" of the link "${neighbor.index}"`,
      type: RTM.GETNEIGH,
      codec: neighborPayload,
      value: { header, attributes },
    }, readNeighbor);
  } catch (thrown) {
    const none = thrown instanceof NetlinkError &&
      (thrown.errnoName === "ENOENT" || thrown.errnoName === "EOPNOTSUPP");
    if (none) return undefined;
    throw thrown;
  }
}

/**
 * Lists neighbours, of one link or of all.
 *
 * @param filter A link and an IP version; all by default
 * @throws {NetlinkError} If the kernel refuses
 */
export function listNeighbors(
  c: NetlinkConnection,
  filter: { readonly index?: number | undefined; readonly family?: IpFamily | undefined } = {},
): Neighbor[] {
  const { index, family } = filter;
  const families = family === undefined ? [AF.INET, AF.INET6] : [familyNumber(family)];
  return families.flatMap((number) =>
    c.dump({
      operation: "to list the neighbours",
      type: RTM.GETNEIGH,
      codec: neighborPayload,
      value: {
        header: headerOf({ family: number }),
        attributes: { remoteIndex: index },
      },
    }, readNeighbor)
  );
}

/**
 * Adds an entry to a forwarding database.
 *
 * @param options `append`: one more destination for the same address, as for all zeros; `replace`: change the one that is there
 * @throws {NetlinkError} If the kernel refuses; `EEXIST`, `ENODEV`
 * @throws {AddressError | NetlinkEncodeError} If an address is none
 */
export function addFdb(
  c: NetlinkConnection,
  entry: FdbEntry,
  options: { readonly append?: boolean; readonly replace?: boolean } = {},
): void {
  const mode = options.append === true
    ? NLM_F.APPEND
    : options.replace === true
    ? NLM_F.REPLACE
    : NLM_F.EXCL;
  c.request({
    operation: `to add the forwarding entry "${entry.mac}" to the link "${entry.index}"`,
    type: RTM.NEWNEIGH,
    flags: NLM_F.CREATE | mode,
    codec: neighborPayload,
    value: fdbMessage(entry),
  });
}

/**
 * Deletes an entry from a forwarding database.
 *
 * @throws {NetlinkError} If the kernel refuses; `ENOENT` if there is none
 * @throws {AddressError | NetlinkEncodeError} If an address is none
 */
export function deleteFdb(c: NetlinkConnection, entry: FdbEntry): void {
  c.request({
    operation: `to delete the forwarding entry "${entry.mac}" from the link "${entry.index}"`,
    type: RTM.DELNEIGH,
    codec: neighborPayload,
    value: fdbMessage(entry),
  });
}

/**
 * Lists forwarding entries.
 *
 * @param filter One link, or one bridge with all of its ports; everything by default
 * @throws {NetlinkError} If the kernel refuses
 */
export function listFdb(
  c: NetlinkConnection,
  filter: { readonly index?: number | undefined; readonly master?: number | undefined } = {},
): FdbEntry[] {
  return c.dump({
    operation: "to list the forwarding entries",
    type: RTM.GETNEIGH,
    codec: neighborPayload,
    value: {
      header: headerOf({ family: AF.BRIDGE, index: filter.index ?? 0 }),
      attributes: { master: filter.master },
    },
  }, readFdb);
}

/**
 * Reads a neighbour from an RTM_NEWNEIGH or RTM_DELNEIGH message; `undefined` for any other, and for entries that are no IP neighbours.
 *
 * @throws {NetlinkDecodeError} If the message is malformed
 */
export function readNeighbor(message: MessageView): Neighbor | undefined {
  if (message.type !== RTM.NEWNEIGH && message.type !== RTM.DELNEIGH) return undefined;
  const head = neighborHeader.read(message.view, message.start, message.end);
  if (ipFamily(head.family) === undefined) return undefined;
  const { attributes } = neighborPayload.read(message.view, message.start, message.end);
  return {
    index: head.index,
    address: attributes.dst ?? "",
    mac: attributes.mac,
    state: head.state,
    flags: head.flags,
    protocol: attributes.protocol,
  };
}

/**
 * Reads a forwarding entry from an RTM_NEWNEIGH or RTM_DELNEIGH message; `undefined` for any other.
 *
 * @throws {NetlinkDecodeError} If the message is malformed
 */
export function readFdb(message: MessageView): FdbEntry | undefined {
  if (message.type !== RTM.NEWNEIGH && message.type !== RTM.DELNEIGH) return undefined;
  const { header, attributes } = neighborPayload.read(message.view, message.start, message.end);
  if (header.family !== AF.BRIDGE) return undefined;
  return {
    index: header.index,
    mac: attributes.mac ?? "",
    dst: attributes.dst,
    vlan: attributes.vlan,
    vni: attributes.vni,
    port: attributes.port,
    master: attributes.master,
    state: header.state,
    flags: header.flags,
  };
}

type NeighborMessage = Payload<Readonly<Record<NeighborHeaderField, number>>, NeighborAttributes>;

function neighborMessage(neighbor: Neighbor): NeighborMessage {
  const { index, address, mac, state = NUD.PERMANENT, flags = 0, protocol } = neighbor;
  const family = addressFamily(address);
  if (family === undefined) {
    throw new AddressError("InvalidAddress", `Expected an IP address, found "${address}"`);
  }
  return {
    header: headerOf({ family: familyNumber(family), index, state, flags }),
    attributes: { dst: address, mac, protocol },
  };
}

function fdbMessage(entry: FdbEntry): NeighborMessage {
  const { index, mac, dst, vlan, vni, port, state = NUD.PERMANENT | NUD.NOARP, flags = NTF.SELF } =
    entry;
  return {
    header: headerOf({ family: AF.BRIDGE, index, state, flags }),
    attributes: { mac, dst, vlan, port, vni },
  };
}

function headerOf(
  fields: { readonly [F in NeighborHeaderField]?: number },
): Readonly<Record<NeighborHeaderField, number>> {
  return {
    family: 0,
    reserved1: 0,
    reserved2: 0,
    index: 0,
    state: 0,
    flags: 0,
    type: 0,
    ...fields,
  };
}
