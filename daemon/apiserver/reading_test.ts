import assert from "node:assert/strict";
import { vrfDomainKind } from "../resources/vrf_domain.ts";
import { ApiError } from "./api_error.ts";
import type { ApiObject } from "./api_object.ts";
import { firstAtJsonPath } from "./json_path.ts";
import { negotiate } from "./negotiate.ts";
import { parseResourcePath } from "./request_path.ts";
import { parseFieldSelector, parseLabelSelector } from "./selectors.ts";
import { age, renderTable } from "./table.ts";

function labelled(labels: Record<string, string>): ApiObject {
  return {
    apiVersion: "v1",
    kind: "Thing",
    metadata: {
      name: "a",
      uid: "u",
      resourceVersion: "1",
      creationTimestamp: "2026-01-01T00:00:00Z",
      labels,
    },
    spec: { nodeName: "node-a" },
  };
}

const isBadRequest = (error: unknown) => error instanceof ApiError && error.httpStatus === 400;

for (const text of ["a b", "=", "a in b", "a in (b", "!", "a,,b", "a=b=c", "/a=b"]) {
  Deno.test(`The label selector "${text}" is refused`, () => {
    assert.throws(() => parseLabelSelector(text), isBadRequest);
  });
}

Deno.test("A label selector's terms must all hold; blanks do not matter", () => {
  const object = labelled({ app: "web", tier: "front", "example.org/n": "3" });
  const holds: readonly [string, boolean][] = [
    ["app = web , tier=front", true],
    ["app=web,tier=back", false],
    ["app in (web, api),tier notin (back)", true],
    ["app notin(web)", false],
    ["!gone,app", true],
    ["gone", false],
    ["gone!=x", true],
    ["example.org/n>2", true],
    ["example.org/n<3", false],
    ["app in ()", false],
  ];
  for (const [text, expected] of holds) {
    assert.equal(parseLabelSelector(text.replace("notin(", "notin ("))?.(object), expected, text);
  }
  assert.equal(parseLabelSelector(""), undefined);
});

Deno.test("A field selector knows name, namespace and the kind's own fields alone", () => {
  const object = labelled({});
  assert.throws(() => parseFieldSelector("spec.other=1", ["spec.nodeName"]), isBadRequest);
  assert.throws(() => parseFieldSelector("metadata.name", []), isBadRequest);
  assert.equal(parseFieldSelector("spec.nodeName=node-a", ["spec.nodeName"])?.(object), true);
  assert.equal(parseFieldSelector("metadata.name!=a", [])?.(object), false);
  assert.equal(parseFieldSelector("metadata.namespace=", [])?.(object), true);
});

Deno.test("Paths of other forms, or with an encoded slash, mean no resource", () => {
  for (
    const path of [
      "/",
      "/api",
      "/api/v1",
      "/apis/g/v1",
      "/other/v1/x",
      "/api/v1/pods/a/b/c",
      "/api/v1/pods/a%2Fb",
      "/api/v1/pods/%",
      "/api/v1//pods",
    ]
  ) assert.equal(parseResourcePath(path), undefined, path);
});

Deno.test("A path tells namespace, name and subresource, also of namespaces themselves", () => {
  const parse = (path: string) => {
    const found = parseResourcePath(path);
    return [found?.apiVersion, found?.namespace, found?.plural, found?.name, found?.subresource];
  };
  assert.deepEqual(parse("/api/v1/pods"), ["v1", "", "pods", "", ""]);
  assert.deepEqual(parse("/api/v1/namespaces/a/pods/b/status"), ["v1", "a", "pods", "b", "status"]);
  assert.deepEqual(parse("/api/v1/namespaces/a"), ["v1", "", "namespaces", "a", ""]);
  assert.deepEqual(parse("/api/v1/namespaces/a/status"), ["v1", "", "namespaces", "a", "status"]);
  assert.deepEqual(parse("/apis/g.example/v1/things/a"), ["g.example/v1", "", "things", "a", ""]);
});

Deno.test("The first form that can be given is taken; none is refused with 406", () => {
  assert.equal(negotiate(undefined), "json");
  assert.equal(negotiate("application/vnd.kubernetes.protobuf,application/json"), "json");
  assert.equal(
    negotiate("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"),
    "json",
  );
  assert.equal(negotiate("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), "table");
  assert.throws(
    () => negotiate("application/vnd.kubernetes.protobuf"),
    (error: unknown) => error instanceof ApiError && error.httpStatus === 406,
  );
});

Deno.test("A printer column's path goes through fields, indices and filters", () => {
  const root = {
    a: [{ type: "X", "b.c": 1 }, { type: "Y", "b.c": 2 }],
    conditions: [{ type: "Ready", status: "False" }],
  };
  assert.equal(firstAtJsonPath(root, '.conditions[?(@.type=="Ready")].status'), "False");
  assert.equal(firstAtJsonPath(root, ".a[1]['b.c']"), 2);
  assert.equal(firstAtJsonPath(root, ".a[*].type"), "X");
  assert.equal(firstAtJsonPath(root, ".a.type"), undefined);
  assert.equal(firstAtJsonPath(root, ".constructor"), undefined);
});

Deno.test("A cell of the wrong type is empty", () => {
  const object = { ...labelled({}), spec: { vrf: "200", prefix: 7 } };
  const now = new Date("2026-01-01T00:00:05Z");
  const table = renderTable(vrfDomainKind, [object], {}, "None", now);
  assert.deepEqual(table["rows"], [{
    cells: ["a", null, null, "7", null, null, null, null, "5s"],
  }]);
});

Deno.test("Ages are written as kubectl writes them", () => {
  const since = (seconds: number) =>
    age("2026-01-01T00:00:00Z", new Date(Date.parse("2026-01-01T00:00:00Z") + seconds * 1000));
  const expected: readonly [number, string][] = [
    [-5, "0s"],
    [119, "119s"],
    [120, "2m"],
    [200, "3m20s"],
    [3600, "60m"],
    [4 * 3600 + 60, "4h1m"],
    [47 * 3600, "47h"],
    [50 * 3600, "2d2h"],
    [30 * 86400, "30d"],
    [800 * 86400, "2y70d"],
  ];
  for (const [seconds, text] of expected) assert.equal(since(seconds), text);
  assert.equal(age("never", new Date()), "<unknown>");
});
