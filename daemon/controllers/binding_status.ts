/** What the manager says of each VRFDomainBinding. Pure. */
import { setCondition } from "../resources/conditions.ts";
import type { VRFDomainBinding, VRFDomainBindingStatus } from "../resources/vrf_domain_binding.ts";
import { domainProblem, type Problem } from "./domain_reference.ts";
import { type Acceptance, bindingOf } from "./domain_resolution.ts";

/** The status of a binding: whether it counts, and if not, why. */
export function bindingStatus(
  binding: VRFDomainBinding,
  bindings: readonly VRFDomainBinding[],
  acceptance: Acceptance,
  now: Date,
): VRFDomainBindingStatus {
  const { reason, message } = problemOf(binding, bindings, acceptance) ??
    { reason: "Accepted", message: "" };
  return {
    conditions: setCondition(binding.status?.conditions ?? [], {
      type: "Accepted",
      status: reason === "Accepted" ? "True" : "False",
      reason,
      message,
      observedGeneration: binding.metadata.generation,
    }, now),
  };
}

function problemOf(
  binding: VRFDomainBinding,
  bindings: readonly VRFDomainBinding[],
  acceptance: Acceptance,
): Problem | undefined {
  const namespace = binding.spec.namespaceRef.name;
  const oldest = bindingOf(namespace, bindings);
  if (oldest !== undefined && oldest.metadata.name !== binding.metadata.name) {
    return {
      reason: "NamespaceBound",
      message: `The older VRFDomainBinding "${oldest.metadata.name}" binds namespace ` +
        `"${namespace}"; delete one of the two`,
    };
  }
  return domainProblem(binding.spec.vrfDomainRef.name, acceptance, "bind another one");
}
