import assert from "node:assert/strict";
import { openApiSchema, openApiSchemaOf } from "./openapi_schema.ts";
import { cniConfigSpec } from "./cni_config.ts";
import { cniConfigSelectionStatus } from "./cni_config_selection.ts";
import { ipBlockStatus } from "./ip_block.ts";
import { ownKinds } from "./registry.ts";
import { vrfDomainSpec, vrfDomainStatus } from "./vrf_domain.ts";

function property(schema: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) => typeof value === "object" && value !== null ? Reflect.get(value, key) : value,
    schema,
  );
}

Deno.test("A spec's schema has its bounds, defaults, enums and required fields, and no others", () => {
  const schema = openApiSchema(vrfDomainSpec);
  assert.deepEqual(property(schema, "properties", "vrf"), {
    type: "integer",
    minimum: 1,
    maximum: 2 ** 31 - 1,
    description: "VRF id",
  });
  const attachment = property(schema, "properties", "attachments", "items");
  assert.deepEqual(property(attachment, "required"), ["type", "vni"]);
  assert.equal(property(attachment, "properties", "port", "default"), 4789);
  assert.deepEqual(property(attachment, "properties", "type", "enum"), ["l2vni", "l3vni"]);
});

Deno.test("An unbounded integer has no bounds of a double", () => {
  const schema = openApiSchema(cniConfigSelectionStatus);
  assert.deepEqual(property(schema, "properties", "observedGeneration"), {
    type: "integer",
    description: "Generation that was looked at",
  });
});

Deno.test("Free-form objects keep unknown fields, and maps say what their values are", () => {
  const plugin = property(openApiSchema(cniConfigSpec), "properties", "plugins", "items");
  assert.equal(property(plugin, "x-kubernetes-preserve-unknown-fields"), true);
  const allocations = property(openApiSchema(ipBlockStatus), "properties", "allocations");
  assert.deepEqual(property(allocations, "additionalProperties"), { type: "string" });
});

Deno.test("Conditions are a list map by type", () => {
  const conditions = property(openApiSchema(vrfDomainStatus), "properties", "conditions");
  assert.equal(property(conditions, "x-kubernetes-list-type"), "map");
  assert.deepEqual(property(conditions, "x-kubernetes-list-map-keys"), ["type"]);
});

Deno.test("No schema has what a structural schema forbids", () => {
  const forbidden = ["$schema", "$ref", "anyOf", "oneOf", "propertyNames"];
  const keys = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, child] of Object.entries(value)) {
      if (!Array.isArray(value)) keys.add(key);
      visit(child);
    }
  };
  for (const kind of ownKinds) visit(openApiSchemaOf(kind));
  assert.deepEqual(forbidden.filter((key) => keys.has(key)), []);
  assert.ok(
    !JSON.stringify(ownKinds.map(openApiSchemaOf)).includes('"additionalProperties":false'),
  );
});
