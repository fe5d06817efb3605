import { AddressError, addressFamily, type IpFamily } from "../../net/address.ts";
import { type AttributesOf, type AttributeTable, attributeTable } from "../attributes.ts";
import { bytes, ipAddress, struct, type StructCodec, text, u32, u8 } from "../codec.ts";
import {
  bind,
  type BoundRequest,
  type NetlinkConnection,
  type NetlinkRequest,
} from "../connection.ts";
import { NetlinkError } from "../errors.ts";
import { type MessageView, NLM_F, type Payload, payload, type PayloadCodec } from "../message.ts";
import { AF, familyNumber, ipFamily, RT_SCOPE, RTM } from "./types.ts";

/** Fields of struct ifaddrmsg (include/uapi/linux/if_addr.h). */
export type AddressHeaderField = "family" | "prefixLength" | "flags" | "scope" | "index";

/** struct ifaddrmsg. */
export const addressHeader: StructCodec<AddressHeaderField> = struct({
  family: u8,
  prefixLength: u8,
  flags: u8,
  scope: u8,
  index: u32,
});

/** Attributes of an address (include/uapi/linux/if_addr.h, IFA_*). */
export const addressSpecs = {
  address: [1, ipAddress],
  local: [2, ipAddress],
  label: [3, text],
  broadcast: [4, ipAddress],
  anycast: [5, ipAddress],
  cacheInfo: [6, bytes],
  multicast: [7, ipAddress],
  flags: [8, u32],
  routePriority: [9, u32],
  targetNetnsId: [10, u32],
  protocol: [11, u8],
} as const;

/** The table of {@link addressSpecs}. */
export const addressAttributes: AttributeTable<typeof addressSpecs> = attributeTable(addressSpecs);

/** The values of {@link addressAttributes}. */
export type AddressAttributes = AttributesOf<typeof addressAttributes>;

/** Payload of RTM_NEWADDR, RTM_DELADDR and RTM_GETADDR. */
export const addressPayload: PayloadCodec<AddressHeaderField, AddressAttributes> = payload(
  addressHeader,
  addressAttributes,
);

/** Flags of an address (include/uapi/linux/if_addr.h, IFA_F_*). */
export const IFA_F = {
  /** Of IPv6: one that the kernel makes anew from time to time, for privacy. */
  TEMPORARY: 0x01,
  /** Used without looking for a duplicate first. */
  NODAD: 0x02,
  /** A duplicate was found. */
  DADFAILED: 0x08,
  /** Not for new connections any more. */
  DEPRECATED: 0x20,
  /** Not used while a duplicate is looked for. */
  TENTATIVE: 0x40,
  /** The kernel made no route for the prefix. */
  NOPREFIXROUTE: 0x200,
} as const;

/** An address of a link, to be added or deleted. */
export interface AddressSpec {
  /** Index of the link. */
  readonly index: number;
  /** The address, IPv4 or IPv6. */
  readonly address: string;
  /** Length of the prefix that is on the link, in bits. */
  readonly prefixLength: number;
  /** The other side's address on a point-to-point link. */
  readonly peer?: string | undefined;
  /** RT_SCOPE_*; universe by default. */
  readonly scope?: number | undefined;
  /** Whether the kernel is to make no route for the prefix. */
  readonly noprefixroute?: boolean | undefined;
  /** Whether an IPv6 address is to be used without looking for a duplicate first. */
  readonly nodad?: boolean | undefined;
}

/** An address of a link as the kernel tells it. */
export interface InterfaceAddress {
  /** IP version. */
  readonly family: IpFamily;
  /** Index of the link. */
  readonly index: number;
  /** The address. */
  readonly address: string;
  /** Length of the prefix that is on the link, in bits. */
  readonly prefixLength: number;
  /** The other side's address on a point-to-point link, if it is another. */
  readonly peer?: string | undefined;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** IFA_F_* flags. */
  readonly flags: number;
}

/**
 * Adds an address to a link.
 *
 * @param options `ifExists`: an address that is there already is an error (`"fail"`, the default), is left alone
 *   (`"ignore"`) or changed (`"replace"`)
 * @throws {NetlinkError} If the kernel refuses; `EEXIST`, `ENODEV`
 * @throws {AddressError} If the address is none
 */
