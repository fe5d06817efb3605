import { messageOf } from "../../lib/errors.ts";
import type { Logger } from "../log.ts";
import type { Lease } from "../resources/core.ts";
import { nextLookMs, roundMs } from "./candidate_pace.ts";
import { isKubeError } from "./kube_error.ts";
import type { ResourceClient } from "./port.ts";
import { splitKey } from "./resource_client.ts";
import { type Wait, wait } from "./wait.ts";

/** What a candidate measures time by. */
export interface ElectionClock {
  /** The present, in milliseconds since any moment; it never goes back. */
  readonly now: () => number;
  /** Waits. */
  readonly wait: Wait;
}

/** Timing of an election, in milliseconds. */
export interface ElectionTiming {
  /** How long a lease holds without being renewed; 15 000 when absent. */
  readonly leaseDurationMs?: number;
  /** How long a leader tries to renew before it steps down; less than the lease's duration; 10 000 when absent. */
  readonly renewDeadlineMs?: number;
  /** Time between two attempts; 2 000 when absent. */
  readonly retryPeriodMs?: number;
}

/** Who stands for what. */
export interface LeaderElectionOptions {
  /** Client of the resource Lease. */
  readonly leases: ResourceClient<Lease>;
  /** `namespace/name` of the lease. */
  readonly key: string;
  /** Name of this candidate, unique among all processes that ever stand. */
  readonly identity: string;
  /** What the leader does, until its signal aborts. It must end soon then: another leader may follow. */
  readonly lead: (signal: AbortSignal) => Promise<void>;
  /** For changes of the leader. */
  readonly log: Logger;
  /** Ends the candidature. */
  readonly signal: AbortSignal;
  /** How many stand for the office, as far as is known; they look ever more seldom the more they are. One when absent. */
  readonly candidates?: () => number;
  /** Timing. */
  readonly timing?: ElectionTiming;
  /** The machine's own clock when absent; a test moves its own. */
  readonly clock?: ElectionClock;
}

const machineClock: ElectionClock = { now: () => performance.now(), wait };

/** A candidature. */
export interface LeaderElection {
  /** Whether this candidate leads. */
  readonly leading: boolean;
  /** Who led when it was looked at last; undefined while unknown. */
  readonly leader: string | undefined;
  /** Resolves once the signal has aborted, `lead` has ended and the lease is given back. */
  readonly stopped: Promise<void>;
}

/**
 * Stands for election over a Lease of coordination.k8s.io/v1.
 *
 * A lease is taken over when it has not changed for its duration, measured by the candidate's own clock from when it saw
 * the last change: clocks of different nodes are never compared.
 */
export function startLeaderElection(options: LeaderElectionOptions): LeaderElection {
  return new Candidate(options);
}

