/**
 * Keeps packets flowing while BGP is away.
 *
 * Debian's FRR 8.4 has no graceful restart for EVPN: when bgpd ends, zebra takes all that it learnt out of the kernel, and the peers do the same
 * at once, although every node forwards as before. So the daemon puts back what FRR takes away, until FRR has had the time to learn it again, or
 * has been in touch with the peer all along, which means that the peer took it back on purpose.
 */
import type { FrrState } from "../../frr/protocol.ts";
import { messageOf } from "../../lib/errors.ts";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { MonitorSet } from "../../lib/netlink/monitor_set.ts";
import { RTNLGRP } from "../../lib/netlink/rtnl/types.ts";
import { type NetnsHandle, netnsIdentity } from "../../lib/sys/netns.ts";
import type { Logger } from "../log.ts";
import { HeldSpace } from "./held_space.ts";
import { createFabricView, type HoldTimes } from "./release_rule.ts";

/** A namespace in which FRR makes entries. */
export interface ForwardingSpace {
  /** The VRF's name where it has a namespace of its own; one name for the host's. */
  readonly name: string;
  /** The namespace; null for the caller's own. Not owned. */
  readonly netns: NetnsHandle | null;
}

/** What the hold works with. */
export interface ForwardingHoldOptions {
  /** How long to hold. */
  readonly times: HoldTimes;
  /** Asks FRR for its state, while something is held. */
  readonly look: (signal: AbortSignal) => Promise<FrrState>;
  /** The VTEP of the cluster's node that a next hop stands for; undefined when it stands for none. */
  readonly nodeOf: (nextHop: string) => string | undefined;
  /** For what is held and let go. */
  readonly log: Logger;
  /** Ends it; what is held stays. */
  readonly signal: AbortSignal;
  /** Milliseconds of a clock that does not jump. */
  readonly clock?: () => number;
}

/** Keeps what FRR takes away. */
export interface ForwardingHold {
  /** Follows exactly these namespaces from now on. */
  follow(spaces: readonly ForwardingSpace[]): void;
  /** Lets go of a namespace, which is about to be removed. */
  leave(name: string): void;
  /** Takes a look that somebody else had at FRR. */
  saw(state: FrrState | undefined): void;
  /** Resolves once the signal has aborted and nothing runs any more. */
  readonly stopped: Promise<void>;
}

const groups = [RTNLGRP.LINK, RTNLGRP.NEIGH, RTNLGRP.IPV4_ROUTE, RTNLGRP.IPV6_ROUTE];
const reviewMs = 500;
const lookTimeoutMs = 5_000;
/** How often the kernel is looked through for routes that it dropped without a word, as it does with those over a link that goes down. */
const missedMs = 10_000;

/** Starts holding. */
export function startForwardingHold(options: ForwardingHoldOptions): ForwardingHold {
  const { log, signal, clock = () => performance.now() } = options;
  const monitors = new MonitorSet();
  const spaces = new Map<string, HeldSpace>();
  const identities = new Map<string, string>();
  const view = createFabricView(options.times, options.nodeOf);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let reviewing: Promise<void> = Promise.resolve();
  let lookedAt = clock();

  const size = () => [...spaces.values()].reduce((sum, space) => sum + space.size, 0);

  function schedule(): void {
    if (timer !== undefined || signal.aborted) return;
    log.info("FRR took routes away: they are held");
    next();
  }

  function next(): void {
    timer = setTimeout(() => reviewing = review(), reviewMs);
  }

  async function review(): Promise<void> {
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(lookTimeoutMs)]);
    const state = await options.look(timeout).catch(() => undefined);
    if (signal.aborted) return;
    view.saw(state, clock());
    const vteps = new Map(
      state?.vnis.map(({ vxlan = "", remoteVteps }) => [vxlan, remoteVteps]) ?? [],
    );
    let released = 0;
    for (const [name, space] of spaces) {
      try {
        released += space.release(
          (loss) => view.mayGo(loss, clock()),
          (vxlan) => vteps.get(vxlan),
        );
      } catch (error) {
        log.error("What was held could not be taken away", {
          space: name,
          error: messageOf(error),
        });
      }
    }
    const left = size();
    if (released > 0) log.info("Held routes let go", { released, left });
    if (left > 0) return next();
    timer = undefined;
    log.info("No route is held any more");
  }

  function enter({ name, netns: given }: ForwardingSpace): HeldSpace {
    const netns = given ?? undefined;
    const space = new HeldSpace(NetlinkConnection.open({ netns }), clock);
    monitors.add(name, {
      groups,
      netns,
      onMessage: (message) => guarded(name, () => space.told(message)),
      onLost: () =>
        guarded(name, () => {
          space.look();
          return space.size > 0;
        }),
    });
    spaces.set(name, space);
    identities.set(name, identityOf(given));
    space.look();
    return space;
  }

  /** One namespace's trouble must not end the watch over the others. */
  function guarded(name: string, action: () => boolean): void {
    try {
      if (action()) schedule();
    } catch (error) {
      log.error("Routes could not be held", { space: name, error: messageOf(error) });
    }
  }

  /**
   * Looks for what went without a word. It is put back as ours, and with that goes FRR hears of it, since it is of FRR's protocol: zebra then makes its
   * own again if it still means it to be there (rib_delete of zebra/zebra_rib.c).
   */
  function lookForMissed(): void {
    if (clock() - lookedAt < missedMs || size() > 0) return;
    lookedAt = clock();
    for (const [name, space] of spaces) {
      guarded(name, () => {
        space.look();
        return space.size > 0;
      });
    }
  }

  function leave(name: string): void {
    monitors.delete(name);
    spaces.get(name)?.[Symbol.dispose]();
    spaces.delete(name);
    identities.delete(name);
  }

  async function run(): Promise<void> {
    try {
      await monitors.run(signal);
    } finally {
      clearTimeout(timer);
      await reviewing;
      for (const name of [...spaces.keys()]) leave(name);
      monitors[Symbol.dispose]();
    }
  }

  return {
    follow(wanted) {
      if (options.times.most === 0) return;
      const names = new Set(wanted.map(({ name }) => name));
      for (const name of [...spaces.keys()]) if (!names.has(name)) leave(name);
      for (const each of wanted) {
        if (identities.get(each.name) === identityOf(each.netns)) continue;
        leave(each.name);
        // What an earlier run of the daemon has put back is held from the beginning.
        guarded(each.name, () => enter(each).size > 0);
      }
      lookForMissed();
    },
    leave,
    saw: (state) => view.saw(state, clock()),
    stopped: run().catch((error) => {
      log.error("Routes are no longer held", { error: messageOf(error) });
    }),
  };
}

function identityOf(netns: NetnsHandle | null): string {
  return netns === null ? "host" : netnsIdentity(netns);
}
