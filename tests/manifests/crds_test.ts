import assert from "node:assert/strict";
import { parse } from "yaml";
import { z } from "zod";
import { apiVersionOf } from "../../daemon/resources/kind.ts";
import { ownKinds } from "../../daemon/resources/registry.ts";
import { crdFileName, crdOf } from "../../manifests/crd.ts";
import { driftedFiles } from "../../manifests/generate.ts";

const root = new URL("../..", import.meta.url);

/** As much of a definition as is looked at. */
const definition = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    versions: z.array(z.object({
      additionalPrinterColumns: z.array(z.object({ name: z.string() })),
      subresources: z.object({ status: z.object({}) }),
      schema: z.object({ openAPIV3Schema: z.unknown() }),
    })).length(1),
  }),
});

Deno.test("The generated manifests are those of the sources: run manifests/generate.ts", async () => {
  assert.deepEqual(await driftedFiles(), []);
});

Deno.test("Each kind has a definition with its names, columns and status", async () => {
  for (const kind of ownKinds) {
    const path = new URL(`manifests/crds/${crdFileName(kind)}`, root);
    const crd = definition.parse(parse(await Deno.readTextFile(path)));
    assert.equal(crd.metadata.name, `${kind.plural}.${kind.group}`);
    assert.deepEqual(
      crd.spec.versions[0]?.additionalPrinterColumns.map(({ name }) => name),
      [...kind.printerColumns.map(({ name }) => name), "Age"],
    );
  }
});

/** Visits every schema node. */
function visit(node: unknown, at: string, see: (node: object, at: string) => void): void {
  if (typeof node !== "object" || node === null) return;
  see(node, at);
  const properties: unknown = Reflect.get(node, "properties");
  if (typeof properties === "object" && properties !== null) {
    for (const [name, child] of Object.entries(properties)) visit(child, `${at}.${name}`, see);
  }
  visit(Reflect.get(node, "items"), `${at}[]`, see);
}

Deno.test("Every list on the way to a rule has a maximum, and every text with a rule", () => {
  for (const kind of ownKinds) {
    const schema = definition.parse(crdOf(kind)).spec.versions[0]?.schema.openAPIV3Schema;
    const unbounded = new Set<string>();
    visit(schema, kind.kind, (node, at) => {
      const type: unknown = Reflect.get(node, "type");
      const bounded = type === "array" && Reflect.has(node, "maxItems");
      if (type === "array" && !bounded) unbounded.add(at);
      if (Reflect.has(node, "x-kubernetes-validations")) {
        assert.deepEqual([...unbounded].filter((list) => at.startsWith(`${list}[]`)), [], at);
        if (type === "string") assert.ok(Reflect.has(node, "maxLength"), at);
      }
    });
  }
});

Deno.test("Fields that must not change are those of the tenants and the blocks, and each has the rule", () => {
  const immutable = ownKinds.flatMap((kind) =>
    (kind.immutable ?? []).map((field) => `${apiVersionOf(kind)} ${kind.kind} ${field}`)
  );
  const staying: string[] = [];
  const transitions = ownKinds.flatMap((kind) => {
    const found: string[] = [];
    const schema = definition.parse(crdOf(kind)).spec.versions[0]?.schema.openAPIV3Schema;
    visit(schema, "", (node, at) => {
      const rules: unknown = Reflect.get(node, "x-kubernetes-validations");
      for (const rule of Array.isArray(rules) ? rules : []) {
        const field = `${apiVersionOf(kind)} ${kind.kind} ${at.slice(1)}`;
        if (rule.rule === "self == oldSelf") found.push(field);
        // An optional one has a rule besides, where it may go.
        else if (rule.rule.includes("oldSelf")) staying.push(`${field}${rule.fieldPath}`);
      }
    });
    return found;
  });
  assert.deepEqual(transitions.toSorted(), immutable.toSorted());
  assert.equal(immutable.length, 11);
  assert.deepEqual(
    staying,
    immutable.filter((field) => / VRFDomain .*(?:prefix|block)/.test(field)),
  );
});
