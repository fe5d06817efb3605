import assert from "node:assert/strict";
import { sideBySide } from "./side_by_side.ts";

interface Item {
  readonly name: string;
  readonly alone?: boolean;
}

const named = (...names: string[]): Item[] => names.map((name) => ({ name }));

/** Runs that end when they are told to. */
function stage() {
  const begun: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<void>>();
  return {
    begun,
    run: ({ name }: Item) => {
      begun.push(name);
      const end = Promise.withResolvers<void>();
      ends.set(name, end);
      return end.promise;
    },
    end: async (name: string, error?: Error) => {
      if (error === undefined) ends.get(name)?.resolve();
      else ends.get(name)?.reject(error);
      // Whatever follows from it does so before the next turn of the event loop.
      await new Promise((resolve) => setTimeout(resolve));
    },
  };
}

Deno.test("as many run as there are seats, and the next begins when one has ended", async () => {
  const { begun, run, end } = stage();
  const all = sideBySide(named("a", "b", "c", "d"), 2, run);
  assert.deepEqual(begun, ["a", "b"]);
  await end("b");
  assert.deepEqual(begun, ["a", "b", "c"]);
  await end("a");
  assert.deepEqual(begun, ["a", "b", "c", "d"]);
  await end("c");
  await end("d");
  await all;
});

Deno.test("what wants to be alone begins when the others have ended, and keeps the next ones waiting", async () => {
  const { begun, run, end } = stage();
  const items: Item[] = [{ name: "a" }, { name: "b", alone: true }, { name: "c" }];
  const all = sideBySide(items, 2, run);
  assert.deepEqual(begun, ["a"]);
  await end("a");
  assert.deepEqual(begun, ["a", "b"]);
  await end("b");
  assert.deepEqual(begun, ["a", "b", "c"]);
  await end("c");
  await all;
});

Deno.test("after a failure nothing more begins, and it is told when what has begun has ended", async () => {
  const { begun, run, end } = stage();
  const all = sideBySide(named("a", "b", "c"), 2, run);
  let told: unknown;
  const settled = all.catch((error) => {
    told = error;
  });
  await end("a", new Error("Broken"));
  assert.deepEqual(begun, ["a", "b"]);
  assert.equal(told, undefined);
  await end("b");
  await settled;
  assert.match(String(told), /Broken/);
});

Deno.test("less than one seat is one", async () => {
  const { begun, run, end } = stage();
  const all = sideBySide(named("a", "b"), 0, run);
  assert.deepEqual(begun, ["a"]);
  await end("a");
  await end("b");
  await all;
});
