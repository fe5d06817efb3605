/** Writes the status of this node's IPBlocks behind the allocations: coalesced, one write per block at a time. */
import { isDeepStrictEqual } from "node:util";
import { messageOf } from "../../lib/errors.ts";
import { type Backoff, createBackoff } from "../kube/backoff.ts";
import { isKubeError } from "../kube/kube_error.ts";
import type { ResourceClient } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import { type Condition, setCondition } from "../resources/conditions.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import type { BlockStatus } from "./allocator.ts";
import type { Verdict } from "./block_conditions.ts";
import type { Clock } from "./clock.ts";
import { IpamError } from "./errors.ts";

/** What is to be written about a block. */
export interface BlockTruth extends BlockStatus {
  /** Its conditions; since when each holds is known by what the server has. */
  readonly conditions: readonly Verdict[];
}

/** What a status writer needs. */
export interface StatusWriterOptions {
  /** Requests on IPBlocks. */
  readonly client: ResourceClient<IPBlock>;
  /** The truth about a block; undefined when this node no longer holds it. */
  readonly desired: (name: string) => BlockTruth | undefined;
  /** Whether the object is the one that this node holds. */
  readonly owns: (object: IPBlock) => boolean;
  /** Called when the object is gone or is another's. */
  readonly lost: (name: string) => void;
  /** Where failures go. */
  readonly log: Logger;
  /** For the waits before and between writes. */
  readonly clock: Clock;
  /** For the waits between attempts, from 0 to 1. */
  readonly random: () => number;
  /** How long changes are gathered before they are written, in milliseconds. */
  readonly debounceMs: number;
  /** By how many milliseconds longer, each time anew. */
  readonly turn: () => number;
  /** Ends all writing. */
  readonly signal: AbortSignal;
}

/** Writes statuses behind. */
export interface StatusWriter {
  /** Notes that a block's status has changed. */
  touch(name: string): void;
  /** Writes a block's status without gathering further changes, if it is to be written. */
  hurry(name: string): void;
  /** Notes what the server holds for a block, as an answer just told. */
  observe(object: IPBlock): void;
  /**
   * Notes what the cache has of a block of which nothing is known yet, so that nobody asks the server for it. A version that is behind is
   * no harm: a write over it is refused, and then the server is asked.
   */
  learn(object: IPBlock): void;
  /** Whether the server is known to hold something else than this object of the cache, and nothing is being written. */
  differs(object: IPBlock): boolean;
  /** Forgets what the server holds, so that it is read again, and writes if that is not the truth. */
  recheck(name: string): void;
  /** Forgets a block. */
  forget(name: string): void;
  /**
   * Writes all changes now and waits until the server has them.
   * @throws {IpamError} `FlushAborted` if the signal aborts first
   */
  flush(signal: AbortSignal): Promise<void>;
}

/** What the server holds, as its last answer told. */
interface Known {
  readonly resourceVersion: string | undefined;
  readonly status: IPBlock["status"];
  readonly generation: number | undefined;
}

interface Entry {
  dirty: boolean;
  known: Known | undefined;
  /** Versions that were known before, the latest last: a cache that has one of these is behind, and says nothing. */
  past: readonly string[];
  running: Promise<void> | undefined;
  readonly backoff: Backoff;
  /** Ends the wait before the next write. */
  hurry: AbortController | undefined;
}

/** Versions that are remembered: more than a cache is behind while it is followed. */
const mostPast = 16;

/** Makes a status writer. */
export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  const entries = new Map<string, Entry>();
  options.signal.addEventListener("abort", () => {
    for (const entry of entries.values()) entry.hurry?.abort();
  }, { once: true });

  const entryOf = (name: string): Entry => {
    let entry = entries.get(name);
    if (entry === undefined) {
      const backoff = createBackoff({ baseMs: 500, maxMs: 60_000, random: options.random });
      entry = {
        dirty: false,
        known: undefined,
        past: [],
        running: undefined,
        backoff,
        hurry: undefined,
      };
      entries.set(name, entry);
    }
    return entry;
  };

  const wait = async (entry: Entry, ms: number) => {
    entry.hurry = new AbortController();
    await options.clock.delay(ms, entry.hurry.signal);
    entry.hurry = undefined;
  };

  const attempt = async (name: string, entry: Entry): Promise<number> => {
    entry.dirty = false;
    try {
      await writeStatus(name, entry, options);
      entry.backoff.reset();
      return options.debounceMs + options.turn();
    } catch (error) {
      entry.dirty = true;
      entry.known = undefined;
      if (entry.backoff.failures === 0) {
        options.log.warn("Could not write the status of an IPBlock, trying again", {
          block: name,
          error: messageOf(error),
        });
      }
      return entry.backoff.next();
    }
  };

  const run = async (name: string, entry: Entry) => {
    let delay = options.debounceMs + options.turn();
    while (entry.dirty && !options.signal.aborted) {
      await wait(entry, delay);
      if (!options.signal.aborted) delay = await attempt(name, entry);
    }
    // In the same turn as the last look at `dirty`: a change that comes later starts another run.
    entry.running = undefined;
  };

  const start = (name: string, entry: Entry) => {
    entry.dirty = true;
    if (entry.running !== undefined || options.signal.aborted) return;
    entry.running = run(name, entry);
  };

  return {
    touch: (name) => start(name, entryOf(name)),
    hurry: (name) => {
      const entry = entries.get(name);
      if (entry !== undefined && entry.backoff.failures === 0) entry.hurry?.abort();
    },
    observe: (object) => remember(entryOf(object.metadata.name), object),
    learn: (object) => {
      const entry = entryOf(object.metadata.name);
      const { resourceVersion } = object.metadata;
      const behind = resourceVersion !== undefined && entry.past.includes(resourceVersion);
      if (entry.known === undefined && !behind) remember(entry, object);
    },
    differs: (object) => {
      const name = object.metadata.name;
      const entry = entries.get(name);
      if (entry?.running !== undefined) return false;
      const { resourceVersion } = object.metadata;
      if (resourceVersion === entry?.known?.resourceVersion) return false;
      if (resourceVersion !== undefined && entry?.past.includes(resourceVersion)) return false;
      const desired = options.desired(name);
      return desired !== undefined &&
        patchOf(desired, knownOf(object), options.clock.now()) !== undefined;
    },
    recheck: (name) => {
      const entry = entryOf(name);
      if (entry.running === undefined) entry.known = undefined;
      start(name, entry);
    },
    forget: (name) => {
      const entry = entries.get(name);
      if (entry === undefined) return;
      entry.dirty = false;
      entry.hurry?.abort();
      entries.delete(name);
    },
    flush: async (signal) => {
      const aborted = Promise.withResolvers<void>();
      const abort = () => aborted.resolve();
      signal.addEventListener("abort", abort, { once: true });
      try {
        for (;;) {
          const busy = [...entries.values()].filter((entry) => entry.running !== undefined);
          if (busy.length === 0) return;
          for (const entry of busy) if (entry.backoff.failures === 0) entry.hurry?.abort();
          if (signal.aborted || options.signal.aborted) throw flushAborted(busy.length);
          await Promise.race([Promise.all(busy.map((entry) => entry.running)), aborted.promise]);
        }
      } finally {
        signal.removeEventListener("abort", abort);
      }
    },
  };
}

