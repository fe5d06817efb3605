/**
 * Carries pods' ARP announcements over stretched subnets.
 *
 * A bridge with ARP suppression keeps announcements to itself (net/bridge/br_arp_nd_proxy.c), because EVPN shall tell the other nodes. But EVPN
 * tells their kernels, not their pods: those would go on sending to the MAC that an address had before. And an address that has
 * been on another node is in the neighbour table as one that ARP may not change. So each announcement of a pod of this node is sent on by the
 * VXLAN device, and the neighbour table learns it.
 *
 * @module
 */
import { messageOf } from "../../lib/errors.ts";
import {
  ARP_FRAME_LENGTH,
  type ArpAnnouncement,
  decodeGratuitousArp,
  ETHERTYPE_ARP,
} from "../../lib/net/arp.ts";
import { parseMac } from "../../lib/net/mac.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { addNeighbor, getNeighbor, NTF, NUD } from "../../lib/netlink/rtnl/neighbor.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import { inNetns, type NetnsHandle, netnsIdentity } from "../../lib/sys/netns.ts";
import {
  type FilterInstruction,
  openPacketListener,
  receiveFrame,
  sendFrame,
} from "../../lib/sys/packet_socket.ts";
import { Waiter } from "../../lib/sys/poll.ts";
import { ReadableSet } from "../../lib/sys/readable_set.ts";
import type { Logger } from "../log.ts";

/** A bridge whose pods' announcements are carried. */
export interface RelayedBridge {
  /** VRF number. */
  readonly vrf: number;
  /** Namespace of the links; null for the host's own. Not owned. */
  readonly netns: NetnsHandle | null;
  /** A connection there. Not owned. */
  readonly connection: NetlinkConnection;
  /** Index of the bridge. */
  readonly bridge: number;
  /** The bridge's MAC. */
  readonly mac: string;
  /** Index of the VXLAN device. */
  readonly vxlan: number;
}

/** Whose an address is that a pod of this node announces: a pod's of this node by IPAM, nobody's, or a pod's of another node by IPAM. */
export type AddressOwner = "own" | "nobody" | "other";

/** What the relay needs. */
export interface AnnouncementRelayOptions {
  /** Whose an address is. What another node's pod was given is not announced by anybody else. */
  readonly ownerOf: (vrf: number, announced: ArpAnnouncement) => AddressOwner;
  /** For what fails. */
  readonly log: Logger;
  /** Most announcements that are taken from one bridge in a second; 256 when absent. What is too much is lost. */
  readonly mostPerSecond?: number;
}

/** Most frames that are taken from a bridge at once: others have their turn between two such rounds. */
const mostAtOnce = 64;

/** Offsets in an Ethernet frame with ARP (RFC 826): the sender of the frame, and hardware and protocol addresses of sender and target. */
const offset = { source: 6, senderMac: 22, senderAddress: 28, targetAddress: 38 } as const;

/**
 * Announcements that come from the very pod that has the address. What a relay sends comes from its node's bridge instead: that is how
 * another one knows that it must not send it on.
 */
const announcements: readonly FilterInstruction[] = equalPairs([
  { code: 0x20, first: offset.senderAddress, second: offset.targetAddress },
  { code: 0x20, first: offset.source, second: offset.senderMac },
  { code: 0x28, first: offset.source + 4, second: offset.senderMac + 4 },
]);

/** One bridge that is listened to. */
interface Ear extends RelayedBridge {
  readonly socket: OwnedFd;
  /** How many announcements were taken in this second. */
  taken: number;
  /** Ends the second; undefined while there is none. */
  second: ReturnType<typeof setTimeout> | undefined;
  /** Whether it is not listened to until the second is over. */
  deaf: boolean;
}

/** Carries announcements. Dispose of it to end. */
export class AnnouncementRelay implements AsyncDisposable {
  readonly #options: AnnouncementRelayOptions;
  readonly #set = new ReadableSet();
  readonly #waiter = new Waiter(this.#set.fd);
  readonly #ears = new Map<string, Ear>();
  readonly #frame = new Uint8Array(new ArrayBuffer(ARP_FRAME_LENGTH));
  readonly #listening: Promise<void>;

  /**
   * A relay that carries nothing yet.
   *
   * @throws {SysError} If no descriptor is left
   */
  constructor(options: AnnouncementRelayOptions) {
    this.#options = options;
    this.#listening = this.#listen();
  }

