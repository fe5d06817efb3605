import assert from "node:assert/strict";
import { failuresIn } from "./failures.ts";

async function outputOf(source: string): Promise<string> {
  const directory = await Deno.makeTempDir({ prefix: "pr2t-failures-" });
  try {
    await Deno.writeTextFile(`${directory}/some_test.ts`, source);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--quiet", "--no-config", "some_test.ts"],
      cwd: directory,
      env: { NO_COLOR: "1" },
      stderr: "null",
    }).output();
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const failing = (name: string, message: string) =>
  `Deno.test("${name}", () => { throw new Error(${JSON.stringify(message)}); });\n`;

Deno.test("each failed test is told with its place and its error, and none that passed", async () => {
  const told = failuresIn(
    await outputOf(
      failing("one", "First") + `Deno.test("fine", () => {});\n` + failing("two", "Second"),
    ),
  );
  const heads = told.filter((line) => line.includes(" => ./"));
  assert.deepEqual(heads, [
    "one => ./some_test.ts:1:6",
    "two => ./some_test.ts:3:6",
  ]);
  for (const message of ["First", "Second"]) {
    assert.ok(told.includes(`error: Error: ${message}`), told.join("\n"));
  }
  assert.ok(!told.some((line) => line.includes("fine")));
});

Deno.test("a long error is told in part, and how much of it is missing", async () => {
  const message = Array.from({ length: 100 }, (_, index) => `line ${index}`).join("\n");
  const told = failuresIn(await outputOf(failing("long", message)));
  assert.ok(told.length < 20, told.join("\n"));
  assert.match(told.at(-1) ?? "", /^… \d+ more lines$/);
});

Deno.test("a file that does not load is told, and a run without failures tells nothing", async () => {
  const told = failuresIn(await outputOf(`throw new Error("Broken");\n`));
  assert.match(told.join("\n"), /some_test\.ts \(uncaught error\)\nerror: .*Broken/);
  assert.deepEqual(failuresIn(await outputOf(`Deno.test("fine", () => {});\n`)), []);
  assert.deepEqual(failuresIn(""), []);
});
