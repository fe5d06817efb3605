import { isDeepStrictEqual } from "node:util";
import { messageOf } from "../../lib/errors.ts";
import { createBackoff } from "../kube/backoff.ts";
import { isKubeError } from "../kube/kube_error.ts";
import type { ResourceClient } from "../kube/port.ts";
import { wait } from "../kube/wait.ts";
import type { Logger } from "../log.ts";
import { type Condition, setCondition } from "../resources/conditions.ts";
import type {
  NodeCniConfig,
  NodeDomainState,
  VRFNodeState,
  VRFNodeStateStatus,
} from "../resources/vrf_node_state.ts";

/** What the writer works with. */
export interface NodeStateWriterOptions {
  /** Client of the resource VRFNodeState. */
  readonly client: ResourceClient<VRFNodeState>;
  /** This node's name, which is also its VRFNodeState's. */
  readonly nodeName: string;
  /** For what fails. */
  readonly log: Logger;
  /** Ends the writer. */
  readonly signal: AbortSignal;
  /** Least time between two writes of published statuses, in milliseconds; 1000 when absent. */
  readonly intervalMs?: number;
  /** Milliseconds to wait before a published status is written, since all nodes may write at once; none when absent. */
  readonly turn?: () => number;
  /** First and longest delay after a failed write, in milliseconds. */
  readonly retry?: { readonly baseMs: number; readonly maxMs: number };
}

/** What the state says beside the outcome of the reconciler's runs. */
export interface NodeStateAmendment {
  /** The CNIConfig that the runtime reads. */
  readonly cniConfig?: NodeCniConfig | undefined;
  /** Conditions of types that the reconciler does not set. */
  readonly conditions: readonly Omit<Condition, "lastTransitionTime">[];
}

/** Writes this node's VRFNodeState, which nobody else writes. */
export interface NodeStateWriter {
  /**
   * Makes `status` the one to write. Written behind, coalesced, and only when it differs from what is on the server.
   */
  publish(status: VRFNodeStateStatus): void;
  /**
   * Sets what the status says in addition, with the next write. Until the first call the server's own stays, so that a restart
   * does not look like a change.
   */
  amend(amendment: NodeStateAmendment): void;
  /**
   * Lists domains on the server before the kernel is touched for them: their finalizer stays for as long as a node lists
   * them. Domains listed so far stay listed; {@linkcode publish} alone takes them away. At once when they are listed
   * already, so that a node goes on with what it carries while the API is away.
   *
   * @param domains The domains to list
   * @param signal Aborts
   * @returns The names that are listed on the server; a failure leaves out those that could not be listed
   */
  announce(domains: readonly NodeDomainState[], signal: AbortSignal): Promise<ReadonlySet<string>>;
  /** The status that was written or read last. */
  readonly written: VRFNodeStateStatus | undefined;
  /**
   * Writes what is published and not yet written; resolves also when that fails.
   *
   * @param signal Aborts; the writer's own when absent
   */
  flush(signal?: AbortSignal): Promise<void>;
  /** Resolves once the signal has aborted and no write is under way. */
  readonly stopped: Promise<void>;
}

const emptyStatus: VRFNodeStateStatus = {
  ready: false,
  domains: [],
  policies: [],
  domainsReady: 0,
  peers: [],
  peersUp: 0,
  vnis: [],
  blocks: 0,
  conditions: [],
};

/** Makes the writer. Nothing is sent before the first `publish` or `announce`. */
export function createNodeStateWriter(options: NodeStateWriterOptions): NodeStateWriter {
  return new Writer(options);
}

