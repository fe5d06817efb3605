import assert from "node:assert/strict";
import { emptyModel, step } from "./model.ts";
import { plan } from "./plan.ts";

const size = { pods: 60, nodes: 2 };

Deno.test("the same seed gives the same operations, another seed others", () => {
  assert.deepEqual(plan(7, 500, size), plan(7, 500, size));
  assert.notDeepEqual(plan(7, 500, size), plan(8, 500, size));
});

Deno.test("a longer plan begins with the shorter one, so that a difference is found again", () => {
  const short = plan(7, 300, size).slice(0, -1);
  assert.deepEqual(plan(7, 500, size).slice(0, short.length), short);
});

Deno.test("no operation is of a pod that cannot have it: only attached ones are detached, only others attached", () => {
  let model = emptyModel;
  for (const operation of plan(3, 5_000, size)) {
    const free = ["add", "cut add", "del unknown"].includes(operation.kind);
    if ("pod" in operation) {
      assert.equal(model.attached.has(operation.pod), !free, operation.kind);
      assert.ok(operation.pod < size.pods);
    }
    if (operation.kind === "gc" || operation.kind === "reboot") {
      for (const pod of operation.dropped) {
        assert.ok(model.attached.has(pod) && pod % size.nodes === operation.node);
      }
    }
    if (operation.kind === "cut api") assert.ok(model.apiRuns);
    if (operation.kind === "start api") assert.ok(!model.apiRuns);
    model = step(model, operation);
  }
});

Deno.test("every kind of operation comes, most pods are attached, and the API server runs at the end", () => {
  const operations = plan(5, 5_000, size);
  const kinds = new Set(operations.map(({ kind }) => kind));
  assert.equal(kinds.size, 22, [...kinds].join(", "));
  const end = operations.reduce(step, emptyModel);
  assert.ok(end.apiRuns);
  assert.ok(end.attached.size > size.pods / 2, String(end.attached.size));
});
