/** Holds the runbook to the sources: what a person may meet stands there, and what stands there can be met. */
import assert from "node:assert/strict";
import { join } from "node:path";

const root = join(import.meta.dirname ?? ".", "..", "..");

/** Where a code stands in a source: thrown, given as a reason, or one of a type's words. */
const forms = [
  /Error\(\s*"([A-Z]\w+)"/g,
  /\b(?:reason|code): "([A-Z]\w+)"/g,
  /\btype \w*(?:Code|Reason)\w* =([^;]*);/g,
];

/** The embedded API answers its clients with Kubernetes' own words. */
const foreign = /^daemon\/apiserver\//;

async function* sources(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
    const path = `${folder}/${name}`;
    if (isDirectory && name !== "testing") yield* sources(path);
    else if (name.endsWith(".ts") && !name.endsWith("_test.ts")) yield path;
  }
}

/** Text of each source by its path. */
async function readSources(): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const folder of ["lib", "daemon", "frr"]) {
    for await (const path of sources(folder)) {
      texts.set(path, await Deno.readTextFile(join(root, path)));
    }
  }
  return texts;
}

function codesIn(text: string): string[] {
  return forms.flatMap((form) => [...text.matchAll(form)])
    .flatMap(([, found = ""]) => found.includes('"') ? words(found) : [found])
    .filter((word) => /^[A-Z]\w+$/.test(word));
}

function words(union: string): string[] {
  return [...union.matchAll(/"(\w+)"/g)].map(([, word = ""]) => word);
}

Deno.test("each code and reason of the programs stands in the runbook or among the CNI errors", async () => {
  const docs = await Promise.all(
    ["runbook.md", "cni.md"].map((name) => Deno.readTextFile(join(root, "docs", name))),
  );
  const told = new Set(docs.flatMap((text) => [...text.matchAll(/\w+/g)].map(([word]) => word)));
  const missing: string[] = [];
  let seen = 0;
  for (const [path, text] of await readSources()) {
    if (foreign.test(path)) continue;
    for (const code of codesIn(text)) {
      seen++;
      if (!told.has(code)) missing.push(`${code} (${path})`);
    }
  }
  assert.ok(seen > 200, `Only ${seen} codes were found`);
  assert.deepEqual([...new Set(missing)], []);
});

Deno.test("no code stands in the runbook's tables that nothing gives any more", async () => {
  const given = [...(await readSources()).values()].join("\n");
  const runbook = await Deno.readTextFile(join(root, "docs", "runbook.md"));
  const rows = runbook.split("\n").filter((line) => line.startsWith("|"));
  const named = rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([A-Z]\w+)`/g)])
    .map(([, code = ""]) => code);
  assert.ok(named.length > 80, `Only ${named.length} codes were found`);
  assert.deepEqual(named.filter((code) => !given.includes(`"${code}"`)), []);
});
