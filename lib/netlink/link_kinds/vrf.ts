import { type AttributesOf, type AttributeTable, attributeTable } from "../attributes.ts";
import { u32 } from "../codec.ts";

/** Data of a VRF (include/uapi/linux/if_link.h, IFLA_VRF_*). */
export const vrfSpecs = { table: [1, u32] } as const;

/** The table of {@link vrfSpecs}. */
export const vrfAttributes: AttributeTable<typeof vrfSpecs> = attributeTable(vrfSpecs);

/** The values of {@link vrfAttributes}. */
export type VrfAttributes = AttributesOf<typeof vrfAttributes>;

/** A VRF: links enslaved to it route by its table. */
export interface VrfKind {
  /** Discriminator. */
  readonly type: "vrf";
  /** The routing table. */
  readonly table: number;
}

/** The data of a VRF to be created. */
export function vrfData(kind: VrfKind): VrfAttributes {
  return { table: kind.table };
}

/** The VRF that the data describes. */
export function vrfKind(data: VrfAttributes): VrfKind {
  return { type: "vrf", table: data.table ?? 0 };
}
