import assert from "node:assert/strict";
import { controlMessages, parseControlLine } from "./control.ts";

Deno.test("Anything that is no message is a failure that quotes it", () => {
  for (const line of ["", "exit", "exit 256", "exit -1", "exit 1 2", "Ready", "failed "]) {
    assert.deepEqual(parseControlLine(line), {
      kind: "failed",
      reason: `unexpected control message "${line}"`,
    });
  }
});

Deno.test("Messages are read across chunks, and one that is cut off is dropped", async () => {
  const port = ReadableStream.from(["rea", "dy\nexit 4", "2\nfailed no", " vrf\nexit 1"])
    .pipeThrough(new TextEncoderStream());
  assert.deepEqual(await Array.fromAsync(controlMessages(port)), [
    { kind: "ready" },
    { kind: "exit", code: 42 },
    { kind: "failed", reason: "no vrf" },
  ]);
});
