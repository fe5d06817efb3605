/** Keeps FRR on the node's configuration and waits for what it must have seen. */
import type { FrrClient } from "../../frr/client.ts";
import type { FrrModel } from "../../frr/model.ts";
import type { FrrState } from "../../frr/protocol.ts";
import { CodedError } from "../../lib/errors.ts";
import type { VrfBackend } from "../kernel/port.ts";
import type { Logger } from "../log.ts";

/** FRR answers but has not come to where it should be. */
export class FrrBehindError extends CodedError {
  /**
   * Makes the error.
   *
   * @param message What FRR was expected to show, and what it shows
   */
  constructor(message: string) {
    super("FrrBehind", message);
  }
}

/** How often FRR is asked while something is awaited, in milliseconds, and for how long: a machine without acceleration needs it. */
const pollMs = 150;
const patienceMs = 30_000;
/** Zebra has missed a VRF once it has come to know none of those that it did not know for so long, in milliseconds. */
const missedMs = 3_000;
/** A restart of FRR is noticed by the first run after this, in milliseconds; while peers are down they are looked at sooner. */
const freshMs = 10_000;
const freshWhilePeersDownMs = 900;

/** A VNI of the node's configuration that is not up in FRR. */
export interface VniDown {
  /** Name of the VRF. */
  readonly vrf: string;
  /** VXLAN network identifier. */
  readonly vni: number;
}

/** FRR as the reconciler sees it. */
export interface FrrFollower {
  /**
   * Waits until zebra knows each of these VRFs, or long enough; resolves to the names of those that it does not know. Those are not waited for
   * again, but now and then told again.
   *
   * @param missed Told which VRFs zebra seems to have missed
   * @throws {FrrError} If FRR does not answer
   */
  awaitVrfs(
    vrfs: readonly string[],
    signal: AbortSignal,
    missed: (vrfs: readonly string[]) => void,
  ): Promise<readonly string[]>;
  /**
   * Applies a configuration, unless FRR already has it. Zebra must know each of its VRFs.
   * @throws {FrrError}
   */
  apply(text: string, model: FrrModel, signal: AbortSignal): Promise<void>;
  /** Whether FRR carries the VRF by the last configuration that it took. */
  carries(vrf: string): boolean;
  /** Whether FRR has taken the latest configuration. */
  inStep(): boolean;
  /** Tells that links have changed: FRR's state is then looked at again. */
  expectChange(): void;
  /**
   * Waits until every VNI is up, or long enough; resolves to those that are not.
   * @throws {FrrError} If FRR does not answer
   */
  settle(model: FrrModel, signal: AbortSignal): Promise<readonly VniDown[]>;
  /** Waits until zebra sees no link but lo in these VRFs (netns backend). @throws {FrrBehindError} */
  awaitEmpty(vrfs: readonly string[], backend: VrfBackend, signal: AbortSignal): Promise<void>;
  /** After the VRFs' containers are gone: waits for zebra to see it and lets FRR forget them. */
  forget(vrfs: readonly string[], signal: AbortSignal): Promise<void>;
  /** FRR's daemons as last seen. @throws {FrrError} When FRR does not answer */
  daemons(signal: AbortSignal): Promise<readonly string[]>;
  /** FRR as last seen, undefined while it does not answer. */
  state(): FrrState | undefined;
}

