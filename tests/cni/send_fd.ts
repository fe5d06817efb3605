/**
 * Sends descriptors to the daemon's datagram socket as a hostile process would: any number of them.
 *
 * Usage: deno run -A send_fd.ts SOCKET RID PATH...
 */
import { errno, libc } from "../../lib/sys/libc.ts";
import { MessageArena, openUnixDatagram, unixAddress } from "../../lib/sys/unix_datagram.ts";

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;

/** Sends one datagram with all of the descriptors; gives the error number, 0 when it was sent. */
export function sendFds(path: string, payload: string, fds: readonly number[]): number {
  const bytes = new TextEncoder().encode(payload);
  const controlLength = fds.length === 0 ? 0 : 16 + 4 * fds.length;
  const message = new MessageArena(unixAddress(path), (controlLength + 7) & ~7, bytes.length);
  message.data.set(bytes);
  if (fds.length > 0) {
    const { buffer, byteOffset } = message.control;
    const view = new DataView(buffer, byteOffset);
    view.setBigUint64(0, BigInt(controlLength), true);
    view.setInt32(8, SOL_SOCKET, true);
    view.setInt32(12, SCM_RIGHTS, true);
    for (const [at, fd] of fds.entries()) view.setInt32(16 + 4 * at, fd, true);
  }
  using socket = openUnixDatagram();
  return libc.sendmsg(socket.fd, message.header, 0) < 0 ? errno() : 0;
}

if (import.meta.main) {
  const { openNetns } = await import("../../lib/sys/netns.ts");
  const [path = "", rid = "", ...files] = Deno.args;
  const fds = files.map((file) => openNetns(file).release());
  Deno.exit(sendFds(path, JSON.stringify({ rid }), fds));
}
