/** What the manager says of each VRFDomainBinding. Pure. */
import { type Condition, setCondition } from "../resources/conditions.ts";
import type { VRFDomainBinding, VRFDomainBindingStatus } from "../resources/vrf_domain_binding.ts";
import { domainProblem, type Problem } from "./domain_reference.ts";
import { type Acceptance, bindingOf } from "./domain_resolution.ts";

/**
 * The status of a binding: whether it counts, and whether pods of the namespace find their domain on every node.
 *
 * @param binding The object
 * @param bindings All bindings
 * @param acceptance The domains as last seen
 * @param domainReady The condition `Ready` of its domain; undefined where that is not known
 * @param now The present time
 */
export function bindingStatus(
  binding: VRFDomainBinding,
  bindings: readonly VRFDomainBinding[],
  acceptance: Acceptance,
  domainReady: Condition | undefined,
  now: Date,
): VRFDomainBindingStatus {
  const problem = problemOf(binding, bindings, acceptance);
  const accepted: Verdict = problem === undefined
    ? { status: "True", reason: "Accepted", message: "" }
    : { status: "False", ...problem };
  const conditions = [
    { type: "Accepted", ...accepted },
    { type: "Ready", ...readiness(binding, problem, domainReady) },
  ];
  return {
    conditions: conditions.reduce<readonly Condition[]>(
      (set, next) =>
        setCondition(set, { ...next, observedGeneration: binding.metadata.generation }, now),
      binding.status?.conditions ?? [],
    ),
  };
}

type Verdict = Pick<Condition, "status" | "reason" | "message">;

/** A binding is applied where its domain is: a node has nothing else to do for it. */
function readiness(
  { spec: { vrfDomainRef: { name } } }: VRFDomainBinding,
  problem: Problem | undefined,
  domain: Condition | undefined,
): Verdict {
  if (problem !== undefined) {
    return { status: "False", reason: "Refused", message: problem.message };
  }
  if (domain === undefined) {
    const message = `Nothing is known of VRFDomain "${name}" yet`;
    return { status: "Unknown", reason: "DomainUnknown", message };
  }
  const { status, reason, message } = domain;
  return { status, reason, message: message === "" ? "" : `VRFDomain "${name}": ${message}` };
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
