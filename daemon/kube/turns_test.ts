import assert from "node:assert/strict";
import { createTurns } from "./turns.ts";

Deno.test("nobody waits while it is not known how many nodes there are, and hardly where they are few", () => {
  assert.equal(createTurns({ nodes: () => 0, random: () => 0.99 })(), 0);
  assert.equal(createTurns({ nodes: () => 2, random: () => 1 })(), 20);
});

Deno.test("a thousand nodes that all want the same at once come a hundred a second", () => {
  let index = 0;
  const turn = createTurns({ nodes: () => 1000, random: () => index++ / 1000 });
  const waits = Array.from({ length: 1000 }, turn);
  const perSecond = Map.groupBy(waits, (ms) => Math.floor(ms / 1000));
  assert.equal(perSecond.size, 10);
  assert.ok([...perSecond.values()].every(({ length }) => length <= 101));
});
