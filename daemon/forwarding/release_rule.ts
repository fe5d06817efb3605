/** When what was put back may go: FRR has taken it back for good, or has had the time to. Pure. */
import type { FrrState } from "../../frr/protocol.ts";

/** An entry that FRR took away. */
export interface Loss {
  /** The VTEP that it leads to, or what stands for it, if it says. */
  readonly vtep: string | undefined;
  /** When FRR took it away, on the clock of the looks. */
  readonly at: number;
}

/** How long what is held for, in milliseconds. */
export interface HoldTimes {
  /** At most. */
  readonly most: number;
  /** For FRR to learn everything again, from the moment its sessions are up. */
  readonly recovery: number;
  /** A route to another node that a reflector takes back: the node's own session is not seen here. */
  readonly reflected: number;
}

/** FRR as it was seen over time. */
export interface FabricView {
  /** Takes a look at FRR; undefined while it does not answer. */
  saw(state: FrrState | undefined, at: number): void;
  /** Whether an entry may go now. */
  mayGo(loss: Loss, now: number): boolean;
}

/**
 * Makes the view of a node.
 *
 * @param times How long to hold
 * @param nodeOf The VTEP of the cluster's node that a next hop stands for; undefined when it stands for none
 */
export function createFabricView(
  times: HoldTimes,
  nodeOf: (nextHop: string) => string | undefined,
): FabricView {
  let run: { readonly epoch: string; readonly since: number } | undefined;
  let sessions = new Map<string, number>();
  let known = new Set<string>();

  return {
    saw(state, at) {
      if (state === undefined || !state.ready) {
        run = undefined;
        sessions = new Map();
        return;
      }
      if (run?.epoch !== state.epoch) {
        run = { epoch: state.epoch, since: at };
        sessions = new Map();
      }
      const up = state.peers.filter(({ established }) => established);
      sessions = new Map(up.map(({ address }) => [address, sessions.get(address) ?? at]));
      known = new Set(state.peers.map(({ address }) => address));
    },
    mayGo({ vtep, at }, now) {
      if (now - at >= times.most) return true;
      if (run === undefined) return false;
      const node = vtep === undefined ? undefined : nodeOf(vtep);
      const peer = node ?? vtep;
      const direct = peer !== undefined && known.has(peer);
      const wanted = direct ? [peer] : [...known];
      const since = Math.max(run.since, ...wanted.map((peer) => sessions.get(peer) ?? Infinity));
      if (since > at) return now - since >= times.recovery;
      // All the time in touch with who told of it: it was taken back on purpose, unless a reflector only passes on that a node is away.
      if (direct || node === undefined) return true;
      return now - at >= times.reflected;
    },
  };
}
