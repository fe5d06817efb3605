/** What an action sends to the kernel over netlink, to be sent again without anything around it. */
import { blockingLibc, libc } from "../../sys/libc.ts";

/** One datagram as it was sent. */
export interface SentDatagram {
  /** The socket's descriptor. */
  readonly fd: number;
  /** A copy of its bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Notes every datagram that an action sends from this process, on this thread or on others. Restores everything afterwards. */
export async function recordDatagrams(
  action: () => Promise<unknown>,
): Promise<readonly SentDatagram[]> {
  const sent: SentDatagram[] = [];
  const note = (fd: number, buffer: unknown) => {
    if (buffer instanceof Uint8Array) sent.push({ fd, bytes: new Uint8Array(buffer) });
  };
  const { send } = libc;
  const { send: blockingSend } = blockingLibc;
  const noting: typeof send = (fd, buffer, ...rest) => {
    note(fd, buffer);
    return send(fd, buffer, ...rest);
  };
  const blockingNoting: typeof blockingSend = (fd, buffer, ...rest) => {
    note(fd, buffer);
    return blockingSend(fd, buffer, ...rest);
  };
  Object.defineProperty(libc, "send", { value: noting });
  Object.defineProperty(blockingLibc, "send", { value: blockingNoting });
  try {
    await action();
  } finally {
    Object.defineProperty(libc, "send", { value: send });
    Object.defineProperty(blockingLibc, "send", { value: blockingSend });
  }
  return sent;
}