export function addAddress(
  c: NetlinkConnection,
  spec: AddressSpec,
  options: { readonly ifExists?: "fail" | "ignore" | "replace" } = {},
): void {
  const { ifExists = "fail" } = options;
  try {
    c.request(additionOf(spec, ifExists === "replace" ? NLM_F.REPLACE : NLM_F.EXCL));
  } catch (thrown) {
    const exists = thrown instanceof NetlinkError && thrown.errnoName === "EEXIST";
    if (!exists || ifExists !== "ignore") throw thrown;
  }
}

/** The same as a request among others, see `NetlinkConnection.batch`; an address that is there already is an error. */
export function addressAddition(spec: AddressSpec): BoundRequest {
  return bind(additionOf(spec, NLM_F.EXCL));
}

function additionOf(
  spec: AddressSpec,
  flag: number,
): NetlinkRequest<Payload<Readonly<Record<AddressHeaderField, number>>, AddressAttributes>> {
  return {
    operation:
      `to add the address "${spec.address}/${spec.prefixLength}" to the link "${spec.index}"`,
    type: RTM.NEWADDR,
    flags: NLM_F.CREATE | flag,
    codec: addressPayload,
    value: addressMessage(spec),
  };
}

/**
 * Deletes an address from a link.
 *
 * @throws {NetlinkError} If the kernel refuses; `EADDRNOTAVAIL` if there is none
 * @throws {AddressError} If the address is none
 */
export function deleteAddress(c: NetlinkConnection, spec: AddressSpec): void {
  c.request({
    operation:
      `to delete the address "${spec.address}/${spec.prefixLength}" from the link "${spec.index}"`,
    type: RTM.DELADDR,
    codec: addressPayload,
    value: addressMessage(spec),
  });
}

/**
 * Lists IPv4 and IPv6 addresses, of one link or of all.
 *
 * @param c The connection
 * @param index Index of the link; 0 for all
 * @param netnsId The number that another network namespace has in the connection's, to list those there
 * @throws {NetlinkError} If the kernel refuses; `ENODEV` if there is no such link
 */
export function listAddresses(
  c: NetlinkConnection,
  index = 0,
  netnsId?: number,
): InterfaceAddress[] {
  return [AF.INET, AF.INET6].flatMap((family) =>
    c.dump({
      operation: "to list the addresses",
      type: RTM.GETADDR,
      codec: addressPayload,
      value: {
        header: { family, prefixLength: 0, flags: 0, scope: 0, index },
        attributes: { targetNetnsId: netnsId },
      },
    }, readAddress)
  );
}

/**
 * Reads an address from an RTM_NEWADDR or RTM_DELADDR message; `undefined` for any other.
 *
 * @throws {NetlinkDecodeError} If the message is malformed
 */
export function readAddress(message: MessageView): InterfaceAddress | undefined {
  if (message.type !== RTM.NEWADDR && message.type !== RTM.DELADDR) return undefined;
  const head = addressHeader.read(message.view, message.start, message.end);
  const family = ipFamily(head.family);
  if (family === undefined) return undefined;
  const { attributes } = addressPayload.read(message.view, message.start, message.end);
  const address = attributes.local ?? attributes.address ?? "";
  return {
    family,
    index: head.index,
    address,
    prefixLength: head.prefixLength,
    peer: attributes.address === address ? undefined : attributes.address,
    scope: head.scope,
    flags: attributes.flags ?? head.flags,
  };
}

function addressMessage(
  spec: AddressSpec,
): Payload<Readonly<Record<AddressHeaderField, number>>, AddressAttributes> {
  const family = addressFamily(spec.address);
  if (family === undefined) {
    throw new AddressError(
      "InvalidAddress",
      `Expected an IPv4 or IPv6 address, found "${spec.address}"`,
    );
  }
  const flags = (spec.noprefixroute === true ? IFA_F.NOPREFIXROUTE : 0) |
    (spec.nodad === true ? IFA_F.NODAD : 0);
  return {
    header: {
      family: familyNumber(family),
      prefixLength: spec.prefixLength,
      flags: flags & 0xff,
      scope: spec.scope ?? RT_SCOPE.UNIVERSE,
      index: spec.index,
    },
    attributes: {
      local: spec.address,
      address: spec.peer ?? spec.address,
      flags: flags > 0xff ? flags : undefined,
    },
  };
}
