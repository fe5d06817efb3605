/**
 * Packet marks: the number by which nftables and the RPDB tell VRFs apart.
 *
 * A node's marks are shared with others: kube-proxy asks for masquerading with 0x4000 and has dropped packets by 0x8000, and other
 * programs take bits of their own. A VRF's mark therefore lies within a mask: the bits of its number are spread over the bits of the mask,
 * from the lowest up. Within the default mask a number below 16384 is its own mark.
 *
 * Pure and without memory: the same numbers have the same marks after every restart, as the marks of connections under way must.
 *
 * @module
 */

/** All bits but kube-proxy's: 0x4000 ("masquerade this") and 0x8000 ("drop this", of its older releases). */
export const defaultMarkMask = 0xffff3fff;

/** Fewer bits would hardly tell tenants apart. */
export const leastMarkBits = 8;

/** How many bits a mask has. */
export function bitsOf(mask: number): number {
  let bits = 0;
  for (let rest = mask >>> 0; rest !== 0; rest >>>= 1) bits += rest & 1;
  return bits;
}

/**
 * The mark of a VRF: the lowest bits of its number, as many as the mask has, on the mask's bits.
 *
 * @param vrf VRF number
 * @param mask Bits that marks may have
 */
export function markOf(vrf: number, mask: number): number {
  let mark = 0;
  let rest = vrf;
  for (let bit = 0; bit < 32; bit++) {
    if ((mask >>> bit & 1) === 0) continue;
    if (rest % 2 === 1) mark += 2 ** bit;
    rest = Math.floor(rest / 2);
  }
  return mark;
}

/** The mark of flows into a VRF that come from outside all VRFs: every bit of the mask. No VRF has it. */
export function outsideMark(mask: number): number {
  return mask >>> 0;
}

/** The marks of a node's VRFs. */
export interface MarkAssignment {
  /** Mark by VRF number. */
  readonly marks: ReadonlyMap<number, number>;
  /** VRFs that can have none, with the VRF that has it; `undefined` where the mark itself cannot be used. */
  readonly refused: ReadonlyMap<number, number | undefined>;
}

/**
 * Gives each VRF its mark. Numbers with more bits than the mask share marks with others: of several that do, the one that fits the mask
 * has it, else the one with the lowest number.
 *
 * @param vrfs VRF numbers
 * @param mask Bits that marks may have
 */
export function assignMarks(vrfs: readonly number[], mask: number): MarkAssignment {
  const marks = new Map<number, number>();
  const refused = new Map<number, number | undefined>();
  const holders = new Map<number, number>();
  // A number that fits is lower than each that it would share its mark with.
  for (const vrf of vrfs.toSorted((a, b) => a - b)) {
    const mark = markOf(vrf, mask);
    const holder = holders.get(mark);
    if (mark === 0 || mark === outsideMark(mask)) refused.set(vrf, undefined);
    else if (holder !== undefined) refused.set(vrf, holder);
    else {
      holders.set(mark, vrf);
      marks.set(vrf, mark);
    }
  }
  return { marks, refused };
}

/**
 * A conntrack zone (1 to 65535) of a mark. Two marks may share one: their flows are then told apart by addresses alone.
 */
export function zoneOf(mark: number): number {
  return ((mark ^ mark >>> 16) & 0xffff) || 0xffff;
}
