import assert from "node:assert/strict";
import { foldStringData } from "./secret_content.ts";

Deno.test("stringData becomes data in base64, and wins over data of the same key", () => {
  assert.deepEqual(
    foldStringData({
      type: "Opaque",
      data: { a: "eA==", b: "eQ==" },
      stringData: { b: "z", c: "\u00e9" },
    }),
    { type: "Opaque", data: { a: "eA==", b: "eg==", c: "w6k=" } },
  );
});

Deno.test("a Secret without stringData stays as it is", () => {
  assert.deepEqual(foldStringData({ data: { a: "eA==" } }), { data: { a: "eA==" } });
  assert.deepEqual(foldStringData({}), {});
});