class Candidate implements LeaderElection {
  readonly stopped: Promise<void>;
  readonly #options: LeaderElectionOptions;
  readonly #clock: ElectionClock;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  #leading = false;
  #lease: Lease | undefined;
  /** When the lease was seen to change last, by the candidate's clock. */
  #changedAt = 0;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? machineClock;
    this.#leaseDurationMs = options.timing?.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.timing?.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.timing?.retryPeriodMs ?? 2_000;
    this.stopped = this.#stand();
  }

  get leading(): boolean {
    return this.#leading;
  }

  get leader(): string | undefined {
    return this.#lease?.spec?.holderIdentity || undefined;
  }

  async #stand(): Promise<void> {
    const { signal, log, key } = this.#options;
    let quiet = false;
    // Where many begin at once, not all ask at once.
    const round = roundMs(this.#options.candidates?.() ?? 1);
    await this.#clock.wait(Math.max(0, round - this.#retryPeriodMs) * Math.random(), signal).catch(
      () => {},
    );
    while (!signal.aborted) {
      try {
        const asked = this.#clock.now();
        if (await this.#acquire(signal)) await this.#lead(asked);
        quiet = false;
      } catch (error) {
        if (signal.aborted) break;
        if (!quiet) log.warn("The lease cannot be read or taken", { key, error: messageOf(error) });
        quiet = true;
      }
      await this.#clock.wait(this.#pause(), signal).catch(() => {});
    }
  }

  /** Milliseconds until the next look. */
  #pause(): number {
    const { candidates, identity } = this.#options;
    const { holderIdentity, renewTime } = this.#lease?.spec ?? {};
    const led = Boolean(holderIdentity) && holderIdentity !== identity;
    return nextLookMs({
      candidates: candidates?.() ?? 1,
      retryPeriodMs: this.#retryPeriodMs,
      leaseDurationMs: this.#leaseDurationMs,
      changedAgoMs: this.#clock.now() - this.#changedAt,
      renewedAgoMs: led ? Date.now() - Date.parse(renewTime ?? "") : undefined,
      random: Math.random(),
    });
  }

  /** Leads until the lease is lost, the work ends, or the signal aborts. */
  async #lead(acquiredAt: number): Promise<void> {
    const { signal, log, key, identity, lead } = this.#options;
    const term = new AbortController();
    const abort = () => term.abort(signal.reason);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    this.#leading = true;
    log.info("This node leads", { key, identity });
    try {
      const work = Promise.resolve().then(() => lead(term.signal)).catch((error) => {
        if (!term.signal.aborted) {
          log.error("The leader's work failed", { error: messageOf(error) });
        }
      }).finally(() => term.abort(new Error("The leader's work has ended")));
      await this.#keepRenewing(acquiredAt, term);
      await work;
    } finally {
      this.#leading = false;
      signal.removeEventListener("abort", abort);
      log.info("This node no longer leads", { key, identity });
    }
    await this.#release();
  }

  async #keepRenewing(acquiredAt: number, term: AbortController): Promise<void> {
    let renewedAt = acquiredAt;
    while (!term.signal.aborted) {
      await this.#clock.wait(this.#retryPeriodMs, term.signal).catch(() => {});
      if (term.signal.aborted) return;
      const asked = this.#clock.now();
      const left = renewedAt + this.#renewDeadlineMs - asked;
      const attempt = new AbortController();
      const abort = () => attempt.abort(term.signal.reason);
      const answered = new AbortController();
      this.#clock.wait(Math.max(0, left), answered.signal).then(
        () => attempt.abort(new Error("The lease could not be renewed in time")),
        () => {},
      );
      term.signal.addEventListener("abort", abort);
      try {
        if (await this.#acquire(attempt.signal)) renewedAt = asked;
        else term.abort(new Error("The lease was lost"));
      } catch (error) {
        if (attempt.signal.aborted || left <= 0) term.abort(error);
      } finally {
        answered.abort();
        term.signal.removeEventListener("abort", abort);
      }
    }
  }

  /** Takes or renews the lease where that is allowed; false where another candidate holds it. */
  async #acquire(signal: AbortSignal): Promise<boolean> {
    const { leases, key, identity } = this.#options;
    const found = await leases.get(key, signal);
    this.#observe(found);
    const now = microTime(new Date());
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.max(1, Math.round(this.#leaseDurationMs / 1000)),
      renewTime: now,
    };
    try {
      if (found === undefined) {
        const created = { ...spec, acquireTime: now, leaseTransitions: 0 };
        const { name, namespace } = splitKey(key);
        this.#observe(
          await leases.create({ metadata: { name, namespace }, spec: created }, signal),
        );
        return true;
      }
      const holder = found.spec?.holderIdentity ?? "";
      const mine = holder === identity;
      const expired = this.#clock.now() - this.#changedAt > this.#leaseDurationMs;
      if (!mine && holder !== "" && !expired) return false;
      const transitions = (found.spec?.leaseTransitions ?? 0) + 1;
      this.#observe(
        await leases.patch(key, {
          metadata: { resourceVersion: found.metadata.resourceVersion },
          spec: mine ? spec : { ...spec, acquireTime: now, leaseTransitions: transitions },
        }, signal),
      );
      return true;
    } catch (thrown) {
      if (isKubeError(thrown, "Conflict", "AlreadyExists")) return false;
      throw thrown;
    }
  }

  #observe(lease: Lease | undefined): void {
    const changed = lease?.metadata.resourceVersion !== this.#lease?.metadata.resourceVersion ||
      lease?.metadata.uid !== this.#lease?.metadata.uid;
    if (changed) this.#changedAt = this.#clock.now();
    this.#lease = lease;
  }

  /** Gives the lease back, so that nobody has to wait for it to expire. */
  async #release(): Promise<void> {
    const { leases, key, identity } = this.#options;
    if (this.leader !== identity) return;
    const signal = AbortSignal.timeout(2_000);
    try {
      if (await this.#giveBack(signal)) return;
      // A renewal that was broken off may have been taken all the same.
      this.#observe(await leases.get(key, signal));
      if (this.leader === identity) await this.#giveBack(signal);
    } catch {
      // It expires.
    }
  }

  /** @returns False where the lease is another than was last seen */
  async #giveBack(signal: AbortSignal): Promise<boolean> {
    const { leases, key } = this.#options;
    try {
      this.#observe(
        await leases.patch(key, {
          metadata: { resourceVersion: this.#lease?.metadata.resourceVersion },
          spec: { holderIdentity: "" },
        }, signal),
      );
      return true;
    } catch (thrown) {
      if (isKubeError(thrown, "Conflict")) return false;
      throw thrown;
    }
  }
}

/** `metav1.MicroTime`: exactly six digits of a second. */
function microTime(time: Date): string {
  return time.toISOString().replace("Z", "000Z");
}
