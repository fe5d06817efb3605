import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "./json.ts";
import { applyJsonPatch, applyMergePatch, PatchError } from "./json_patch.ts";
import { serverSideApply } from "./server_side_apply.ts";
import { applyStrategicMerge } from "./strategic_merge.ts";

const malformed: readonly [string, JsonValue][] = [
  ["that is no list", {}],
  ["with an operation that is no object", [1]],
  ["with an unknown operation", [{ op: "invent", path: "/a" }]],
  ["without a path", [{ op: "remove" }]],
  ["with a pointer that does not begin with a slash", [{ op: "remove", path: "a" }]],
  ["without a value", [{ op: "add", path: "/a" }]],
  ["that moves a value into itself", [{ op: "move", from: "/a", path: "/a/b" }]],
];

for (const [what, patch] of malformed) {
  Deno.test(`A JSON patch ${what} is malformed`, () => {
    assert.throws(
      () => applyJsonPatch({ a: { b: 1 } }, patch),
      (error: unknown) => error instanceof PatchError && error.code === "PatchMalformed",
    );
  });
}

const unfit: readonly [string, JsonValue][] = [
  ["removes what is not there", [{ op: "remove", path: "/x" }]],
  ["replaces what is not there", [{ op: "replace", path: "/x", value: 1 }]],
  ["adds under what is not there", [{ op: "add", path: "/x/y", value: 1 }]],
  ["adds behind the end of a list", [{ op: "add", path: "/list/3", value: 1 }]],
  ["names an index with a leading zero", [{ op: "remove", path: "/list/00" }]],
  ["names an inherited property", [{ op: "copy", from: "/constructor", path: "/x" }]],
  ["tests another value", [{ op: "test", path: "/list", value: [2, 1] }]],
];

for (const [what, patch] of unfit) {
  Deno.test(`A JSON patch that ${what} does not fit`, () => {
    assert.throws(
      () => applyJsonPatch({ list: [1, 2] }, patch),
      (error: unknown) => error instanceof PatchError && error.code === "PatchFailed",
    );
  });
}

Deno.test("A JSON patch does what RFC 6902, appendix A, says, and leaves its document alone", () => {
  const cases: readonly [JsonValue, JsonValue, JsonValue][] = [
    [{ foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { baz: "qux", foo: "bar" }],
    [{ foo: ["a", "b"] }, [{ op: "add", path: "/foo/1", value: "c" }], { foo: ["a", "c", "b"] }],
    [{ foo: ["a", "b", "c"] }, [{ op: "remove", path: "/foo/1" }], { foo: ["a", "c"] }],
    [
      { foo: { bar: 1, waldo: 2 }, qux: { corge: 3 } },
      [{ op: "move", from: "/foo/waldo", path: "/qux/thud" }],
      { foo: { bar: 1 }, qux: { corge: 3, thud: 2 } },
    ],
    [
      { foo: ["a", "b", "c", "d"] },
      [{ op: "move", from: "/foo/1", path: "/foo/3" }],
      { foo: ["a", "c", "d", "b"] },
    ],
    [{ "/": 9, "~1": 10 }, [{ op: "test", path: "/~01", value: 10 }], { "/": 9, "~1": 10 }],
    [{ foo: ["a"] }, [{ op: "add", path: "/foo/-", value: ["b"] }], { foo: ["a", ["b"]] }],
    [{ foo: 1 }, [{ op: "replace", path: "", value: [1] }], [1]],
    [{ a: null }, [{ op: "replace", path: "/a", value: null }], { a: null }],
  ];
  for (const [document, patch, expected] of cases) {
    const before = structuredClone(document);
    assert.deepEqual(applyJsonPatch(document, patch), expected);
    assert.deepEqual(document, before);
  }
});

Deno.test("A merge patch does what RFC 7396, appendix A, says", () => {
  const cases: readonly [JsonValue, JsonValue, JsonValue][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: "foo" }, ["c"], ["c"]],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [document, patch, expected] of cases) {
    assert.deepEqual(applyMergePatch(document, patch), expected);
  }
});

