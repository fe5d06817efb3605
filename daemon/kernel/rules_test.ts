import assert from "node:assert/strict";
import { AddressError } from "../../lib/net/address.ts";
import type { RuleSpec } from "./port.ts";
import { diffRules } from "./rules.ts";

const toTable: RuleSpec = { priority: 32000, table: 2200, fwmark: 200 };
const toBlock: RuleSpec = { priority: 32000, table: 2200, iifname: "lo", dst: "10.150.0.0/26" };

Deno.test("a rule with an impossible prefix is refused", () => {
  assert.throws(
    () => diffRules([{ ...toBlock, dst: "10.150.0.0/33" }], []),
    (error) => error instanceof AddressError && error.code === "InvalidPrefix",
  );
});

Deno.test("rules that are as they shall be make no difference, whatever their order and notation", () => {
  const found = [{ ...toBlock, dst: "10.150.0.0/26" }, toTable];
  const desired = [toTable, { ...toBlock, dst: "10.150.0.9/26", src: "0.0.0.0/0" }];
  assert.deepEqual(diffRules(desired, found), { missing: [], surplus: [] });
});

Deno.test("a missing rule is added and an unlisted one deleted", () => {
  assert.deepEqual(diffRules([toTable], [toBlock]), { missing: [toTable], surplus: [toBlock] });
});

Deno.test("a rule that stands twice loses one of the two", () => {
  assert.deepEqual(diffRules([toTable], [toTable, toTable]), { missing: [], surplus: [toTable] });
});

Deno.test("a rule asked for twice is added once", () => {
  assert.deepEqual(diffRules([toTable, { ...toTable }], []), { missing: [toTable], surplus: [] });
});

Deno.test("rules that differ in one selector alone are two rules", () => {
  const variants: RuleSpec[] = [
    { ...toBlock, priority: 12000 },
    { ...toBlock, table: 2300 },
    { ...toBlock, iifname: "eth0" },
    { ...toBlock, oifname: "lo" },
    { ...toBlock, src: "10.0.0.0/8" },
    { ...toBlock, fwmark: 1 },
  ];
  for (const variant of variants) {
    assert.deepEqual(diffRules([variant], [toBlock]), { missing: [variant], surplus: [toBlock] });
  }
});
