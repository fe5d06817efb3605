/**
 * Keeps the next hops of EVPN routes where zebra loses them.
 *
 * Whenever the best path of an imported type-5 route changes, bgpd 8.4 withdraws the route and announces it again, and zebra 8.4 adds the
 * next hop before it deletes it: the route stays, its next hop is gone for good. It happens to every route when one of two reflectors goes.
 * The kernel keeps packets for a neighbour that it does not know for three seconds, so that a next hop that is put back at once costs
 * none. In releases without the fault nothing is ever missing here.
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import { BUFFER_BYTES, drain } from "../../lib/netlink/monitor.ts";
import { readFdb, readNeighbor } from "../../lib/netlink/rtnl/neighbor.ts";
import { RTM, RTNLGRP } from "../../lib/netlink/rtnl/types.ts";
import type { MessageView } from "../../lib/netlink/message.ts";
import { NetlinkSocket } from "../../lib/sys/netlink_socket.ts";
import { type NetnsHandle, netnsIdentity } from "../../lib/sys/netns.ts";
import { Waiter } from "../../lib/sys/poll.ts";
import { ReadableSet } from "../../lib/sys/readable_set.ts";
import type { Logger } from "../log.ts";
import {
  dropNextHop,
  isNextHop,
  type NextHop,
  type NextHopLinks,
  putForwarding,
  putNextHop,
  readNextHops,
} from "./next_hops.ts";

/** The L3VNI of a VRF whose next hops are to be kept. */
export interface KeptVrf {
  /** VRF number. */
  readonly vrf: number;
  /** Namespace of the links; null for the host's own. Not owned. */
  readonly netns: NetnsHandle | null;
  /** The links. */
  readonly links: NextHopLinks;
}

/** A next hop that a route uses and whose MAC nobody here has seen. */
export interface LostNextHop {
  /** VRF number. */
  readonly vrf: number;
  /** Address. */
  readonly address: string;
}

/** What the keeper needs. */
export interface NextHopKeeperOptions {
  /** For next hops that were put back, and for what fails. */
  readonly log: Logger;
  /** How long after putting one back it is looked whether a route still uses it, in milliseconds; 1000 when absent. */
  readonly sweepMs?: number;
}

/** One namespace that is listened to. */
interface Ear {
  readonly socket: NetlinkSocket;
  /** VRFs by the index of their bridge. */
  readonly vrfs: Map<number, { readonly kept: KeptVrf; readonly macs: Map<string, string> }>;
}

/** Keeps next hops. Dispose of it to end; what it put into the kernel stays. */
export class NextHopKeeper implements AsyncDisposable {
  readonly #log: Logger;
  readonly #sweepMs: number;
  readonly #set = new ReadableSet();
  readonly #waiter = new Waiter(this.#set.fd);
  readonly #ears = new Map<string, Ear>();
  readonly #buffer = new Uint8Array(new ArrayBuffer(BUFFER_BYTES));
  readonly #listening: Promise<void>;
  #sweep: ReturnType<typeof setTimeout> | undefined;
  /** Put back since the last sweep. */
  #restored = 0;

  /**
   * A keeper that keeps nothing yet.
   *
   * @throws {SysError} If no descriptor is left
   */
  constructor({ log, sweepMs = 1_000 }: NextHopKeeperOptions) {
    this.#log = log;
    this.#sweepMs = sweepMs;
    this.#listening = this.#listen();
  }

  /**
   * Keeps the next hops of these VRFs from now on, and of no others; puts back what is missing and takes away what it had put back and
   * nothing uses any more.
   *
   * @returns What it could not put back: `put` does once the MAC is known
   * @throws {NetlinkError | SysError} If the kernel refuses
   */
  keep(vrfs: readonly KeptVrf[]): LostNextHop[] {
    const byNamespace = Map.groupBy(
      vrfs,
      ({ netns }) => netns === null ? "" : netnsIdentity(netns),
    );
    for (const [identity, ear] of this.#ears) {
      if (!byNamespace.has(identity)) this.#close(identity, ear);
    }
    for (const [identity, kept] of byNamespace) {
      const ear = this.#ears.get(identity) ?? this.#open(identity, kept[0]?.netns ?? null);
      const before = new Map(ear.vrfs);
      ear.vrfs.clear();
      for (const each of kept) {
        const macs = before.get(each.links.bridge)?.macs ?? new Map();
        ear.vrfs.set(each.links.bridge, { kept: each, macs });
      }
    }
    return this.#mend();
  }

