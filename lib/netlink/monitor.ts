import { Errno, SysError } from "../sys/errno.ts";
import { NetlinkSocket } from "../sys/netlink_socket.ts";
import type { NetnsHandle } from "../sys/netns.ts";
import { Waiter } from "../sys/poll.ts";
import { viewOf } from "./codec.ts";
import { eachMessage, type MessageView } from "./message.ts";

/** What to listen to, and whom to tell. */
export interface MonitorOptions {
  /** Multicast groups (`RTNLGRP` in rtnl/types.ts). */
  readonly groups: readonly number[];
  /** The network namespace; the caller's own by default. The descriptor may be closed afterwards. */
  readonly netns?: NetnsHandle | undefined;
  /** Ends the monitoring. */
  readonly signal: AbortSignal;
  /**
   * Gets every message, in order, to be read with `readLink`, `readRule`, …; the message holds only during the call.
   */
  readonly onMessage: (message: MessageView) => void;
  /** Is told that messages were lost, because too many came at once: whoever keeps a state lists it again. */
  readonly onLost: () => void;
}

/** Room for any datagram of a multicast group, in bytes. */
export const BUFFER_BYTES = 64 * 1024;
/** Room in the kernel for a burst of notifications. */
export const QUEUE_BYTES: number = 4 * 1024 * 1024;

/**
 * Listens to what the kernel tells of changes, whoever made them, until the signal aborts. It listens from the moment of the call on: what is
 * listed after that misses nothing.
 *
 * @throws {SysError} If the socket cannot be opened or fails
 * @throws {NetlinkDecodeError} If the kernel sends what is no netlink message
 * @throws What `onMessage` or `onLost` throws
 */
export async function monitor(options: MonitorOptions): Promise<void> {
  const { groups, netns, signal, onMessage, onLost } = options;
  if (signal.aborted) return;
  using socket = NetlinkSocket.open({ groups, netns, receiveQueueBytes: QUEUE_BYTES });
  await using waiter = new Waiter(socket.fd);
  const stop = () => waiter.stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const buffer = new Uint8Array(new ArrayBuffer(BUFFER_BYTES));
    while (await waiter.readable()) drain(socket, buffer, onMessage, onLost);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/**
 * Reads what is in the queue of a socket that listens to multicast groups, until nothing is left. The arguments are those of
 * {@linkcode MonitorOptions}.
 *
 * @param buffer Room for one datagram; a longer one counts as lost
 * @throws As {@linkcode monitor}
 */
export function drain(
  socket: NetlinkSocket,
  buffer: Uint8Array<ArrayBuffer>,
  onMessage: (message: MessageView) => void,
  onLost: () => void,
): void {
  const view = viewOf(buffer);
  while (true) {
    try {
      const length = socket.tryRecv(buffer);
      if (length === undefined) return;
      if (length > buffer.length) onLost();
      else eachMessage(view, length, onMessage);
    } catch (thrown) {
      if (!(thrown instanceof SysError) || thrown.errno !== Errno.ENOBUFS) throw thrown;
      onLost();
    }
  }
}
