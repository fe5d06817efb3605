/** What leader election must do on any Kubernetes API. */
import assert from "node:assert/strict";
import { createLogger } from "../../log.ts";
import { type Lease, leaseKind } from "../../resources/core.ts";
import { KubeError } from "../kube_error.ts";
import { type LeaderElection, startLeaderElection } from "../leader_election.ts";
import type { ResourceClient } from "../port.ts";
import { createResourceClient } from "../resource_client.ts";
import { ManualClock } from "../../testing/manual_clock.ts";
import type { ClientCase, ClientCaseApi } from "./case_api.ts";
import { eventually } from "./eventually.ts";

const timing = { leaseDurationMs: 2_000, renewDeadlineMs: 1_500, retryPeriodMs: 20 };
const dayMs = 24 * 3_600_000;

/** How far time goes on at once, in milliseconds. */
const stepMs = timing.retryPeriodMs;

interface Candidate {
  readonly election: LeaderElection;
  /** Cuts its requests off, as those of a killed process are. */
  cut(): void;
  /** Ends the candidature; resolves when it has ended. */
  stop(): Promise<void>;
}

/** Candidates for one lease, and who of them works as the leader. */
class Contest {
  /** Who leads now. */
  leading: readonly string[] = [];
  /** Most that ever led at a time. */
  together = 0;
  readonly leases: ResourceClient<Lease>;
  readonly key: string;
  /** Time of the candidates: it stands while one of them waits for an answer, however long this machine or the server takes. */
  readonly clock: ManualClock = new ManualClock();
  #requests = 0;

  constructor(api: ClientCaseApi, name: string) {
    this.leases = createResourceClient(api.connection, leaseKind);
    this.key = `kube-system/${name}`;
  }

  stand(identity: string, aheadMs = 0): Candidate {
    const stop = new AbortController();
    const way = severable(withClock(this.#counted(this.leases), aheadMs));
    const election = startLeaderElection({
      leases: way.client,
      key: this.key,
      identity,
      lead: async (signal) => {
        this.leading = [...this.leading, identity];
        this.together = Math.max(this.together, this.leading.length);
        await this.clock.delay(Infinity, signal);
        this.leading = this.leading.filter((name) => name !== identity);
      },
      log: createLogger("error", () => {}),
      signal: stop.signal,
      timing,
      clock: {
        now: () => this.clock.now(),
        wait: async (ms, signal = stop.signal) => {
          await this.clock.delay(ms, signal);
          signal.throwIfAborted();
        },
      },
    });
    return {
      election,
      cut: way.cut,
      stop: () => {
        stop.abort(new Error("stopped"));
        return election.stopped;
      },
    };
  }

  untilLeads(identity: string): Promise<void> {
    return this.until(`"${identity}" leads`, () => this.leading.includes(identity));
  }

  /** Lets time go on until something holds. */
  until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    return eventually(what, async () => {
      if (await holds()) return true;
      if (this.#requests === 0) this.clock.advance(stepMs);
      return false;
    });
  }

  #counted(client: ResourceClient<Lease>): ResourceClient<Lease> {
    const count = async <R>(request: Promise<R>): Promise<R> => {
      this.#requests++;
      try {
        return await request;
      } finally {
        this.#requests--;
      }
    };
    return {
      ...client,
      get: (...given) => count(client.get(...given)),
      create: (...given) => count(client.create(...given)),
      patch: (...given) => count(client.patch(...given)),
    };
  }
}

/** A client whose requests can be cut off. */
function severable(client: ResourceClient<Lease>): { client: ResourceClient<Lease>; cut(): void } {
  let alive = true;
  const guard = <R>(run: () => Promise<R>): Promise<R> =>
    alive ? run() : Promise.reject(new KubeError("Unavailable", "Cut off"));
  return {
    client: {
      ...client,
      get: (...given) => guard(() => client.get(...given)),
      create: (...given) => guard(() => client.create(...given)),
      patch: (...given) => guard(() => client.patch(...given)),
    },
    cut: () => {
      alive = false;
    },
  };
}

/** A client of a machine whose clock is ahead, or behind. */
function withClock(client: ResourceClient<Lease>, aheadMs: number): ResourceClient<Lease> {
  const shifted = (time: string) =>
    new Date(Date.parse(time) + aheadMs).toISOString().replace("Z", "000Z");
  const shift = <T>(object: T): T =>
    JSON.parse(
      JSON.stringify(object, (key, value) => key.endsWith("Time") ? shifted(value) : value),
    );
  return {
    ...client,
    create: (object, signal) => client.create(shift(object), signal),
    patch: (key, patch, signal) => client.patch(key, shift(patch), signal),
  };
}

/** All of them. */
export const electionCases: readonly ClientCase[] = [
  {
    name: "one candidate leads at a time, and another follows one that is cut off or steps down",
    run: async (api) => {
      const contest = new Contest(api, "test");
      const a = contest.stand("a");
      await contest.untilLeads("a");
      const b = contest.stand("b");
      await contest.until("b knows", () => b.election.leader === "a");
      assert.equal(b.election.leading, false);
      a.cut();
      await contest.untilLeads("b");
      assert.equal(a.election.leading, false);
      const c = contest.stand("c");
      await contest.until("c knows", () => c.election.leader === "b");
      await b.stop();
      assert.deepEqual(contest.leading.filter((name) => name === "b"), []);
      await contest.untilLeads("c");
      const lease = await contest.leases.get(contest.key);
      assert.equal(lease?.spec?.holderIdentity, "c");
      assert.match(lease?.spec?.renewTime ?? "", /\.\d{6}Z$/);
      assert.equal(lease?.spec?.leaseTransitions, 2);
      await Promise.all([a.stop(), c.stop()]);
      assert.equal((await contest.leases.get(contest.key))?.spec?.holderIdentity, "");
      assert.equal(contest.together, 1);
    },
  },
  {
    name: "clocks that are days apart neither unseat a leader nor keep a dead one in office",
    run: async (api) => {
      for (const [early, late] of [[-dayMs, dayMs], [dayMs, -dayMs]] as const) {
        const contest = new Contest(api, `clocks-${early < 0 ? "behind" : "ahead"}`);
        const a = contest.stand("a", early);
        await contest.untilLeads("a");
        const b = contest.stand("b", late);
        let renewals = 0;
        let last: string | null | undefined;
        // Long enough for a lease to expire that is not renewed.
        const lifetime = contest.clock.now() + 1.5 * timing.leaseDurationMs;
        await contest.until("the leader to renew", async () => {
          const { renewTime } = (await contest.leases.get(contest.key))?.spec ?? {};
          if (renewTime !== last) renewals += 1;
          last = renewTime;
          return renewals > 10 && contest.clock.now() > lifetime;
        });
        assert.deepEqual(contest.leading, ["a"]);
        assert.equal(b.election.leader, "a");
        a.cut();
        await contest.untilLeads("b");
        assert.equal(contest.together, 1);
        await Promise.all([a.stop(), b.stop()]);
      }
    },
  },
];
