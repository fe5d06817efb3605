/** What the manager says of each VRFDomainBinding. Pure. */
import { setCondition } from "../resources/conditions.ts";
import type { VRFDomainBinding, VRFDomainBindingStatus } from "../resources/vrf_domain_binding.ts";
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
  { accepted, refused }: Acceptance,
): { readonly reason: string; readonly message: string } | undefined {
  const namespace = binding.spec.namespaceRef.name;
  const wanted = binding.spec.vrfDomainRef.name;
  const oldest = bindingOf(namespace, bindings);
  if (oldest !== undefined && oldest.metadata.name !== binding.metadata.name) {
    return {
      reason: "NamespaceBound",
      message: `The older VRFDomainBinding "${oldest.metadata.name}" binds namespace ` +
        `"${namespace}"; delete one of the two`,
    };
  }
  const refusal = refused.find(({ name }) => name === wanted);
  if (refusal !== undefined) {
    return {
      reason: "DomainRefused",
      message: `VRFDomain "${wanted}" is refused: ${refusal.message}`,
    };
  }
  const domain = accepted.find(({ metadata }) => metadata.name === wanted);
  if (domain === undefined) {
    return {
      reason: "DomainNotFound",
      message: `VRFDomain "${wanted}" does not exist; create it or bind another one`,
    };
  }
  return domain.metadata.deletionTimestamp === undefined ? undefined : {
    reason: "DomainDeleting",
    message: `VRFDomain "${wanted}" is being deleted; bind another one`,
  };
}
