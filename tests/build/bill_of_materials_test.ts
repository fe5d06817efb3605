import assert from "node:assert/strict";
import {
  billOfMaterials,
  licenseList,
  lockedPackages,
  readMaterials,
} from "../../build/bill_of_materials.ts";

/** Licenses that may be passed on with a program under Apache-2.0. */
const compatible = /^(MIT|ISC|0BSD|BSD-2-Clause|BSD-3-Clause|Apache-2\.0|Python-2\.0|Unlicense)$/;

Deno.test("A package that the lock file does not pin is no material", () => {
  const lock = { specifiers: { "npm:a@1": "1.0.0" }, npm: {} };
  assert.throws(() => lockedPackages(lock), { code: "LockIncomplete" });
});

Deno.test("Each package is there once with its own, and those of tests are not", () => {
  const entry = (...dependencies: string[]) => ({ integrity: "sha512-AAAA", dependencies });
  const packages = lockedPackages({
    specifiers: { "npm:a@1": "1.0.0", "npm:@s/b@2": "2.0.0", "npm:fast-check@4": "4.0.0" },
    npm: {
      "a@1.0.0": entry("c@1.0.0", "@s/b"),
      "@s/b@2.0.0_c@2.0.0": entry("c@2.0.0"),
      "c@1.0.0": entry(),
      "c@2.0.0": entry("a"),
      "fast-check@4.0.0": entry("d"),
      "d@1.0.0": entry(),
    },
  });
  assert.deepEqual(
    packages.map(({ name, version, dependencies }) => [name, version, dependencies]),
    [
      ["@s/b", "2.0.0", ["c@2.0.0"]],
      ["a", "1.0.0", ["@s/b@2.0.0", "c@1.0.0"]],
      ["c", "1.0.0", []],
      ["c", "2.0.0", ["a@1.0.0"]],
    ],
  );
});

Deno.test("The bill of materials has every package of the programs, its digest and a license that can be passed on", async () => {
  const materials = await readMaterials();
  for (const { name, license } of materials) assert.match(license, compatible, name);
  const bill = JSON.parse(billOfMaterials(materials, Deno.version.deno));
  assert.equal(bill.bomFormat, "CycloneDX");
  const names: string[] = bill.components.map(({ name }: { name: string }) => name);
  for (const name of ["deno", "@kubernetes/client-node", "hono", "prom-client", "yaml", "zod"]) {
    assert.ok(names.includes(name), name);
  }
  assert.ok(!names.includes("fast-check"));
  const references = new Set(
    bill.components.map((each: Record<string, string>) => each["bom-ref"]),
  );
  assert.equal(references.size, bill.components.length);
  for (const { dependsOn } of bill.dependencies) {
    for (const reference of dependsOn) assert.ok(references.has(reference), reference);
  }
  for (const { type, hashes } of bill.components) {
    if (type === "library") assert.match(hashes[0].content, /^[0-9a-f]{128}$/);
  }
  assert.equal(licenseList(materials).trim().split("\n").length, materials.length);
});
