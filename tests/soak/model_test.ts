import assert from "node:assert/strict";
import { emptyModel, step } from "./model.ts";

Deno.test("what attaches and detaches pods changes who is attached, and faults do not", () => {
  const two = ([0, 1] as const).reduce(
    (model, pod) => step(model, { kind: "add", pod }),
    emptyModel,
  );
  assert.deepEqual([...two.attached], [0, 1]);
  for (const kind of ["del", "del twice", "vanish", "unplug"] as const) {
    assert.deepEqual([...step(two, { kind, pod: 0 }).attached], [1], kind);
  }
  assert.deepEqual([...step(two, { kind: "gc", node: 1, dropped: [1] }).attached], [0]);
  const reboot = { kind: "reboot", node: 1, dropped: [1], says: "nothing" } as const;
  assert.deepEqual([...step(two, reboot).attached], [0]);
  assert.equal(step(two, { kind: "kill daemon", node: 0 }), two);
  assert.equal(step(two, { kind: "cut add", pod: 2, ms: 5, then: "vanish" }), two);
});

Deno.test("domains come and go, and a binding leads elsewhere", () => {
  const there = step(emptyModel, { kind: "create domain", domain: "passing-0" });
  assert.deepEqual([...there.passing], ["passing-0"]);
  const gone = step(there, { kind: "delete domain", domain: "passing-0" });
  assert.deepEqual([...gone.passing], []);
  assert.equal(step(emptyModel, { kind: "bind", tenant: "soak-d" }).bound, "soak-d");
});
