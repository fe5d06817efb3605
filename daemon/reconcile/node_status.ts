/** A reconciler's report as the status of this node's VRFNodeState. Pure. */
import { type Condition, setCondition } from "../resources/conditions.ts";
import type { NodeDomainState, VRFNodeStateStatus } from "../resources/vrf_node_state.ts";
import type { DomainReport } from "./domain_report.ts";
import type { NodeReport } from "./node_reconciler.ts";

/** Longest message of a condition (Kubernetes API conventions). */
const longestMessage = 32_768;

/**
 * Renders a report.
 *
 * @param report What the last run found
 * @param notReady Why the daemon does not take pods; empty when it does
 * @param blocks How many blocks the node holds
 * @param before The conditions so far: their transition times stay where the status does
 * @param now The present time
 */
export function renderNodeStatus(
  report: NodeReport,
  notReady: readonly string[],
  blocks: number,
  before: readonly Condition[],
  now: Date,
): VRFNodeStateStatus {
  const ready = notReady.length === 0;
  const domains = report.domains.map(nodeDomainState)
    .toSorted((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  const peers = report.frr?.peers ?? [];
  const conditions = [
    condition("Ready", ready, ready ? "Reconciled" : "NotReconciled", notReady),
    condition(
      "FRRAvailable",
      report.frr?.ready === true,
      report.frr?.ready === true ? "Answers" : "DoesNotAnswer",
      [],
    ),
    condition(
      "Reconciled",
      report.problems.length === 0,
      report.problems.length === 0 ? "InStep" : "Problems",
      report.problems,
    ),
  ];
  return {
    ready,
    domains,
    domainsReady: domains.filter(({ phase }) => phase === "Ready").length,
    peers: peers.map(({ address, state, established }) => ({ address, state, established })),
    peersUp: peers.filter(({ established }) => established).length,
    vnis: (report.frr?.vnis ?? []).map(({ vni, vrf, state }) => ({ vni, vrf, state })),
    blocks,
    conditions: conditions.reduce<readonly Condition[]>(
      (set, next) => setCondition(set, next, now),
      before.filter(({ type }) => conditions.some((next) => next.type === type)),
    ),
  };
}

/** A domain's report as the node's state lists it. */
export function nodeDomainState(report: DomainReport): NodeDomainState {
  const { name, uid, generation, phase, reason, message } = report;
  return { name, uid, generation, phase, reason, message: message.slice(0, longestMessage) };
}

function condition(
  type: string,
  holds: boolean,
  reason: string,
  words: readonly string[],
): Omit<Condition, "lastTransitionTime"> {
  return {
    type,
    status: holds ? "True" : "False",
    reason,
    message: words.join("; ").slice(0, longestMessage),
  };
}
