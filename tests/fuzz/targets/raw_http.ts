/** Bytes on a UNIX socket where HTTP is expected. */

/** Sends bytes, closes this side and gives what comes back; what the other side does with the connection is its own business. */
export async function sendRaw(path: string, bytes: Uint8Array): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path });
  for (let at = 0; at < bytes.length;) {
    try {
      at += await connection.write(bytes.subarray(at));
    } catch (thrown) {
      if (isGone(thrown)) break;
      throw thrown;
    }
  }
  await connection.closeWrite().catch(() => {});
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(16 * 1024);
  let text = "";
  while (true) {
    const count = await connection.read(chunk).catch((thrown: unknown) => {
      if (isGone(thrown)) return null;
      throw thrown;
    });
    if (count === null) return text;
    text += decoder.decode(chunk.subarray(0, count), { stream: true });
  }
}

function isGone(thrown: unknown): boolean {
  return thrown instanceof Deno.errors.BrokenPipe ||
    thrown instanceof Deno.errors.ConnectionReset ||
    thrown instanceof Deno.errors.NotConnected;
}