  /**
   * Puts a next hop in place.
   *
   * @throws {NetlinkError} If the kernel refuses
   */
  put(vrf: number, nextHop: NextHop): void {
    for (const { kept, macs } of this.#all()) {
      if (kept.vrf !== vrf) continue;
      macs.set(nextHop.address, nextHop.mac);
      putNextHop(kept.links, nextHop);
      this.#restored++;
      this.#sweepSoon();
    }
  }

  /** Ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#sweep);
    await this.#waiter[Symbol.asyncDispose]();
    await this.#listening;
    for (const [identity, ear] of this.#ears) this.#close(identity, ear);
    this.#set[Symbol.dispose]();
  }

  async #listen(): Promise<void> {
    while (await this.#waiter.readable()) {
      const ready = new Set(this.#set.ready());
      for (const ear of this.#ears.values()) {
        if (ready.has(ear.socket.fd)) this.#try(() => this.#hear(ear));
      }
    }
  }

  #hear(ear: Ear): void {
    const lost = () => this.#sweepSoon();
    drain(ear.socket, this.#buffer, (message) => this.#heed(ear, message), lost);
  }

  #heed(ear: Ear, message: MessageView): void {
    const neighbor = readNeighbor(message);
    if (neighbor === undefined) return this.#heedForwarding(ear, message);
    const vrf = ear.vrfs.get(neighbor.index);
    if (vrf === undefined) return;
    if (message.type === RTM.NEWNEIGH) {
      if (isNextHop(neighbor)) vrf.macs.set(neighbor.address, neighbor.mac);
      return;
    }
    const mac = vrf.macs.get(neighbor.address);
    if (mac !== undefined) this.#putBack(vrf.kept, { address: neighbor.address, mac });
  }

  /** zebra deletes the forwarding entries after the neighbour, which may be back already. */
  #heedForwarding(ear: Ear, message: MessageView): void {
    const entry = message.type === RTM.DELNEIGH ? readFdb(message) : undefined;
    if (entry === undefined) return;
    for (const { kept, macs } of ear.vrfs.values()) {
      if (kept.links.vxlan !== entry.index) continue;
      for (const [address, mac] of macs) {
        if (mac === entry.mac) this.#putBack(kept, { address, mac });
      }
    }
  }

  /** Unasked: to look first whether a route uses it would cost packets. The sweep takes it away again if none does. */
  #putBack({ links }: KeptVrf, nextHop: NextHop): void {
    this.#try(() => putNextHop(links, nextHop));
    this.#restored++;
    this.#sweepSoon();
  }

  #sweepSoon(): void {
    this.#sweep ??= setTimeout(() => {
      this.#sweep = undefined;
      this.#try(() => this.#mend());
    }, this.#sweepMs);
  }

  /** Compares what the routes use with what is there. */
  #mend(): LostNextHop[] {
    const lost = [...this.#all()].flatMap(({ kept: { vrf, links }, macs }) => {
      const { present, broken, missing, surplus } = readNextHops(links);
      for (const { address, mac } of present) macs.set(address, mac);
      for (const nextHop of broken) putForwarding(links, nextHop);
      this.#restored += broken.length;
      const inUse = new Set(present.map(({ mac }) => mac));
      for (const nextHop of surplus) {
        macs.delete(nextHop.address);
        dropNextHop(links, nextHop, inUse.has(nextHop.mac));
      }
      return missing.flatMap((address) => {
        const mac = macs.get(address);
        if (mac === undefined) return [{ vrf, address }];
        putNextHop(links, { address, mac });
        this.#restored++;
        return [];
      });
    });
    if (this.#restored > 0) this.#log.info("Next hops put back", { count: this.#restored });
    this.#restored = 0;
    return lost;
  }

  /** What fails here is tried again by the next `keep`, which tells. */
  #try(action: () => unknown): void {
    try {
      action();
    } catch (error) {
      this.#log.warn("Next hop not kept", { error: messageOf(error) });
    }
  }

  *#all(): Iterable<{ readonly kept: KeptVrf; readonly macs: Map<string, string> }> {
    for (const { vrfs } of this.#ears.values()) yield* vrfs.values();
  }

  #open(identity: string, netns: NetnsHandle | null): Ear {
    const socket = NetlinkSocket.open({ netns: netns ?? undefined, groups: [RTNLGRP.NEIGH] });
    const ear: Ear = { socket, vrfs: new Map() };
    this.#set.add(socket.fd);
    this.#ears.set(identity, ear);
    return ear;
  }

  #close(identity: string, { socket }: Ear): void {
    this.#ears.delete(identity);
    this.#set.delete(socket.fd);
    socket[Symbol.dispose]();
  }
}
