/** Writes the status of this node's IPBlocks behind the allocations: coalesced, one write per block at a time. */
import { messageOf } from "../../lib/errors.ts";
import { type Backoff, createBackoff } from "../kube/backoff.ts";
import { isKubeError } from "../kube/kube_error.ts";
import type { ResourceClient } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import type { BlockStatus } from "./allocator.ts";
import type { Clock } from "./clock.ts";
import { IpamError } from "./errors.ts";

/** What a status writer needs. */
export interface StatusWriterOptions {
  /** Requests on IPBlocks. */
  readonly client: ResourceClient<IPBlock>;
  /** The truth about a block; undefined when this node no longer holds it. */
  readonly desired: (name: string) => BlockStatus | undefined;
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
  /** Ends all writing. */
  readonly signal: AbortSignal;
}

/** Writes statuses behind. */
export interface StatusWriter {
  /** Notes that a block's status has changed. */
  touch(name: string): void;
  /** Notes what the server holds for a block, as an answer just told. */
  observe(object: IPBlock): void;
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
}

interface Entry {
  dirty: boolean;
  known: Known | undefined;
  running: Promise<void> | undefined;
  readonly backoff: Backoff;
  /** Ends the wait before the next write. */
  hurry: AbortController | undefined;
}

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
      entry = { dirty: false, known: undefined, running: undefined, backoff, hurry: undefined };
      entries.set(name, entry);
    }
    return entry;
  };

  const wait = async (entry: Entry, ms: number) => {
    entry.hurry = new AbortController();
    await options.clock.delay(ms, entry.hurry.signal);
    entry.hurry = undefined;
  };

  const run = async (name: string, entry: Entry) => {
    let delay = options.debounceMs;
    while (entry.dirty && !options.signal.aborted) {
      await wait(entry, delay);
      if (options.signal.aborted) return;
      entry.dirty = false;
      try {
        await writeStatus(name, entry, options);
        entry.backoff.reset();
        delay = options.debounceMs;
      } catch (error) {
        entry.dirty = true;
        entry.known = undefined;
        delay = entry.backoff.next();
        options.log.warn("Could not write the status of an IPBlock, trying again", {
          block: name,
          error: messageOf(error),
        });
      }
    }
  };

  const start = (name: string, entry: Entry) => {
    entry.dirty = true;
    if (entry.running !== undefined || options.signal.aborted) return;
    entry.running = run(name, entry).finally(() => entry.running = undefined);
  };

  return {
    touch: (name) => start(name, entryOf(name)),
    observe: (object) => {
      entryOf(object.metadata.name).known = knownOf(object);
    },
    differs: (object) => {
      const name = object.metadata.name;
      const entry = entries.get(name);
      if (entry?.running !== undefined) return false;
      if (object.metadata.resourceVersion === entry?.known?.resourceVersion) return false;
      const desired = options.desired(name);
      return desired !== undefined && patchOf(desired, object.status) !== undefined;
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
  if (entry.known === undefined) {
    const object = await options.client.get(name, options.signal);
    if (object === undefined || !options.owns(object)) return options.lost(name);
    entry.known = knownOf(object);
  }
  // Read after the last wait, so that the newest truth is written.
  const desired = options.desired(name);
  const status = desired && patchOf(desired, entry.known.status);
  if (status === undefined) return;
  const { resourceVersion } = entry.known;
  // The resourceVersion keeps a write that was delayed on its way from undoing a later one.
  const patch = {
    ...(resourceVersion === undefined ? {} : { metadata: { resourceVersion } }),
    status,
  };
  try {
    entry.known = knownOf(await options.client.patchStatus(name, patch, options.signal));
  } catch (error) {
    if (!isKubeError(error, "NotFound")) throw error;
    entry.known = undefined;
    options.lost(name);
  }
}

function knownOf(object: IPBlock): Known {
  return { resourceVersion: object.metadata.resourceVersion, status: object.status };
}

/** The merge patch that turns what the server holds into the truth; undefined when it is the truth already. */
function patchOf(desired: BlockStatus, found: IPBlock["status"]): unknown {
  const allocations: Record<string, string | null> = {};
  for (const [address, reference] of Object.entries(desired.allocations)) {
    if (found?.allocations?.[address] !== reference) allocations[address] = reference;
  }
  for (const address of Object.keys(found?.allocations ?? {})) {
    if (!(address in desired.allocations)) allocations[address] = null;
  }
  const same = Object.keys(allocations).length === 0 &&
    found?.allocated === desired.allocated && found?.capacity === desired.capacity;
  if (same) return undefined;
  return { allocated: desired.allocated, capacity: desired.capacity, allocations };
}

function flushAborted(blocks: number): IpamError {
  return new IpamError(
    "FlushAborted",
    `Expected to write the status of all IPBlocks, but "${blocks}" were not written in time; ` +
      "the next start writes them",
  );
}
