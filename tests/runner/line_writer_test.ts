import assert from "node:assert/strict";
import { lineWriter } from "./line_writer.ts";

Deno.test("lines are given whole and with their prefix, however they come", () => {
  const lines: string[] = [];
  const write = lineWriter("lab: ", (line) => lines.push(line));
  const bytes = new TextEncoder().encode("first … ok\nsecond\n\nthird");
  // One byte at a time, which tears a character as well.
  for (let index = 0; index < bytes.length; index++) write(bytes.subarray(index, index + 1));
  assert.deepEqual(lines, ["lab: first … ok", "lab: second", "lab: "]);
});
