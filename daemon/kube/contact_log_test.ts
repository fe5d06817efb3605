import assert from "node:assert/strict";
import { createLogger } from "../log.ts";
import { createContactLog } from "./contact_log.ts";
import { KubeError, type KubeErrorCode } from "./kube_error.ts";

function bench() {
  const lines: string[] = [];
  const log = createLogger("info", (line) => {
    const { level, message, resource, code } = JSON.parse(line);
    lines.push(`${level}: ${message}, ${resource}, ${code}`);
  });
  const contact = createContactLog(log);
  const lost = (resource: string, code: KubeErrorCode) =>
    contact.lost(resource, new KubeError(code, "no"));
  return { lines, contact, lost };
}

Deno.test("what all resources suffer from is said once, however often it is met", () => {
  const { lines, contact, lost } = bench();
  for (let round = 0; round < 3; round++) {
    for (const resource of ["a", "b", "c"]) lost(resource, "CertificateInvalid");
  }
  assert.deepEqual(lines, ["warn: List and watch failed, a, CertificateInvalid"]);
  for (const resource of ["b", "a", "c"]) contact.regained(resource);
  contact.regained("a");
  assert.deepEqual(lines.slice(1), [
    "info: List and watch work again, c, CertificateInvalid",
  ]);
});

Deno.test("a resource that fails in its own way is said by itself, and hides no end of the others' trouble", () => {
  const { lines, contact, lost } = bench();
  lost("a", "Forbidden");
  lost("b", "Unavailable");
  lost("c", "Unavailable");
  lost("b", "Unauthorized");
  contact.regained("c");
  contact.regained("b");
  assert.deepEqual(lines, [
    "warn: List and watch failed, a, Forbidden",
    "warn: List and watch failed, b, Unavailable",
    "warn: List and watch failed, b, Unauthorized",
    "info: List and watch work again, c, Unavailable",
    "info: List and watch work again, b, Unauthorized",
  ]);
});