  /**
   * Carries the announcements on these bridges from now on, and on no others.
   *
   * @throws {SysError} If one cannot be listened to
   */
  relay(bridges: readonly RelayedBridge[]): void {
    const wanted = new Map(bridges.map((bridge) => [identityOf(bridge), bridge]));
    for (const [identity, ear] of this.#ears) {
      if (!wanted.has(identity)) this.#close(identity, ear);
    }
    for (const [identity, bridge] of wanted) {
      if (!this.#ears.has(identity)) this.#open(identity, bridge);
    }
  }

  /** Ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#waiter[Symbol.asyncDispose]();
    await this.#listening;
    for (const [identity, ear] of this.#ears) this.#close(identity, ear);
    this.#set[Symbol.dispose]();
  }

  async #listen(): Promise<void> {
    while (await this.#waiter.readable()) {
      const ready = new Set(this.#set.ready());
      for (const [identity, ear] of this.#ears) {
        if (ready.has(ear.socket.fd)) this.#hear(identity, ear);
      }
    }
  }

  #hear(identity: string, ear: Ear): void {
    try {
      for (let taken = 0; taken < mostAtOnce && !ear.deaf; taken++) {
        if (receiveFrame(ear.socket, this.#frame) === undefined) return;
        this.#heed(ear);
        this.#count(ear);
      }
    } catch (error) {
      // The bridge has gone, most likely: the next run of the reconciler tells where the new one is.
      this.#options.log.warn("Announcements not carried", {
        error: messageOf(error),
        vrf: ear.vrf,
      });
      this.#close(identity, ear);
    }
  }

  #heed(ear: Ear): void {
    const announced = decodeGratuitousArp(this.#frame);
    const owner = announced && this.#options.ownerOf(ear.vrf, announced);
    if (announced === undefined || owner === "other") return;
    if (owner === "nobody" && !learn(ear, announced)) return;
    this.#frame.set(parseMac(ear.mac), offset.source);
    sendFrame(ear.socket, ear.vxlan, this.#frame);
  }

  /** One pod must not keep the daemon busy: of too many announcements nothing is heard for the rest of a second. */
  #count(ear: Ear): void {
    const { mostPerSecond = 256, log } = this.#options;
    ear.second ??= setTimeout(() => {
      if (ear.deaf) this.#set.add(ear.socket.fd);
      Object.assign(ear, { taken: 0, second: undefined, deaf: false });
    }, 1_000);
    if (++ear.taken < mostPerSecond) return;
    log.warn("Too many announcements: the rest of a second is passed over", { vrf: ear.vrf });
    ear.deaf = true;
    this.#set.delete(ear.socket.fd);
  }

  #open(identity: string, bridge: RelayedBridge): void {
    const open = () =>
      openPacketListener({
        ifindex: bridge.bridge,
        protocol: ETHERTYPE_ARP,
        filter: announcements,
      });
    const socket = bridge.netns === null ? open() : inNetns(bridge.netns, open);
    this.#set.add(socket.fd);
    this.#ears.set(identity, { ...bridge, socket, taken: 0, second: undefined, deaf: false });
  }

  #close(identity: string, { socket, second, deaf }: Ear): void {
    this.#ears.delete(identity);
    clearTimeout(second);
    if (!deaf) this.#set.delete(socket.fd);
    socket[Symbol.dispose]();
  }
}

/**
 * Takes an address that IPAM has given to nobody into the neighbour table, from wherever it was before: zebra announces it from here then.
 *
 * @returns False where the table has it as that of a pod, which nobody else may announce
 */
function learn({ connection, bridge }: Ear, { address, mac }: ArpAnnouncement): boolean {
  const found = getNeighbor(connection, { index: bridge, address });
  if (found?.state === NUD.PERMANENT) return false;
  const moved = ((found?.flags ?? 0) & NTF.EXT_LEARNED) !== 0 || found?.mac !== mac;
  const entry = { index: bridge, address, mac, state: NUD.STALE };
  if (moved) addNeighbor(connection, entry, { replace: true });
  return true;
}

function identityOf({ netns, bridge, vxlan, mac }: RelayedBridge): string {
  return `${netns === null ? "" : netnsIdentity(netns)} ${bridge} ${vxlan} ${mac}`;
}

/** A filter for frames in which each pair of words (code 0x20) or half words (code 0x28) is equal. Codes: linux/bpf_common.h. */
function equalPairs(
  pairs: readonly { readonly code: number; readonly first: number; readonly second: number }[],
): FilterInstruction[] {
  const perPair = 5;
  const compare = pairs.flatMap(({ code, first, second }, index): FilterInstruction[] => {
    const toEnd = (pairs.length - index - 1) * perPair + 1;
    return [
      [code, 0, 0, first], // A = frame[first]
      [0x02, 0, 0, 0], // M[0] = A
      [code, 0, 0, second], // A = frame[second]
      [0x61, 0, 0, 0], // X = M[0]
      [0x1d, 0, toEnd, 0], // unless A = X, go to the end
    ];
  });
  return [...compare, [0x06, 0, 0, 0xffff], [0x06, 0, 0, 0]];
}
