/** Sends recorded netlink requests once more and waits for what the kernel says to each, as cheaply as this runtime can. */
import { NLMSG } from "../../lib/netlink/message.ts";
import { RTM } from "../../lib/netlink/rtnl/types.ts";
import type { NetlinkTransport } from "../../lib/netlink/transport.ts";

/** A datagram of requests and the socket that it goes to. */
export interface Replayed {
  readonly socket: Pick<NetlinkTransport, "send" | "recv">;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Length of a message's header, and where the index lies in the headers of links and addresses (rtnetlink(7)). */
const headerLength = 16;
const indexOffset = headerLength + 4;

/** Length of a link's header and type of the attribute with its peer (rtnetlink(7), IFLA_LINK). */
const linkHeaderLength = 16;
const IFLA_LINK = 5;

/** Length of a route's header and type of the attribute with its link (rtnetlink(7), RTA_OIF). */
const routeHeaderLength = 12;
const RTA_OIF = 4;

/** Index of the loopback in every namespace. */
const loopback = 1;

/** A recorded conversation. The index of a link that is made anew each time is the kernel's choice: it is taken from the answers. */
export class NetlinkReplay {
  readonly #datagrams: readonly Replayed[];
  readonly #buffer = new Uint8Array(32 * 1024);
  readonly #view = new DataView(this.#buffer.buffer);
  /** By socket: the link that it was told of last. */
  readonly #indexes = new Map<Replayed["socket"], number>();
  /** The other end of the link that any was told of last: it is in the namespace of a socket that was told of none. */
  #peerIndex: number | undefined;

  /** Makes one of what was sent, in order. */
  constructor(datagrams: readonly Replayed[]) {
    this.#datagrams = datagrams;
  }

  /** Sends everything. @throws {Error} When the kernel refuses a change */
  run(): void {
    for (const { socket, bytes } of this.#datagrams) {
      const types = this.#prepare(socket, bytes);
      socket.send(bytes);
      this.#receive(socket, types);
    }
  }

  /** Puts the link's index into requests on it; gives the requests' types. */
  #prepare(socket: Replayed["socket"], bytes: Uint8Array<ArrayBuffer>): readonly number[] {
    const index = this.#indexes.get(socket) ?? this.#peerIndex;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const types: number[] = [];
    for (let at = 0; at < bytes.length; at += aligned(view.getUint32(at, true))) {
      const type = view.getUint16(at + 4, true);
      types.push(type);
      if (index !== undefined) setIndex(view, at, type, index);
    }
    return types;
  }

  #receive(socket: Replayed["socket"], types: readonly number[]): void {
    let done = 0;
    while (done < types.length) {
      const length = socket.recv(this.#buffer);
      for (let at = 0; at < length; at += aligned(this.#view.getUint32(at, true))) {
        const type = this.#view.getUint16(at + 4, true);
        if (type === RTM.NEWLINK) {
          this.#indexes.set(socket, this.#view.getInt32(at + indexOffset, true));
          const peer = attributeAt(this.#view, at, linkHeaderLength, IFLA_LINK);
          if (peer !== undefined) this.#peerIndex = this.#view.getInt32(peer, true);
        }
        if (type !== NLMSG.ERROR) continue;
        const errno = this.#view.getInt32(at + headerLength, true);
        // That there is no link of a name is an answer.
        if (errno !== 0 && types[done] !== RTM.GETLINK) {
          throw new Error(`Expected the kernel to take a message again, found error ${-errno}`);
        }
        done++;
      }
    }
  }
}

/** Types of requests on a link or on what is on it. */
const onLink: readonly number[] = [RTM.SETLINK, RTM.NEWLINK, RTM.GETLINK, RTM.NEWADDR];

function setIndex(view: DataView, at: number, type: number, index: number): void {
  if (onLink.includes(type) && ![0, loopback].includes(view.getInt32(at + indexOffset, true))) {
    view.setInt32(at + indexOffset, index, true);
  }
  if (type !== RTM.NEWROUTE) return;
  const oif = attributeAt(view, at, routeHeaderLength, RTA_OIF);
  if (oif !== undefined) view.setInt32(oif, index, true);
}

/** Where the value of an attribute of the message at an offset begins; undefined if it has none of that type. */
function attributeAt(
  view: DataView,
  message: number,
  length: number,
  wanted: number,
): number | undefined {
  const end = message + view.getUint32(message, true);
  for (
    let at = message + headerLength + length;
    at < end;
    at += aligned(view.getUint16(at, true))
  ) {
    if (view.getUint16(at + 2, true) === wanted) return at + 4;
  }
  return undefined;
}

/** Messages and attributes begin at multiples of four bytes. */
function aligned(length: number): number {
  return (length + 3) & ~3;
}