async function writeStatus(
  name: string,
  entry: Entry,
  options: StatusWriterOptions,
): Promise<void> {
  if (options.desired(name) === undefined) return;
  let { known } = entry;
  if (known === undefined) {
    const object = await options.client.get(name, options.signal);
    if (object === undefined || !options.owns(object)) return options.lost(name);
    known = remember(entry, object);
  }
  // Read after the last wait, so that the newest truth is written.
  const desired = options.desired(name);
  const status = desired && patchOf(desired, known, options.clock.now());
  if (status === undefined) return;
  const { resourceVersion } = known;
  // The resourceVersion keeps a write that was delayed on its way from undoing a later one.
  const patch = {
    ...(resourceVersion === undefined ? {} : { metadata: { resourceVersion } }),
    status,
  };
  try {
    remember(entry, await options.client.patchStatus(name, patch, options.signal));
  } catch (error) {
    if (!isKubeError(error, "NotFound")) throw error;
    entry.known = undefined;
    options.lost(name);
  }
}

function remember(entry: Entry, object: IPBlock): Known {
  const known = knownOf(object);
  const { resourceVersion } = known;
  entry.known = known;
  if (resourceVersion !== undefined && !entry.past.includes(resourceVersion)) {
    entry.past = [...entry.past, resourceVersion].slice(-mostPast);
  }
  return known;
}

function knownOf(object: IPBlock): Known {
  const { resourceVersion, generation } = object.metadata;
  return { resourceVersion, generation, status: object.status };
}

/** The merge patch that turns what the server holds into the truth; undefined when it is the truth already. */
function patchOf(
  desired: BlockTruth,
  { status: found, generation }: Known,
  now: number,
): unknown {
  const allocations: Record<string, string | null> = {};
  for (const [address, reference] of Object.entries(desired.allocations)) {
    if (found?.allocations?.[address] !== reference) allocations[address] = reference;
  }
  for (const address of Object.keys(found?.allocations ?? {})) {
    if (!(address in desired.allocations)) allocations[address] = null;
  }
  const kept = keptPatch(desired.kept ?? {}, found?.kept ?? {});
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  // Our own alone: a condition from before the block was held says nothing of it.
  const before = (found?.conditions ?? []).filter(({ type }) =>
    desired.conditions.some((each) => each.type === type)
  );
  const conditions = desired.conditions.reduce<readonly Condition[]>(
    (set, next) => setCondition(set, { ...next, ...observed }, new Date(now)),
    before,
  );
  const same = Object.keys(allocations).length === 0 && kept === undefined &&
    found?.allocated === desired.allocated && found?.capacity === desired.capacity &&
    isDeepStrictEqual(conditions, found?.conditions ?? []);
  if (same) return undefined;
  const { allocated, capacity } = desired;
  return { allocated, capacity, allocations, conditions, ...kept === undefined ? {} : { kept } };
}

/** The same for the addresses that are kept; a time that is over is taken away, too. */
function keptPatch(
  desired: NonNullable<BlockStatus["kept"]>,
  found: NonNullable<BlockStatus["kept"]>,
): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {};
  for (const [address, kept] of Object.entries(desired)) {
    const there = found[address];
    const same = there !== undefined && there.pod === kept.pod && there.until === kept.until &&
      there.interface === kept.interface && there.seconds === kept.seconds;
    if (!same) patch[address] = { ...kept, until: kept.until ?? null };
  }
  for (const address of Object.keys(found)) if (!(address in desired)) patch[address] = null;
  return Object.keys(patch).length === 0 ? undefined : patch;
}

function flushAborted(blocks: number): IpamError {
  return new IpamError(
    "FlushAborted",
    `Expected to write the status of all IPBlocks, but "${blocks}" were not written in time; ` +
      "the next start writes them",
  );
}
