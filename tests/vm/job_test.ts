import assert from "node:assert/strict";
import { commandScript, hiddenPaths, type Job } from "./job.ts";

const job: Job = { command: ["true"], env: {}, cwd: "/", denoDirectory: "/d", expose: [] };

Deno.test("Words that a shell script cannot carry are refused", () => {
  assert.throws(() => commandScript({ ...job, command: ["a\0b"] }), RangeError);
  assert.throws(() => commandScript({ ...job, env: { "A B": "x" } }), RangeError);
  assert.throws(() => commandScript({ ...job, env: { "": "x" } }), RangeError);
});

Deno.test("The script runs exactly the words it was given, in exactly the environment", async () => {
  const words = ["it's", '"$HOME"', "`id`", "a\nb", "", "-n", "\\", "*"];
  const script = commandScript({
    ...job,
    command: ["sh", "-c", 'env; printf "<%s>" "$@"', "sh", ...words],
    env: { NOTE: "two\nlines ' and $more", PATH: "/usr/bin:/bin" },
    cwd: "/tmp",
  });
  const output = await new Deno.Command("sh", { args: ["-c", script] }).output();
  assert.equal(output.code, 0);
  const text = new TextDecoder().decode(output.stdout);
  assert.ok(text.endsWith(words.map((word) => `<${word}>`).join("")), text);
  assert.ok(text.includes("NOTE=two\nlines ' and $more\n"), text);
  assert.ok(!text.includes("HOME="), text);
});

Deno.test("A missing directory gives 126 and a missing program 127", async () => {
  for (
    const [change, code] of [[{ cwd: "/nonexistent" }, 126], [{ command: ["/nonexistent"] }, 127]]
  ) {
    const script = commandScript({ ...job, ...(change as Partial<Job>) });
    assert.equal((await new Deno.Command("sh", { args: ["-c", script] }).output()).code, code);
  }
});

Deno.test("Only paths below the guest's own mounts need exposing, each once", () => {
  assert.deepEqual(
    hiddenPaths(["/work", "/tmp", "/tmp/a/b", "/tmp/a", "/tmpfile", "/run/x", "/tmp/a", "/tmp/ab"]),
    ["/run/x", "/tmp/a", "/tmp/ab"],
  );
});