class Writer implements NodeStateWriter {
  readonly stopped: Promise<void>;
  readonly #options: NodeStateWriterOptions;
  #written: VRFNodeStateStatus | undefined;
  /** Domains that are on the server for certain. */
  #listed: readonly NodeDomainState[] = [];
  #published: VRFNodeStateStatus | undefined;
  #amendment: NodeStateAmendment | undefined;
  #wake = Promise.withResolvers<void>();
  /** Writes follow one another: an announcement must not be undone by an older status that is still under way. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: NodeStateWriterOptions) {
    this.#options = options;
    this.stopped = this.#writeBehind();
  }

  get written(): VRFNodeStateStatus | undefined {
    return this.#written;
  }

  publish(status: VRFNodeStateStatus): void {
    this.#published = status;
    this.#wake.resolve();
  }

  amend(amendment: NodeStateAmendment): void {
    this.#amendment = amendment;
    this.#wake.resolve();
  }

  async announce(
    domains: readonly NodeDomainState[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<string>> {
    if (this.#published !== undefined) {
      this.#published = withDomains(this.#published, this.#missing(this.#published, domains));
    }
    if (this.#unlisted(domains).length > 0) {
      try {
        await this.#exclusive(async () => {
          const base = this.#written ?? await this.#read(signal);
          const missing = this.#missing(base, domains);
          if (missing.length > 0) await this.#write(withDomains(base, missing), signal);
        });
      } catch (error) {
        signal.throwIfAborted();
        this.#options.log.warn("Domains could not be announced", {
          error: messageOf(error),
          domains: this.#unlisted(domains).map(({ name }) => name),
        });
      }
    }
    const unlisted = new Set(this.#unlisted(domains));
    return new Set(domains.filter((domain) => !unlisted.has(domain)).map(({ name }) => name));
  }

  async flush(signal: AbortSignal = this.#options.signal): Promise<void> {
    await this.#exclusive(() => this.#writePublished(signal)).catch(() => {});
  }

  #missing(
    status: VRFNodeStateStatus,
    domains: readonly NodeDomainState[],
  ): readonly NodeDomainState[] {
    return domains.filter((domain) => !status.domains.some(sameObject(domain)));
  }

  #unlisted(domains: readonly NodeDomainState[]): readonly NodeDomainState[] {
    return domains.filter((domain) => !this.#listed.some(sameObject(domain)));
  }

  async #writeBehind(): Promise<void> {
    const { signal, log, intervalMs = 1000, turn = () => 0, retry } = this.#options;
    const backoff = createBackoff(retry ?? { baseMs: 500, maxMs: 30_000 });
    const aborted = Promise.withResolvers<void>();
    if (signal.aborted) return;
    signal.addEventListener("abort", () => aborted.resolve(), { once: true });
    while (!signal.aborted) {
      await Promise.race([this.#wake.promise, aborted.promise]);
      if (signal.aborted) break;
      await wait(turn(), signal).catch(() => {});
      if (signal.aborted) break;
      this.#wake = Promise.withResolvers();
      let delay = intervalMs;
      try {
        await this.#exclusive(() => this.#writePublished(signal));
        backoff.reset();
      } catch (error) {
        if (signal.aborted) break;
        if (backoff.failures === 0) {
          log.warn("The node's state could not be written", { error: messageOf(error) });
        }
        delay = backoff.next();
        this.#wake.resolve();
      }
      await wait(delay, signal).catch(() => {});
    }
    await this.#last.catch(() => {});
  }

  async #writePublished(signal: AbortSignal): Promise<void> {
    if (this.#published === undefined) return;
    const before = this.#written ?? await this.#read(signal);
    const status = amended(this.#published, this.#amendment, before, new Date());
    if (!isDeepStrictEqual(plain(status), plain(this.#written))) await this.#write(status, signal);
  }

  async #read(signal: AbortSignal): Promise<VRFNodeStateStatus> {
    const found = await this.#options.client.get(this.#options.nodeName, signal);
    this.#written = found?.status ?? emptyStatus;
    this.#listed = this.#written.domains;
    return this.#written;
  }

  async #write(status: VRFNodeStateStatus, signal: AbortSignal): Promise<void> {
    const { client, nodeName } = this.#options;
    // Until the server has answered it is not known what is there, but for the domains that stay either way.
    this.#written = undefined;
    this.#listed = this.#listed.filter((domain) => status.domains.some(sameObject(domain)));
    try {
      await client.patchStatus(nodeName, { status: patchOf(status) }, signal);
    } catch (thrown) {
      if (!isKubeError(thrown, "NotFound")) throw thrown;
      await client.create({ metadata: { name: nodeName } }, signal).catch((error) => {
        if (!isKubeError(error, "AlreadyExists")) throw error;
      });
      await client.patchStatus(nodeName, { status }, signal);
    }
    this.#written = status;
    this.#listed = status.domains;
  }

  #exclusive<R>(run: () => Promise<R>): Promise<R> {
    const mine = this.#last.then(run, run);
    this.#last = mine.catch(() => {});
    return mine;
  }
}

function sameObject(domain: NodeDomainState): (other: NodeDomainState) => boolean {
  return (other) => other.name === domain.name && other.uid === domain.uid;
}

function withDomains(
  status: VRFNodeStateStatus,
  added: readonly NodeDomainState[],
): VRFNodeStateStatus {
  if (added.length === 0) return status;
  const names = new Set(added.map(({ name }) => name));
  const kept = status.domains.filter(({ name }) => !names.has(name));
  return { ...status, domains: [...kept, ...added].toSorted(byName) };
}

function byName(a: NodeDomainState, b: NodeDomainState): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function amended(
  status: VRFNodeStateStatus,
  amendment: NodeStateAmendment | undefined,
  before: VRFNodeStateStatus,
  now: Date,
): VRFNodeStateStatus {
  const others = before.conditions.filter(({ type }) =>
    !status.conditions.some((condition) => condition.type === type)
  );
  if (amendment === undefined) {
    const conditions = [...status.conditions, ...others];
    return { ...status, cniConfig: before.cniConfig, conditions };
  }
  const added = amendment.conditions.flatMap((condition) =>
    setCondition(others, condition, now).filter(({ type }) => type === condition.type)
  );
  return {
    ...status,
    cniConfig: amendment.cniConfig,
    conditions: [...status.conditions, ...added],
  };
}

/** In a merge patch only null takes a field away (RFC 7396). */
function patchOf(status: VRFNodeStateStatus): unknown {
  return { ...status, cniConfig: status.cniConfig ?? null };
}

/** As it is on the wire: without fields that are undefined. */
function plain(status: VRFNodeStateStatus | undefined): unknown {
  return status === undefined ? undefined : JSON.parse(JSON.stringify(status));
}
