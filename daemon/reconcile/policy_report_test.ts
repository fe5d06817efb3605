import assert from "node:assert/strict";
import { policyReports, type PolicyRun } from "./policy_report.ts";

const carried = [200, 300].map((vrf) => ({ name: `t${vrf}`, uid: "d", generation: 1, vrf }));

function run(change: Partial<PolicyRun> = {}): PolicyRun {
  return {
    policies: [
      { name: "east", uid: "e", generation: 2, domain: "t200" },
      { name: "west", uid: "w", generation: 1, domain: "t300" },
      { name: "lost", uid: "l", generation: 1, domain: "nowhere" },
    ],
    carried,
    announced: new Set(["t200", "t300"]),
    failures: new Map(),
    refusedPolicies: new Map(),
    ...change,
  };
}

const east = { name: "east", uid: "e", generation: 2 };
const west = { name: "west", uid: "w", generation: 1 };
const applied = { ready: true, reason: "Applied", message: "" };

Deno.test("a node tells of the policies whose domain it carries, and of no other", () => {
  assert.deepEqual(policyReports(run()), [{ ...east, ...applied }, { ...west, ...applied }]);
  assert.deepEqual(policyReports(run({ announced: new Set(["t300"]) })), [
    { ...west, ...applied },
  ]);
});

Deno.test("a policy that the kernel refuses says why, and takes no other along", () => {
  assert.deepEqual(policyReports(run({ refusedPolicies: new Map([["east", "EINVAL"]]) })), [
    { ...east, ready: false, reason: "RuleRefused", message: "EINVAL" },
    { ...west, ...applied },
  ]);
});

Deno.test("a policy into a domain that failed says so", () => {
  assert.deepEqual(policyReports(run({ failures: new Map([[300, { message: "no link" }]]) })), [
    { ...east, ...applied },
    {
      ...west,
      ready: false,
      reason: "DomainFailed",
      message: 'VRFDomain "t300" is not applied: no link',
    },
  ]);
});
