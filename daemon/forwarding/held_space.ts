/** The entries of FRR in one network namespace, and what is put back of them. */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import type { MessageView } from "../../lib/netlink/message.ts";
import { listLinks, readLink } from "../../lib/netlink/rtnl/link.ts";
import { listFdb } from "../../lib/netlink/rtnl/neighbor.ts";
import { listRoutes } from "../../lib/netlink/rtnl/route.ts";
import { RTM } from "../../lib/netlink/rtnl/types.ts";
import {
  heldFdb,
  heldRoute,
  isFlooding,
  isOverlayLink,
  isTunnelEnd,
  type Learned,
  learnedFdb,
  learnedRoute,
  linksOf,
  readChange,
  twinOf,
  vtepOf,
} from "./learned.ts";
import { putBack, restore, takeAway } from "./put_back.ts";
import type { Loss } from "./release_rule.ts";

interface Held {
  readonly entry: Learned;
  readonly loss: Loss;
}

/** One namespace. */
export class HeldSpace implements Disposable {
  readonly #connection: NetlinkConnection;
  readonly #clock: () => number;
  #links = new Map<number, string>();
  #learned = new Map<string, Learned>();
  readonly #held = new Map<string, Held>();
  /** Keys of which the kernel will tell that they were made, by this object. */
  readonly #echoes = new Set<string>();
  /** By key what this object has taken away, until the kernel tells that it is gone. */
  readonly #taken = new Map<string, Learned>();

  /**
   * Knows nothing before {@link HeldSpace.look}.
   *
   * @param connection Into the namespace; belongs to the object from now on
   * @param clock Milliseconds of a clock that does not jump
   */
  constructor(connection: NetlinkConnection, clock: () => number) {
    this.#connection = connection;
    this.#clock = clock;
  }

  /** How many entries stand that FRR took away. */
  get size(): number {
    return this.#held.size;
  }

  /** How many entries of FRR stand. */
  get known(): number {
    return this.#learned.size;
  }

