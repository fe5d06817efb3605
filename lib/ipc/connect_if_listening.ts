/** Connecting to a UNIX socket behind which nobody may be. */

/**
 * Connects to the socket at `path`.
 *
 * @returns The connection; undefined where there is no socket, or one that a process has left behind
 * @throws What `Deno.connect` throws for any other reason
 */
export async function connectIfListening(path: string): Promise<Deno.UnixConn | undefined> {
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (cause) {
    const absent = cause instanceof Deno.errors.NotFound ||
      cause instanceof Deno.errors.ConnectionRefused;
    if (absent) return undefined;
    throw cause;
  }
}
