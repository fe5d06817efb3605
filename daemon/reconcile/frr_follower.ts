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
/** A restart of FRR is noticed by the first run after this, in milliseconds; while peers are down they are looked at sooner. */
const freshMs = 10_000;
const freshWhilePeersDownMs = 900;

/** FRR as the reconciler sees it. */
export interface FrrFollower {
  /**
   * Applies a configuration, unless FRR already has it. Waits first until zebra knows each of its VRFs.
   * @throws {FrrError | FrrBehindError}
   */
  apply(text: string, model: FrrModel, signal: AbortSignal): Promise<void>;
  /** Whether FRR carries the VRF by the last configuration that it took. */
  carries(vrf: string): boolean;
  /** Whether FRR has taken the latest configuration. */
  inStep(): boolean;
  /** Tells that links have changed: FRR's state is then looked at again. */
  expectChange(): void;
  /** Waits until every L3VNI is up. @throws {FrrBehindError} naming those that are not */
  settle(model: FrrModel, signal: AbortSignal): Promise<void>;
  /** Waits until zebra sees no link but lo in these VRFs (netns backend). @throws {FrrBehindError} */
  awaitEmpty(vrfs: readonly string[], backend: VrfBackend, signal: AbortSignal): Promise<void>;
  /** After the VRFs' containers are gone: waits for zebra to see it and lets FRR forget them. */
  forget(vrfs: readonly string[], signal: AbortSignal): Promise<void>;
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
    async apply(text, model, signal) {
      latest = text;
      if (fresh() && taken?.text === text && seen?.state.epoch === taken.epoch) return;
      const state = await look(signal);
      if (taken?.text === text && taken.epoch === state.epoch) return;
      const names = new Set(model.vrfs.map(({ name }) => name));
      await until(signal, (now) => {
        const missing = [...names].find((name) =>
          !now.vrfs.some((vrf) => vrf.name === name && vrf.state === "active")
        );
        return missing === undefined ? undefined : `the VRF "${missing}" as active`;
      });
      await give(text, names, signal);
    },
    carries: (vrf) => taken?.vrfs.has(vrf) ?? false,
    inStep: () => taken !== undefined && taken.text === latest,
    expectChange() {
      if (seen !== undefined) seen = { ...seen, at: 0 };
    },
    async settle(model, signal) {
      if (taken === undefined || fresh()) return;
      await until(signal, (state) => {
        const down = model.vrfs.find(({ name, l3vni }) =>
          l3vni !== undefined && taken?.vrfs.has(name) === true &&
          !state.vnis.some((vni) => vni.vrf === name && vni.vni === l3vni && vni.state === "Up")
        );
        return down === undefined ? undefined : `the VNI ${down.l3vni} of "${down.name}" up`;
      });
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
    state: () => seen?.state,
  };
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
