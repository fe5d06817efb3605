/** What the manager says of each VRFRoutingPolicy. Pure. */
import { setCondition } from "../resources/conditions.ts";
import type { VRFRoutingPolicy, VRFRoutingPolicyStatus } from "../resources/vrf_routing_policy.ts";
import { domainProblem } from "./domain_reference.ts";
import type { Acceptance } from "./domain_resolution.ts";

/** The status of a policy: whether the nodes make rules of it, and if not, why. */
export function policyStatus(
  policy: VRFRoutingPolicy,
  acceptance: Acceptance,
  now: Date,
): VRFRoutingPolicyStatus {
  const problem = domainProblem(policy.spec.vrfDomainRef.name, acceptance, "name another one");
  return {
    conditions: setCondition(policy.status?.conditions ?? [], {
      type: "Accepted",
      status: problem === undefined ? "True" : "False",
      reason: problem?.reason ?? "Accepted",
      message: problem?.message ?? "",
      observedGeneration: policy.metadata.generation,
    }, now),
  };
}
