import assert from "node:assert/strict";
import { growth } from "./growth.ts";

const warm = [{ name: "node1 daemon", rss: 200, fds: 50, threads: 12 }];

Deno.test("a program within its bounds has not grown", () => {
  assert.deepEqual(growth(warm, warm), []);
  assert.deepEqual(growth(warm, [{ name: "node1 daemon", rss: 364, fds: 66, threads: 20 }]), []);
});

Deno.test("memory, descriptors and threads beyond their bounds are told, a domain has its own, and a program that has gone", () => {
  const grown = growth(warm, [{ name: "node1 daemon", rss: 365, fds: 67, threads: 21 }]);
  assert.deepEqual(grown, [
    "node1 daemon: rss grew from 200 to 365, at most 364 expected",
    "node1 daemon: fds grew from 50 to 67, at most 66 expected",
    "node1 daemon: threads grew from 12 to 21, at most 20 expected",
  ]);
  assert.equal(
    growth(warm, [{ name: "node1 daemon", rss: 200, fds: 90, threads: 12 }], 2).length,
    0,
  );
  assert.equal(
    growth(warm, [{ name: "node1 daemon", rss: 200, fds: 91, threads: 12 }], 2).length,
    1,
  );
  assert.deepEqual(growth(warm, []), ["node1 daemon does not run"]);
});