/** Makes a follower of the agent behind `frr`. */
export function createFrrFollower(
  frr: FrrClient,
  log: Logger,
  clock: () => number = Date.now,
): FrrFollower {
  let taken: { text: string; epoch: string; vrfs: ReadonlySet<string> } | undefined;
  let latest: string | undefined;
  let seen: { state: FrrState; at: number } | undefined;
  /** VNIs that have been waited for long enough already. */
  let overdue: ReadonlySet<string> = new Set();
  /** The same of VRFs that zebra does not know, and when those were last told to it again. */
  let unheard: ReadonlySet<string> = new Set();
  let toldAt = -Infinity;

  async function look(signal: AbortSignal): Promise<FrrState> {
    try {
      const state = await frr.state(deadline(signal));
      seen = { state, at: clock() };
      return state;
    } catch (error) {
      signal.throwIfAborted();
      seen = undefined;
      throw error;
    }
  }

  function fresh(): boolean {
    if (seen === undefined) return false;
    const settled = seen.state.peers.every(({ established }) => established);
    return clock() - seen.at < (settled ? freshMs : freshWhilePeersDownMs);
  }

  async function until(
    signal: AbortSignal,
    missing: (state: FrrState) => string | undefined,
  ): Promise<FrrState> {
    const end = clock() + patienceMs;
    for (;;) {
      const state = await look(signal);
      const what = missing(state);
      if (what === undefined) return state;
      if (clock() >= end) throw new FrrBehindError(`Expected FRR to show ${what}, it does not`);
      await pause(pollMs, signal);
    }
  }

  async function give(text: string, vrfs: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    // Whatever becomes of it: FRR may have taken a part.
    if (taken !== undefined) taken = { ...taken, epoch: "" };
    const result = await frr.apply(text, deadline(signal));
    if (result.changed) {
      log.info("FRR configuration applied", {
        lines: result.lines.length,
        seconds: result.seconds,
      });
    }
    const state = await look(signal);
    taken = { text, epoch: state.epoch, vrfs };
  }

  return {
    async awaitVrfs(vrfs, signal, missed) {
      const end = clock() + patienceMs;
      let unknown = fresh() && seen !== undefined ? notActive(vrfs, seen.state) : vrfs;
      let [fewest, since] = [Infinity, clock()];
      const tell = () => {
        toldAt = clock();
        missed(unknown);
      };
      while (unknown.length > 0) {
        const state = await look(signal);
        unknown = notActive(vrfs, state);
        if (unknown.every((name) => unheard.has(name)) || clock() >= end) {
          if (unknown.length > 0 && clock() - toldAt >= patienceMs) tell();
          break;
        }
        if (unknown.length < fewest || !state.ready) [fewest, since] = [unknown.length, clock()];
        if (clock() - since >= missedMs) {
          tell();
          since = clock();
        }
        await pause(pollMs, signal);
      }
      unheard = new Set(unknown);
      return unknown;
    },
    async apply(text, model, signal) {
      latest = text;
      if (fresh() && taken?.text === text && seen?.state.epoch === taken.epoch) return;
      const state = await look(signal);
      if (taken?.text === text && taken.epoch === state.epoch) return;
      await give(text, new Set(model.vrfs.map(({ name }) => name)), signal);
    },
    carries: (vrf) => taken?.vrfs.has(vrf) ?? false,
    inStep: () => taken !== undefined && taken.text === latest,
    expectChange() {
      if (seen !== undefined) seen = { ...seen, at: 0 };
    },
    async settle(model, signal) {
      if (taken === undefined) return [];
      const end = clock() + patienceMs;
      let state = fresh() && seen !== undefined ? seen.state : await look(signal);
      for (;;) {
        const down = vnisDown(model, taken.vrfs, state);
        if (down.every((vni) => overdue.has(keyOf(vni))) || clock() >= end) {
          overdue = new Set(down.map(keyOf));
          return down;
        }
        await pause(pollMs, signal);
        state = await look(signal);
      }
    },
    async awaitEmpty(vrfs, backend, signal) {
      // A vrf link takes its routes with it; only a namespace that goes with links in it upsets zebra.
      if (backend === "device" || vrfs.length === 0) return;
      await until(signal, (state) => {
        const full = state.vrfs.find((vrf) =>
          vrfs.includes(vrf.name) && vrf.interfaces.some((name) => name !== "lo")
        );
        return full === undefined ? undefined : `no link but lo in "${full.name}"`;
      });
    },
    async forget(vrfs, signal) {
      await until(signal, (state) => {
        const active = state.vrfs.find((vrf) => vrfs.includes(vrf.name) && vrf.state === "active");
        return active === undefined ? undefined : `"${active.name}" as inactive`;
      });
      if (taken !== undefined) await give(taken.text, taken.vrfs, signal);
    },
    daemons: async (signal) => (seen?.state ?? await look(signal)).daemons ?? [],
    state: () => seen?.state,
  };
}

function notActive(vrfs: readonly string[], state: FrrState): readonly string[] {
  const active = new Set(
    state.vrfs.filter((vrf) => vrf.state === "active").map(({ name }) => name),
  );
  return vrfs.filter((name) => !active.has(name));
}

/** VNIs of VRFs that FRR carries and that are not up. */
function vnisDown(
  model: FrrModel,
  carried: ReadonlySet<string>,
  state: FrrState,
): readonly VniDown[] {
  const up = new Set(state.vnis.filter((vni) => vni.state === "Up").map(keyOf));
  return model.vrfs.filter(({ name }) => carried.has(name))
    .flatMap(({ name, l3vni, l2vni }) =>
      [l3vni, l2vni].flatMap((vni) => vni === undefined ? [] : [{ vrf: name, vni }])
    )
    .filter((vni) => !up.has(keyOf(vni)));
}

function keyOf({ vrf, vni }: VniDown): string {
  return `${vrf} ${vni}`;
}

function deadline(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}
