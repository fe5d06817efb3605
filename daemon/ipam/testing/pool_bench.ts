/** A node's pool on a fake API, for the pool's tests. */
import { createLogger } from "../../log.ts";
import { createAddressPool } from "../address_pool.ts";
import { type AttachmentStore, openJournal } from "../journal.ts";
import type {
  Allocation,
  Attachment,
  AttachmentOwner,
  AttachmentWish,
  NodeAddressPool,
  PoolDomain,
  StandingInterface,
} from "../port.ts";
import { drive, FakeBlockApi, FakeBlockCache, settle } from "./fake_blocks.ts";
import { ManualClock } from "../../testing/manual_clock.ts";

/** A domain of four blocks. */
export const blue: PoolDomain = {
  name: "blue",
  vrf: 200,
  ranges: [{ prefix: "10.150.0.0/24", blockLength: 26, addressLength: 26 }],
};
/** A domain of two blocks of five pods each. */
export const tiny: PoolDomain = {
  ...blue,
  ranges: [{ prefix: "10.150.0.0/28", blockLength: 29, addressLength: 29 }],
};
/** A domain with both IP versions. */
export const dual: PoolDomain = {
  ...blue,
  ranges: [...blue.ranges, { prefix: "fd00:150::/48", blockLength: 64, addressLength: 64 }],
};
/** A signal that never aborts. */
export const never: AbortSignal = new AbortController().signal;

/** A row with its first address at hand. */
export interface Reserved extends Attachment, Allocation {}

/** The nth container of a test. */
export function ownerOf(index: number | string): AttachmentOwner & { readonly netnsPath: string } {
  const id = `c${index}`;
  return {
    network: "n",
    containerId: id,
    ifname: "eth0",
    namespace: "default",
    pod: id,
    podUid: `uid-${index}`,
    netnsPath: "/x",
  };
}

/** One node on an API. */
export class Bench implements Disposable {
  /** The server. */
  readonly api: FakeBlockApi;
  /** The node's time. */
  readonly clock: ManualClock = new ManualClock();
  /** The node's copy of the blocks. */
  readonly cache: FakeBlockCache;
  /** The node's journal. */
  readonly journal: AttachmentStore;
  /** The node's name. */
  readonly node: string;
  /** Lines of the log. */
  readonly lines: string[] = [];
  /** By how many milliseconds longer changes are gathered. */
  turn: () => number = () => 0;
  /** What stands in the kernel. */
  standing: () => readonly StandingInterface[] = () => [];
  /** The pool of the process that runs. */
  pool: NodeAddressPool;
  #process = new AbortController();

  /** Starts a node, on an API of its own unless one is given. */
  constructor(options: { api?: FakeBlockApi; node?: string; synced?: boolean } = {}) {
    this.api = options.api ?? new FakeBlockApi();
    this.cache = new FakeBlockCache(this.api);
    if (options.synced !== false) this.cache.deliver();
    this.journal = openJournal(":memory:").journal;
    this.node = options.node ?? "node-a";
    this.pool = this.restart();
  }

  /** Ends the process and starts another on the same journal. */
  restart(): NodeAddressPool {
    this.#process.abort();
    this.#process = new AbortController();
    this.pool = createAddressPool({
      nodeName: this.node,
      journal: this.journal,
      blocks: { client: this.api.client(this.node).client, cache: this.cache },
      log: createLogger("debug", (line) => this.lines.push(line)),
      standing: (_vrf, known) => this.standing().filter(({ hostIfname }) => !known(hostIfname)),
      domainOf: () => "blue",
      clock: this.clock,
      random: () => 0,
      debounceMs: 1000,
      turn: () => this.turn(),
      signal: this.#process.signal,
    });
    return this.pool;
  }

  /** Ends the process and starts another without its journal, as after a reboot. */
  loseJournal(): NodeAddressPool {
    this.#process.abort();
    for (const row of this.journal.list()) this.journal.delete(row);
    for (const { name } of this.journal.blocks()) this.journal.deleteBlock(name);
    return this.restart();
  }

  /** Reserves for the nth container. */
  async reserve(
    index: number | string,
    domain: PoolDomain = blue,
    wish?: AttachmentWish,
  ): Promise<Reserved> {
    const row = await drive(this.clock, this.pool.reserve(domain, ownerOf(index), never, wish));
    const [first] = row.allocations;
    if (first === undefined) throw new Error(`Expected an address for "${index}", found none`);
    return { ...row, ...first };
  }

  /** Writes all statuses. */
  flush(): Promise<void> {
    return drive(this.clock, this.pool.flush(never));
  }

  /** Cache events, and what follows from them. */
  async deliver(): Promise<void> {
    this.cache.deliver();
    this.clock.advance(100);
    await settle();
  }

  /** Codes of the pool's problems. */
  codes(): string[] {
    return this.pool.problems().map(({ code }) => code);
  }

  /** What the API has of a block's status, and of its conditions type, status and reason. */
  told(name: string): { readonly status: unknown; readonly conditions: readonly string[] } {
    const { conditions = [], ...status } = this.api.object(name)?.status ?? {};
    return {
      status,
      conditions: conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`),
    };
  }

  /** Ends the process. */
  [Symbol.dispose](): void {
    this.#process.abort();
    this.journal[Symbol.dispose]();
  }
}
