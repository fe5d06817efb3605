import assert from "node:assert/strict";
import { createLogger } from "../log.ts";
import { openKeptShutdowns } from "./kept_shutdowns.ts";

const peers = new Map([
  ["192.0.2.1", { prefixes: 11, limit: { limit: 10 }, since: 1 }],
  ["fd00::1", { prefixes: 7, limit: { limit: 5, restartSeconds: 30 }, since: 2 }],
]);

Deno.test("peers that are shut down are remembered over a restart, and a damaged file remembers none", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/shut_peers.json`;
    const log = createLogger("error", () => {});
    assert.equal(openKeptShutdowns(path, log).all().size, 0);
    openKeptShutdowns(path, log).replace(peers);
    assert.deepEqual(openKeptShutdowns(path, log).all(), peers);
    openKeptShutdowns(path, log).replace(new Map());
    assert.equal(openKeptShutdowns(path, log).all().size, 0);
    for (const text of ["{", '{"192.0.2.1":{"since":"now"}}']) {
      await Deno.writeTextFile(path, text);
      assert.equal(openKeptShutdowns(path, log).all().size, 0);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("what cannot be written is held in memory, and said", () => {
  const said: string[] = [];
  const log = createLogger("warn", (line) => said.push(line));
  const kept = openKeptShutdowns("/nonexistent/shut_peers.json", log);
  kept.replace(peers);
  assert.deepEqual(kept.all(), peers);
  assert.equal(said.length, 1);
});