  /** Reads everything anew: at first, and after notifications were lost. */
  look(): void {
    const c = this.#connection;
    this.#links = new Map(
      listLinks(c).filter(({ name }) => isOverlayLink(name)).map((
        { index, name },
      ) => [index, name]),
    );
    this.#taken.clear();
    const before = this.#learned;
    const routes = listRoutes(c);
    const forwarding = this.#devices().flatMap((index) => listFdb(c, { index }));
    const found = [
      ...routes.map((route) => learnedRoute(route, this.#links)),
      ...forwarding.map((entry) => learnedFdb(entry, this.#links)),
    ].filter((entry) => entry !== undefined);
    const kept = [
      ...routes.map((route) => heldRoute(route, this.#links)),
      ...forwarding.map((entry) => heldFdb(entry, this.#links)),
    ].filter((entry) => entry !== undefined);
    const [frrs, ours] = [found, kept].map((entries) => new Set(entries.map(({ key }) => key)));
    // What a VXLAN device has looks like FRR's, whoever made it: the bridge's entry tells.
    const isOurs = (entry: Learned) =>
      isTunnelEnd(entry) && (ours?.has(twinOf(entry.key)) === true ||
        this.#held.has(entry.key) && frrs?.has(twinOf(entry.key)) !== true);
    this.#learned = new Map(
      found.filter((entry) => !isOurs(entry)).map((entry) => [entry.key, entry]),
    );
    // A bridge's entry leads where the VXLAN device's own does.
    this.#adopt([...found.filter(isOurs), ...kept]);
    for (const entry of before.values()) {
      if (!this.#learned.has(entry.key) && !this.#held.has(entry.key)) this.#lost(entry);
    }
    for (const key of [...this.#held.keys()]) if (this.#learned.has(key)) this.#retaken(key);
  }

  /** Takes a notification; puts back what FRR takes away. @returns Whether something was put back */
  told(message: MessageView): boolean {
    if (this.#linkTold(message)) return false;
    const change = readChange(message, this.#links);
    if (change === undefined) return false;
    if (change.change === "made") {
      if (this.#echoes.delete(change.entry.key)) return false;
      this.#learned.set(change.entry.key, change.entry);
      this.#retaken(change.entry.key);
      this.#takeOver(change.entry);
      return false;
    }
    const learned = this.#learned.get(change.key);
    if (this.#taken.delete(change.key)) {
      // FRR had made it just before this took it for its own, and took it away.
      if (learned !== undefined) restore(this.#connection, learned);
      return false;
    }
    // What is held may be FRR's again without a word, and be taken away a second time.
    const entry = learned ?? this.#held.get(change.key)?.entry;
    if (entry === undefined) return false;
    this.#learned.delete(change.key);
    return this.#lost(entry);
  }

  /**
   * Takes away for good what may go.
   *
   * @param vteps How many VTEPs FRR knows behind a VXLAN device, by its name; undefined where it does not say
   * @returns How many entries went
   */
  release(
    mayGo: (loss: Loss) => boolean,
    vteps: (vxlan: string) => number | undefined = () => undefined,
  ): number {
    const going = [...this.#held.values()].filter(({ loss }) => mayGo(loss))
      .map(({ entry }) => entry);
    if (going.length === 0) return 0;
    for (const { key } of going) this.#held.delete(key);
    const isFrrs = this.#madeAgain(vteps);
    for (const entry of going) {
      if (isFrrs(entry)) this.#learned.set(entry.key, entry);
      else if (takeAway(this.#connection, entry) && entry.kind === "fdb") {
        this.#taken.set(entry.key, entry);
      }
    }
    return going.length;
  }

  /** What of the VXLAN devices FRR has made again. The kernel says nothing of an entry that is there, and of a bridge's perhaps not yet. */
  #madeAgain(vteps: (vxlan: string) => number | undefined): (entry: Learned) => boolean {
    const standing = this.#devices().flatMap((index) => listFdb(this.#connection, { index }))
      .flatMap((entry) => learnedFdb(entry, this.#links) ?? []);
    const keys = new Set(standing.map(({ key }) => key));
    const isFrrs = ({ key }: Learned) => keys.has(twinOf(key));
    const used = new Set([...this.#learned.values(), ...standing.filter(isFrrs)].map(vtepOf));
    const flooding = standing.filter(isFlooding);
    const isComplete = (index: number) => {
      const count = flooding.filter((entry) => linksOf(entry).includes(index)).length;
      return (vteps(this.#links.get(index) ?? "") ?? 0) >= count;
    };
    return (entry) => {
      if (entry.kind === "route") return false;
      if (!isFlooding(entry)) return isTunnelEnd(entry) ? isFrrs(entry) : keys.has(entry.key);
      // FRR tells how many VTEPs it floods to, and not which; and it floods to all that anything leads to.
      return used.has(vtepOf(entry)) || linksOf(entry).every(isComplete);
    };
  }

  #devices(): readonly number[] {
    return [...this.#links].filter(([, name]) => name.includes("vx-")).map(([index]) => index);
  }

  /** Closes the connection; what is put back stays. */
  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }

  /** Links come and go; what was on one that is gone is gone for good. */
  #linkTold(message: MessageView): boolean {
    const link = readLink(message);
    if (link === undefined) return false;
    const { index, name } = link;
    if (message.type === RTM.NEWLINK) {
      if (isOverlayLink(name)) this.#links.set(index, name);
      return true;
    }
    this.#links.delete(index);
    const on = (entry: Learned) => linksOf(entry).includes(index);
    for (const [key, entry] of this.#learned) if (on(entry)) this.#learned.delete(key);
    for (const [key, { entry }] of this.#held) if (on(entry)) this.#held.delete(key);
    return true;
  }

  /** What an earlier run of the daemon has put back is held from now on. */
  #adopt(entries: readonly Learned[]): void {
    for (const entry of entries) {
      if (this.#held.has(entry.key)) continue;
      const vtep = vtepOf(entry) ?? this.#vtepBehind(entry);
      this.#held.set(entry.key, { entry, loss: { vtep, at: this.#clock() } });
    }
  }

  #lost(entry: Learned): boolean {
    if (!putBack(this.#connection, entry)) return false;
    if (isTunnelEnd(entry)) this.#echoes.add(entry.key);
    const vtep = vtepOf(entry) ?? this.#vtepBehind(entry);
    this.#held.set(entry.key, { entry, loss: { vtep, at: this.#clock() } });
    return true;
  }

  /** The bridge's entry of a MAC does not name the VTEP; the VXLAN device's does. */
  #vtepBehind(entry: Learned): string | undefined {
    if (entry.kind !== "fdb") return undefined;
    const twin = twinOf(entry.key);
    const found = this.#learned.get(twin) ?? this.#held.get(twin)?.entry;
    return found === undefined ? undefined : vtepOf(found);
  }

  /** FRR writes both entries of a MAC at once; of the VXLAN device's own the kernel tells nothing where it stood. */
  #takeOver({ key }: Learned): void {
    const twin = twinOf(key);
    if (!key.includes(" bridge ")) return;
    const entry = this.#held.get(twin)?.entry ?? this.#taken.get(twin);
    if (entry === undefined) return;
    this.#held.delete(twin);
    this.#learned.set(twin, entry);
  }

  #retaken(key: string): void {
    const held = this.#held.get(key);
    const entry = this.#learned.get(key);
    if (held === undefined || entry === undefined) return;
    this.#held.delete(key);
    if (entry.kind === "route") takeAway(this.#connection, held.entry);
    else if (isTunnelEnd(entry)) this.#echoes.delete(key);
    else restore(this.#connection, entry);
  }
}
