import { type AttributesOf, type AttributeTable, attributeTable } from "../attributes.ts";
import { linkPayload } from "../rtnl/link_message.ts";

/** Data of a virtual Ethernet pair (include/uapi/linux/veth.h): the peer is a link message of its own. */
export const vethSpecs = { peer: [1, linkPayload] } as const;

/** The table of {@link vethSpecs}. */
export const vethAttributes: AttributeTable<typeof vethSpecs> = attributeTable(vethSpecs);

/** The values of {@link vethAttributes}. */
export type VethAttributes = AttributesOf<typeof vethAttributes>;

/**
 * The other end of a virtual Ethernet pair to be created. It cannot be born up: the kernel answers ENOTCONN, since a
 * peer opens only once the pair is joined.
 */
export interface VethPeer {
  /** Its name, at most 15 bytes. */
  readonly name: string;
  /** The network namespace it is born in (much cheaper than moving it later); the pair's own by default. */
  readonly netnsFd?: number | undefined;
  /** Maximum transmission unit in bytes. */
  readonly mtu?: number | undefined;
  /** MAC address. */
  readonly address?: string | undefined;
  /** Link group. */
  readonly group?: number | undefined;
}

/** A virtual Ethernet pair. The kernel does not tell the peer: see `linkIndex` and `linkNetnsId` of the link. */
export interface VethKind {
  /** Discriminator. */
  readonly type: "veth";
  /** The other end, when creating; without one the kernel names it. */
  readonly peer?: VethPeer | undefined;
}

/** The data of a pair to be created. */
export function vethData(kind: VethKind): VethAttributes {
  const { peer } = kind;
  if (peer === undefined) return {};
  const { name, mtu, address, group, netnsFd } = peer;
  return {
    peer: {
      header: { family: 0, reserved: 0, type: 0, index: 0, flags: 0, change: 0 },
      attributes: { name, mtu, address, group, netnsFd },
    },
  };
}

/** The pair that the data describes: nothing but its kind. */
export function vethKind(): VethKind {
  return { type: "veth" };
}
