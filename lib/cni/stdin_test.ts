import assert from "node:assert/strict";

const module = new URL("./stdin.ts", import.meta.url).href;

/** Runs the reader on a child's stdin, and says what it gave. */
function reader(timeoutMs: number): Deno.ChildProcess {
  const script = `
    import { readText } from ${JSON.stringify(module)};
    const input = { fd: 0, readSync: (into) => Deno.stdin.readSync(into) };
    try {
      console.log(readText(input, { maxBytes: 100, timeoutMs: ${timeoutMs} }));
    } catch (error) {
      console.log(error.code);
    }`;
  return new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", "--no-check", script],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

async function outputOf(child: Deno.ChildProcess): Promise<string> {
  return new TextDecoder().decode((await child.output()).stdout).trim();
}

Deno.test("A text whose end does not come is an error, whatever came before", async () => {
  for (const text of ["", "{}"]) {
    const child = reader(200);
    const writer = child.stdin.getWriter();
    if (text !== "") await writer.write(new TextEncoder().encode(text));
    assert.equal(await outputOf(child), "IoFailure");
    await writer.close().catch(() => {});
  }
});

Deno.test("A text may come in any pieces, and is cut behind the limit", async () => {
  for (const [text, length] of [["ä€{}", 4], ["x".repeat(100), 100], ["", 0]] as const) {
    const child = reader(60_000);
    const writer = child.stdin.getWriter();
    for (const byte of new TextEncoder().encode(text)) await writer.write(new Uint8Array([byte]));
    await writer.close();
    assert.deepEqual([await outputOf(child), text.length], [text, length]);
  }
  // Nobody closes this one: the limit alone ends the reading.
  const child = reader(60_000);
  const writer = child.stdin.getWriter();
  await writer.write(new Uint8Array(300).fill(0x61));
  assert.equal((await outputOf(child)).length, 300);
});