Deno.test("A merge patch with a key __proto__ adds a plain key and no more", () => {
  const merged = applyMergePatch({}, JSON.parse('{"__proto__": {"polluted": true}}'));
  assert.equal(Reflect.get({}, "polluted"), undefined);
  assert.deepEqual(Object.keys(Object(merged)), ["__proto__"]);
});

Deno.test("A strategic merge refuses list items without their key", () => {
  assert.throws(
    () => applyStrategicMerge({}, { containers: [{ image: "a" }] }),
    (error: unknown) => error instanceof PatchError && error.code === "PatchMalformed",
  );
});

Deno.test("A strategic merge merges lists by key, obeys directives, and replaces other lists", () => {
  const document = {
    containers: [{ name: "a", image: "1" }, { name: "b", image: "1" }],
    tolerations: [{ key: "x" }],
    finalizers: ["one"],
  };
  const patch = {
    containers: [{ name: "b", image: "2" }, { name: "a", $patch: "delete" }, { name: "c" }],
    "$setElementOrder/containers": [{ name: "c" }, { name: "b" }],
    tolerations: [{ key: "y" }],
    finalizers: ["two"],
  };
  assert.deepEqual(applyStrategicMerge(document, patch), {
    containers: [{ name: "c" }, { name: "b", image: "2" }],
    tolerations: [{ key: "y" }],
    finalizers: ["one", "two"],
  });
  const fewer = { "$deleteFromPrimitiveList/finalizers": ["one"] };
  assert.deepEqual(applyStrategicMerge({ finalizers: ["one", "two"] }, fewer), {
    finalizers: ["two"],
  });
  assert.deepEqual(applyStrategicMerge({ a: { b: 1, c: 2 } }, { a: { $patch: "replace", d: 3 } }), {
    a: { d: 3 },
  });
});

function applyAs(manager: string, live: JsonObject | undefined, config: JsonObject, force = false) {
  const time = "2026-01-01T00:00:00Z";
  const outcome = serverSideApply(live, config, { manager, force, subresource: "", time });
  const { merged, managedFields, conflicts } = outcome;
  const metadata = Object.assign({}, merged["metadata"], { managedFields });
  const applied: JsonObject = { ...merged, metadata };
  return { live: applied, spec: merged["spec"], conflicts };
}

Deno.test("Server-side apply removes what its manager drops, unless another still applies it", () => {
  const first = applyAs("one", undefined, { metadata: { name: "x" }, spec: { a: 1, b: 1, c: 1 } });
  const second = applyAs("two", first.live, { spec: { b: 1 } });
  assert.deepEqual(second.conflicts, []);
  const third = applyAs("one", second.live, { spec: { a: 1 } });
  assert.deepEqual(third.spec, { a: 1, b: 1 });
});

Deno.test("Server-side apply merges conditions by type and drops the manager's own", () => {
  const condition = (type: string, status: string) => ({ type, status });
  const one = applyAs("one", undefined, { status: { conditions: [condition("A", "True")] } });
  const two = applyAs("two", one.live, { status: { conditions: [condition("B", "True")] } });
  assert.deepEqual(Object(two.live["status"]).conditions.length, 2);
  const gone = applyAs("one", two.live, { status: {} });
  assert.deepEqual(gone.live["status"], { conditions: [condition("B", "True")] });
});

Deno.test("A field that is taken by force belongs to its taker alone", () => {
  const one = applyAs("one", undefined, { spec: { a: 1, b: 1 } });
  const disputed = applyAs("two", one.live, { spec: { a: 2 } });
  assert.deepEqual(disputed.conflicts, [{ field: ".spec.a", manager: "one" }]);
  const taken = applyAs("two", one.live, { spec: { a: 2 } }, true);
  const after = applyAs("one", taken.live, { spec: { b: 1 } });
  assert.deepEqual(after.spec, { a: 2, b: 1 });
});
