import assert from "node:assert/strict";
import { processIdentity } from "./process_identity.ts";

Deno.test("a process has an identity while it runs, and none once it has ended, waited for or not", async () => {
  assert.equal(processIdentity(Deno.pid), processIdentity(Deno.pid));
  assert.match(processIdentity(Deno.pid) ?? "", new RegExp(`^${Deno.pid}:\\d+$`));
  // The shell becomes a program that waits for nobody, so that what it has started stays when it ends.
  await using parent = new Deno.Command("sh", {
    args: ["-c", "cat & echo $!; exec sleep 60"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = parent.stdout.getReader();
  const pid = Number(new TextDecoder().decode((await reader.read()).value));
  Deno.kill(pid, "SIGKILL");
  while (!Deno.readTextFileSync(`/proc/${pid}/stat`).includes(") Z ")) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(processIdentity(pid), undefined);
  assert.equal(processIdentity(0), undefined);
  reader.releaseLock();
  await parent.stdout.cancel();
  await parent.stdin.close();
});
