/** Writing to a stream that may take a part of it at a time. */

/** Writes all bytes. @throws What the connection throws */
export async function writeAll(
  connection: Pick<Deno.Conn, "write">,
  bytes: Uint8Array,
): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
}
