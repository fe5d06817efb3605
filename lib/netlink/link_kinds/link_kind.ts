import type { AttributesOf } from "../attributes.ts";
import { type Codec, decode, encode } from "../codec.ts";
import type { linkInfoAttributes } from "../rtnl/link_message.ts";
import { bridgeAttributes, bridgeData, type BridgeKind, bridgeKind } from "./bridge.ts";
import type { GenericKind } from "./generic.ts";
import { vethAttributes, vethData, type VethKind, vethKind } from "./veth.ts";
import { vrfAttributes, vrfData, type VrfKind, vrfKind } from "./vrf.ts";
import { vxlanAttributes, vxlanData, type VxlanKind, vxlanKind } from "./vxlan.ts";

/** What a link is, with the data of its kind. */
export type LinkKind = BridgeKind | VethKind | VxlanKind | VrfKind | GenericKind;

/** The values of IFLA_LINKINFO. */
export type LinkInfo = AttributesOf<typeof linkInfoAttributes>;

/** The tables of the kinds' data, by the kernel's name of the kind. */
export const kindTables: Readonly<Record<string, Codec<unknown>>> = {
  bridge: bridgeAttributes,
  veth: vethAttributes,
  vrf: vrfAttributes,
  vxlan: vxlanAttributes,
};

/**
 * Encodes a kind and its data as IFLA_LINKINFO holds them.
 *
 * @throws {NetlinkEncodeError | AddressError} If a value does not fit
 */
export function encodeKind(kind: LinkKind): LinkInfo {
  switch (kind.type) {
    case "bridge":
      return { kind: kind.type, data: encodeData(bridgeAttributes, bridgeData(kind)) };
    case "veth":
      return { kind: kind.type, data: encodeData(vethAttributes, vethData(kind)) };
    case "vrf":
      return { kind: kind.type, data: encodeData(vrfAttributes, vrfData(kind)) };
    case "vxlan":
      return { kind: kind.type, data: encodeData(vxlanAttributes, vxlanData(kind)) };
    case "generic":
      return { kind: kind.kind, data: kind.data };
  }
}

/**
 * Decodes IFLA_LINKINFO; `undefined` for a link without a kind, such as loopback or hardware.
 *
 * @throws {NetlinkDecodeError} If the data does not follow the kind's format
 */
export function decodeKind(info: LinkInfo): LinkKind | undefined {
  const { kind, data = new Uint8Array(0) } = info;
  switch (kind) {
    case undefined:
      return undefined;
    case "bridge":
      return bridgeKind(decode(bridgeAttributes, data));
    case "veth":
      return vethKind();
    case "vrf":
      return vrfKind(decode(vrfAttributes, data));
    case "vxlan":
      return vxlanKind(decode(vxlanAttributes, data));
    default:
      return { type: "generic", kind, data: info.data };
  }
}

function encodeData<T>(codec: Codec<T>, value: T): Uint8Array<ArrayBuffer> | undefined {
  const data = encode(codec, value);
  return data.length === 0 ? undefined : data;
}
