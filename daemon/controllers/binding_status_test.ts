import assert from "node:assert/strict";
import { domain } from "../kube/testing/case_api.ts";
import type { Condition } from "../resources/conditions.ts";
import type { VRFDomainBinding } from "../resources/vrf_domain_binding.ts";
import { bindingStatus } from "./binding_status.ts";
import { acceptDomains } from "./domain_resolution.ts";

const binding: VRFDomainBinding = {
  metadata: { name: "team-a", generation: 3 },
  spec: { namespaceRef: { name: "team-a" }, vrfDomainRef: { name: "blue" } },
};

function told(exists: boolean, ready?: Pick<Condition, "status" | "reason" | "message">): string[] {
  const acceptance = acceptDomains(exists ? [domain("blue", 200)] : [], {
    serviceVrfMax: 512,
    asn: 65000,
  });
  const condition = ready &&
    { type: "Ready", lastTransitionTime: "2026-01-01T00:00:00Z", ...ready };
  const { conditions } = bindingStatus(binding, [binding], acceptance, condition, new Date());
  return (conditions ?? []).map(({ type, status, reason, message, observedGeneration }) =>
    `${type} ${status} ${reason} ${observedGeneration} ${message}`
  );
}

Deno.test("a binding is ready where its domain is, and repeats which nodes are not and why", () => {
  assert.deepEqual(told(true, { status: "True", reason: "Applied", message: "" }), [
    "Accepted True Accepted 3 ",
    "Ready True Applied 3 ",
  ]);
  const failed = { status: "False", reason: "VrfFailed", message: "n1: no link" } as const;
  assert.deepEqual(told(true, failed)[1], 'Ready False VrfFailed 3 VRFDomain "blue": n1: no link');
  assert.match(told(true)[1] ?? "", /^Ready Unknown DomainUnknown 3 .*"blue"/);
});

Deno.test("a binding that does not count is not ready", () => {
  const [accepted, ready] = told(false);
  assert.match(accepted ?? "", /^Accepted False DomainNotFound 3 .*"blue"/);
  assert.match(ready ?? "", /^Ready False Refused 3 .*"blue"/);
});
