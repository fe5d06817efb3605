/** The Containerfile, as far as it can be tried without a registry. */
import assert from "node:assert/strict";
import { repository } from "../lab/options.ts";
import { executeRaw } from "../lab/process.ts";

const text = await Deno.readTextFile(`${repository}/Containerfile`);

/** The instructions, each on one line, without comments. */
const instructions = text.split("\n").filter((line) => !line.startsWith("#")).join("\n")
  .replaceAll("\\\n", " ").split("\n").filter((line) => line.trim() !== "");

function valuesOf(instruction: string): string[] {
  const prefix = `${instruction} `;
  return instructions.filter((line) => line.startsWith(prefix))
    .map((line) => line.slice(prefix.length).trim());
}

Deno.test("every image begins with one that an argument names, and takes something of the stage that checks them", () => {
  const froms = valuesOf("FROM");
  assert.equal(froms.length, 3);
  for (const from of froms) assert.match(from, /^\$\{(DENO|DEBIAN)_IMAGE\} AS /);
  // A stage is built only when it is needed: each image copies from it.
  assert.equal(valuesOf("COPY").filter((line) => line.startsWith("--from=build ")).length, 2);
  assert.equal(instructions.findIndex((line) => line.startsWith("FROM")) + 4, checkAt());
});

function checkAt(): number {
  return instructions.findIndex((line) => line.startsWith("RUN ") && line.includes("UNPINNED"));
}

Deno.test("nothing is built from a tag, unless it is said that it shall be", async () => {
  const script = instructions[checkAt()]?.slice("RUN ".length) ?? "exit 9";
  const digest = `@sha256:${"0123456789abcdef".repeat(4)}`;
  const build = async (deno: string, debian: string, unpinned: string) => {
    const env = { DENO_IMAGE: deno, DEBIAN_IMAGE: debian, UNPINNED: unpinned };
    return await executeRaw(["sh", "-c", script], { env });
  };
  const defaults = valuesOf("ARG").filter((line) => line.includes("="));
  const named = new Map(defaults.map((line): [string, string] => {
    const [name = "", ...value] = line.split("=");
    return [name, value.join("=")];
  }));
  const [deno = "", debian = ""] = [named.get("DENO_IMAGE"), named.get("DEBIAN_IMAGE")];
  const refused = await build(deno, debian, named.get("UNPINNED") ?? "");
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /deno:.* is not pinned by digest.*UNPINNED=yes/);
  for (const [one, other] of [[deno + digest, debian], [deno, debian + digest]] as const) {
    assert.equal((await build(one, other, "no")).code, 1);
  }
  for (const short of [`${deno}@sha256:`, `${deno}@sha256:0`, `${deno}${digest}-x`]) {
    assert.equal((await build(short, debian + digest, "no")).code, 1, short);
  }
  assert.equal((await build(deno + digest, debian + digest, "no")).code, 0);
  assert.equal((await build(deno, debian, "yes")).code, 0);
});

Deno.test("what is copied into the build is there, and the runtime is the version that the project is tried with", async () => {
  const sources = valuesOf("COPY").filter((line) => !line.startsWith("--from"))
    .flatMap((line) => line.split(/\s+/).filter((word) => !word.startsWith("--")).slice(0, -1));
  assert.ok(sources.includes("daemon") && sources.includes("plugin.ts"));
  for (const source of sources) await Deno.stat(`${repository}/${source}`);
  assert.ok(text.includes(`denoland/deno:debian-${Deno.version.deno}`));
});
