/**
 * The one seam between netlink and the kernel: datagrams of bytes, as lib/sys' `NetlinkSocket` carries them and a scripted one in tests.
 */
export interface NetlinkTransport extends Disposable {
  /** Sends one datagram, which the kernel has carried out when this returns. The bytes are not kept. */
  send(bytes: Uint8Array<ArrayBuffer>): void;
  /** The same without holding up the event loop. The bytes must not change until the promise settles. */
  sendNonblocking(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  /**
   * Receives one datagram into the buffer.
   *
   * @returns Its length, greater than the buffer's if it was cut
   */
  recv(buffer: Uint8Array<ArrayBuffer>): number;
}
