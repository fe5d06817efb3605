import assert from "node:assert/strict";
import { loadCredentials } from "./data_dir.ts";

Deno.test("a server certificate stays while it holds, and one of another host or another time is made anew", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "pr2t-" });
  try {
    const now = new Date("2030-01-01T00:00:00Z");
    const load = (host: string, days = 0) =>
      loadCredentials(directory, [host], new Date(now.getTime() + days * 24 * 3_600_000));
    const first = await load("127.0.0.1");
    assert.deepEqual(await load("127.0.0.1", 300), first);
    const moved = await load("127.0.0.2");
    assert.notEqual(moved.server.certificate, first.server.certificate);
    const back = await load("127.0.0.2", -2);
    assert.notEqual(back.server.certificate, moved.server.certificate, "it did not hold yet");
    const late = await load("127.0.0.2", 9.5 * 365);
    assert.notEqual(late.server.certificate, back.server.certificate, "it was about to end");
    for (const { ca, token } of [moved, back, late]) {
      assert.deepEqual([ca, token], [first.ca, first.token]);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
