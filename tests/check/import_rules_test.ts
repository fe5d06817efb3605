import assert from "node:assert/strict";
import { importViolations } from "./import_rules.ts";

function messages(path: string, text: string): string[] {
  return importViolations([{ path, text }]).map((violation) => violation.message);
}

const forbidden: readonly [string, string, RegExp][] = [
  ["plugin.ts", `import { z } from "zod";`, /only from lib/],
  ["lib/cni/a.ts", `import { x } from "../../daemon/log.ts";`, /lib\/ imports only/],
  ["lib/sys/a.ts", `import { x } from "../net/mac.ts";`, /lib\/sys imports only/],
  ["daemon/a.ts", `import * as k from "@kubernetes/client-node";`, /client-node/],
  ["daemon/a.ts", `import { Hono } from "hono";`, /hono/],
  ["daemon/a.ts", `export { x } from "../tests/lab/lab.ts";`, /nothing of the tests/],
  ["daemon/a.ts", `const x = await import("../tests/lab/lab.ts");`, /nothing of the tests/],
  ["frr/a.ts", `import { x } from "../daemon/log.ts";`, /nothing of the daemon/],
  ["daemon/handlers/add.ts", `import { x } from "../ipam/journal.ts";`, /by its port/],
  ["daemon/firewall/a.ts", `import { x } from "../reconcile/plan.ts";`, /only its model/],
  ["daemon/reconcile/a.ts", `import { x } from "../kernel/vrf_netns.ts";`, /knows a backend/],
  ["daemon/reconcile/plan.ts", `import { x } from "../../lib/sys/netns.ts";`, /no I\/O/],
  ["daemon/reconcile/plan.ts", `const now = Date.now();`, /pure/],
  ["lib/net/a.ts", `const l = Deno.dlopen("libc.so.6", {});`, /dlopen/],
  ["daemon/a.ts", `Deno.env.get("HOME");`, /Deno\.env/],
];

Deno.test("each rule finds what it forbids", () => {
  for (const [path, text, message] of forbidden) {
    assert.ok(messages(path, text).some((found) => message.test(found)), `${path}: ${text}`);
  }
});

Deno.test("what the rules allow passes: ports, types, comments, tests", () => {
  assert.deepEqual(
    messages("daemon/reconcile/plan.ts", `import type { X } from "../../lib/sys/netns.ts";`),
    [],
  );
  assert.deepEqual(
    messages("daemon/handlers/add.ts", `import type { X } from "../ipam/port.ts";`),
    [],
  );
  assert.deepEqual(
    messages("daemon/a.ts", `// Deno.env is read in main.ts\n/* Deno.dlopen */`),
    [],
  );
  assert.deepEqual(messages("daemon/a_test.ts", `import { x } from "../tests/lab/lab.ts";`), []);
  assert.deepEqual(messages("frr/agent.ts", `import { Hono } from "hono";`), []);
});

Deno.test("a timer of Node's deep in what the plugin loads is found, elsewhere it is nobody's business", () => {
  const timer = "const timer = setTimeout(() => {}, 1000);";
  const violations = importViolations([
    { path: "plugin.ts", text: `import { a } from "./lib/a.ts";` },
    { path: "lib/a.ts", text: timer },
    { path: "lib/b.ts", text: timer },
  ]);
  assert.deepEqual(violations.map(({ path }) => path), ["lib/a.ts"]);
  const spared = "// Not setTimeout\nconst signal = AbortSignal.timeout(1000);";
  assert.deepEqual(importViolations([{ path: "plugin.ts", text: spared }]), []);
});

Deno.test("a package deep in what the plugin loads is found", () => {
  const violations = importViolations([
    { path: "plugin.ts", text: `import { a } from "./lib/a.ts";` },
    { path: "lib/a.ts", text: `import { b } from "./b.ts";\nimport type { T } from "./types.ts";` },
    { path: "lib/b.ts", text: `import { z } from "zod";` },
    { path: "lib/types.ts", text: `import { z } from "zod";` },
  ]);
  assert.deepEqual(violations.map(({ path }) => path), ["lib/b.ts"]);
});
