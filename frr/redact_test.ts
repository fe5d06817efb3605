import assert from "node:assert/strict";
import { FrrError } from "./errors.ts";
import { redact } from "./redact.ts";

Deno.test("a password is hidden wherever it stands in a text, whatever characters it has", () => {
  for (const password of ["s3cret", "!", '"quoted"', "a;b", "\\", "x".repeat(80), "password"]) {
    const line = `neighbor 192.0.2.1 password ${password}`;
    for (
      const text of [
        line,
        ` ${line}\n neighbor fd00::1 password ${password}`,
        `FRR refused "${line}": "% Unknown command: ${line}"`,
        JSON.stringify({ line }),
      ]
    ) {
      const shown = redact(text).replaceAll(/neighbor \S+ password \*\*\*/g, "");
      assert.ok(!shown.includes(password), `${text} became ${shown}`);
    }
  }
});

Deno.test("what is no password stays", () => {
  for (const text of ["no neighbor 192.0.2.1 password", "neighbor 192.0.2.1 remote-as 65000", ""]) {
    assert.equal(redact(text), text);
  }
});

Deno.test("an error of FRR never has a password in its words", () => {
  const line = "neighbor 192.0.2.1 password s3cret: % Malformed";
  const error = new FrrError("FrrRefused", `FRR refused "${line}"`, { line });
  assert.ok(!`${error.message} ${error.line} ${error.stack}`.includes("s3cret"));
});
