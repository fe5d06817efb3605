/** Where in a domain's prefix the next block may lie. Pure: no I/O, no clock. */
import { ADDRESS_BITS } from "../../lib/net/address.ts";
import {
  type BlockRange,
  compareSpans,
  longestBlock,
  parseRange,
  rangeAt,
  rangeContains,
  rangesOverlap,
  type Span,
} from "./block_range.ts";
import { IpamError } from "./errors.ts";
import type { PoolDomain, PoolRange } from "./port.ts";

/** An address range of a domain, checked. */
export interface DomainRange {
  /** The VRFDomain. */
  readonly domain: PoolDomain;
  /** The prefix. */
  readonly prefix: BlockRange;
  /** Length of a block, in bits. */
  readonly blockLength: number;
  /** Prefix length of a pod's address on its interface. */
  readonly addressLength: number;
}

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
 * The address ranges of a domain, IPv4 first, each checked against its block length.
 *
 * @throws {IpamError} `InvalidDomain` if there is none, two are of one family, a prefix is none, or no block of the length fits
 */
export function domainRanges(domain: PoolDomain): readonly DomainRange[] {
  const ranges = domain.ranges.map((range) => domainRange(domain, range))
    .sort((a, b) => compareSpans(a.prefix, b.prefix));
  const families = new Set(ranges.map(({ prefix }) => prefix.family));
  if (ranges.length > 0 && families.size === ranges.length) return ranges;
  throw new IpamError(
    "InvalidDomain",
    `Expected one prefix of each IP version at most, and at least one, for the VRFDomain "${domain.name}", ` +
      `found "${domain.ranges.map(({ prefix }) => prefix).join(", ")}"; correct its spec`,
  );
}

function domainRange(domain: PoolDomain, range: PoolRange): DomainRange {
  let prefix: BlockRange;
  try {
    prefix = parseRange(range.prefix);
  } catch (cause) {
    throw new IpamError(
      "InvalidDomain",
      `Expected a prefix for the VRFDomain "${domain.name}", found "${range.prefix}"; correct its spec`,
      { cause },
    );
  }
  const { blockLength, addressLength } = range;
  const longest = longestBlock[prefix.family];
  if (!Number.isInteger(blockLength) || blockLength < prefix.length || blockLength > longest) {
    throw new IpamError(
      "InvalidDomain",
      `Expected a block length between ${prefix.length} and ${longest} in "${prefix.cidr}" of the VRFDomain ` +
        `"${domain.name}", found "${blockLength}"; correct its spec`,
    );
  }
  return { domain, prefix, blockLength, addressLength };
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
  const { prefix, blockLength } = query;
  const { family } = prefix;
  const size = 1n << BigInt(ADDRESS_BITS[family] - blockLength);
  const slots = 1n << BigInt(blockLength - prefix.length);
  const start = BigInt(query.start) % slots;
  for (const [from, to] of [[start, slots], [0n, start]] as const) {
    for (let slot = from; slot < to;) {
      const range = rangeAt({ family, value: prefix.first + slot * size }, blockLength);
      const hit = spanAt(taken, range);
      if (hit === undefined) {
        if (rangeContains(prefix, range)) yield range;
        slot++;
      } else {
        slot = (hit.last - prefix.first) / size + 1n;
      }
    }
  }
}

/** Sorted spans without overlaps, limited to those that touch the prefix. */
function merge(spans: Iterable<Span>, prefix: Span): Span[] {
  const sorted = [...spans].filter((span) => rangesOverlap(span, prefix)).sort(compareSpans);
  const merged: { family: Span["family"]; first: bigint; last: bigint }[] = [];
  for (const { family, first, last } of sorted) {
    const tail = merged.at(-1);
    if (tail === undefined || first > tail.last + 1n) merged.push({ family, first, last });
    else if (last > tail.last) tail.last = last;
  }
  return merged;
}

/** The last of the sorted spans that the range touches. */
function spanAt(spans: readonly Span[], range: Span): Span | undefined {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const span = spans[middle];
    if (span !== undefined && span.first <= range.last) low = middle + 1;
    else high = middle;
  }
  const span = spans[low - 1];
  return span !== undefined && span.last >= range.first ? span : undefined;
}
