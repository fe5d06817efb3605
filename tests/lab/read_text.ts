/** Reads a connection to the end of what its peer writes, without closing it: that still waits for an answer. */
export async function readText(connection: Pick<Deno.Conn, "read">): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) return text + decoder.decode();
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
}
