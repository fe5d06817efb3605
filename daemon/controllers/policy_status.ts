/** What the manager says of each VRFRoutingPolicy. Pure. */
import { type Condition, setCondition } from "../resources/conditions.ts";
import type { NodePolicyState, VRFNodeState } from "../resources/vrf_node_state.ts";
import type { VRFRoutingPolicy, VRFRoutingPolicyStatus } from "../resources/vrf_routing_policy.ts";
import { domainProblem, type Problem } from "./domain_reference.ts";
import type { Acceptance } from "./domain_resolution.ts";
import { enumerate } from "./enumerate.ts";

/** What each node has made of each policy: by the policy's UID, then by the node's name. */
export type PolicyShares = ReadonlyMap<string, ReadonlyMap<string, NodePolicyState>>;

/** Gathers what the nodes say of policies. */
export function policyShares(live: readonly VRFNodeState[]): PolicyShares {
  const shares = new Map<string, Map<string, NodePolicyState>>();
  for (const { metadata, status } of live) {
    for (const policy of status?.policies ?? []) {
      const nodes = shares.get(policy.uid) ?? new Map<string, NodePolicyState>();
      shares.set(policy.uid, nodes.set(metadata.name, policy));
    }
  }
  return shares;
}

/**
 * The status of a policy: whether the nodes make rules of it, which do not, and why. Equal input gives an equal status.
 *
 * @param policy The object
 * @param acceptance The domains as last seen
 * @param nodes Names of the nodes that run the daemon
 * @param shares What they have made of policies
 * @param now The present time
 */
export function policyStatus(
  policy: VRFRoutingPolicy,
  acceptance: Acceptance,
  nodes: readonly string[],
  shares: PolicyShares,
  now: Date,
): VRFRoutingPolicyStatus {
  const { uid = "", generation } = policy.metadata;
  const problem = domainProblem(policy.spec.vrfDomainRef.name, acceptance, "name another one");
  const missing = nodes.flatMap((node) => missingOn(node, shares.get(uid)?.get(node), generation));
  const conditions = [
    { type: "Accepted", ...verdict(problem, "Accepted") },
    { type: "Ready", ...readiness(problem, nodes.length, missing) },
  ];
  return {
    conditions: conditions.reduce<readonly Condition[]>(
      (set, next) => setCondition(set, { ...next, observedGeneration: generation }, now),
      policy.status?.conditions ?? [],
    ),
    nodes: { ready: nodes.length - missing.length, total: nodes.length },
  };
}

type Verdict = Pick<Condition, "status" | "reason" | "message">;

function verdict(problem: Problem | undefined, holds: string): Verdict {
  return problem === undefined
    ? { status: "True", reason: holds, message: "" }
    : { status: "False", ...problem };
}

function readiness(
  problem: Problem | undefined,
  nodes: number,
  missing: readonly Missing[],
): Verdict {
  if (problem !== undefined) return verdict({ ...problem, reason: "Refused" }, "");
  if (nodes === 0) {
    return { status: "Unknown", reason: "NoNodes", message: "No node runs the daemon yet" };
  }
  if (missing.length === 0) return verdict(undefined, "Applied");
  // A node's own reason tells more than that another one has not come so far.
  const sorted = missing.toSorted((a, b) => Number(b.failed) - Number(a.failed));
  return verdict({
    reason: sorted[0]?.reason ?? "Applying",
    message: enumerate(sorted.map(({ message }) => message)),
  }, "");
}

interface Missing extends Problem {
  readonly failed: boolean;
}

function missingOn(
  node: string,
  state: NodePolicyState | undefined,
  generation: number | undefined,
): readonly Missing[] {
  if (state === undefined) {
    return [{ failed: false, reason: "Applying", message: `${node}: does not carry it yet` }];
  }
  if (!state.ready) {
    return [{
      failed: true,
      reason: state.reason,
      message: `${node}: ${state.reason}: ${state.message}`,
    }];
  }
  if (state.generation === generation) return [];
  const message = `${node}: carries generation ${state.generation}`;
  return [{ failed: false, reason: "Applying", message }];
}
