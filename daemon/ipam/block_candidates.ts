/** Where in a domain's prefix the next block may lie. Pure: no I/O, no clock. */
import {
  type BlockRange,
  longestBlock,
  parseRange,
  rangeAt,
  rangeContains,
} from "./block_range.ts";
import { IpamError } from "./errors.ts";
import type { PoolDomain } from "./port.ts";

/** A span of addresses. */
export type Span = Pick<BlockRange, "first" | "last">;

/** What a search for a free range must know. */
export interface CandidateQuery {
  /** The domain's prefix. */
  readonly prefix: BlockRange;
  /** Length of a block, in bits. */
  readonly blockLength: number;
  /** Blocks of the VRF, of any node and length: never overlapped. */
  readonly occupied: Iterable<Span>;
  /** Blocks of this node in other VRFs: overlapped only when nothing else is left. */
  readonly avoided: Iterable<Span>;
  /** Where this node begins to look: any number, see {@linkcode startOf}. */
  readonly start: number;
}

/** A range that may be claimed. */
export interface Candidate {
  /** The range. */
  readonly range: BlockRange;
  /** Whether it overlaps a block that this node holds in another VRF. */
  readonly overlapsOther: boolean;
}

/**
 * The prefix of a domain, checked against its block length.
 *
 * @throws {IpamError} `InvalidDomain` if the prefix is not IPv4 or no block of that length fits
 */
export function domainRange(domain: PoolDomain): BlockRange {
  let prefix: BlockRange;
  try {
    prefix = parseRange(domain.prefix);
  } catch (cause) {
    throw new IpamError(
      "InvalidDomain",
      `Expected an IPv4 prefix for the VRFDomain "${domain.name}", found "${domain.prefix}"; correct its spec`,
      { cause },
    );
  }
  const length = domain.blockLength;
  if (!Number.isInteger(length) || length < prefix.length || length > longestBlock) {
    throw new IpamError(
      "InvalidDomain",
      `Expected a block length between ${prefix.length} and ${longestBlock} for the VRFDomain "${domain.name}", ` +
        `found "${length}"; correct its spec`,
    );
  }
  return prefix;
}

/** Where a node begins to look for blocks of a VRF, so that nodes seldom try the same one (FNV-1a, 32 bits). */
export function startOf(nodeName: string, vrf: number): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(`${nodeName}/${vrf}`)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  // FNV-1a mixes the last bytes badly into the low bits, and the position is taken modulo a power of two.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> 0;
  return (hash ^ (hash >>> 13)) >>> 0;
}

/**
 * Ranges that may be claimed, the best first. Lazy; n blocks and m candidates taken cost O(n log n + m log n).
 */
export function* candidateBlocks(query: CandidateQuery): Generator<Candidate, void> {
  const occupied = merge(query.occupied, query.prefix);
  const avoided = merge(query.avoided, query.prefix);
  const shunned = merge([...occupied, ...avoided], query.prefix);
  for (const range of freeRanges(query, shunned)) yield { range, overlapsOther: false };
  if (avoided.length === 0) return;
  for (const range of freeRanges(query, occupied)) {
    if (spanAt(avoided, range) !== undefined) yield { range, overlapsOther: true };
  }
}

/** The ranges of a prefix that touch no span, from the node's position around to it again. */
function* freeRanges(query: CandidateQuery, taken: readonly Span[]): Generator<BlockRange, void> {
  const size = 2 ** (32 - query.blockLength);
  const slots = 2 ** (query.blockLength - query.prefix.length);
  const start = query.start % slots;
  for (const [from, to] of [[start, slots], [0, start]] as const) {
    for (let slot = from; slot < to;) {
      const range = rangeAt(query.prefix.first + slot * size, query.blockLength);
      const hit = spanAt(taken, range);
      if (hit === undefined) {
        if (rangeContains(query.prefix, range)) yield range;
        slot++;
      } else {
        slot = Math.floor((hit.last - query.prefix.first) / size) + 1;
      }
    }
  }
}

/** Sorted spans without overlaps, limited to those that touch the prefix. */
function merge(spans: Iterable<Span>, prefix: Span): Span[] {
  const sorted = [...spans]
    .filter((span) => span.first <= prefix.last && span.last >= prefix.first)
    .sort((a, b) => a.first - b.first);
  const merged: { first: number; last: number }[] = [];
  for (const span of sorted) {
    const tail = merged.at(-1);
    if (tail !== undefined && span.first <= tail.last + 1) {
      tail.last = Math.max(tail.last, span.last);
    } else merged.push({ first: span.first, last: span.last });
  }
  return merged;
}

/** The last of the sorted spans that the range touches. */
function spanAt(spans: readonly Span[], range: Span): Span | undefined {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((spans[middle]?.first ?? Infinity) <= range.last) low = middle + 1;
    else high = middle;
  }
  const span = spans[low - 1];
  return span !== undefined && span.last >= range.first ? span : undefined;
}
