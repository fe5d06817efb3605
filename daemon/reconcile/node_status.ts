/** A reconciler's report as the status of this node's VRFNodeState. Pure. */
import { isLastingProblem } from "../ipam/pool_problems.ts";
import type { PoolProblem } from "../ipam/port.ts";
import { type Condition, setCondition } from "../resources/conditions.ts";
import type { FrrPeerState, FrrVniState } from "../../frr/protocol.ts";
import type {
  NodeDomainState,
  NodePeerState,
  NodePolicyState,
  NodeVniState,
  VRFNodeStateStatus,
} from "../resources/vrf_node_state.ts";
import type { DomainReport } from "./domain_report.ts";
import type { NodeReport } from "./node_reconciler.ts";
import type { PolicyReport } from "./policy_report.ts";

/** Type of the condition by which nodes and domains tell that pods can get addresses of their own. */
export const addressesHealthyCondition = "AddressesHealthy";

/** What the node's state is rendered of. */
export interface NodeStatusInput {
  /** What the last run found. */
  readonly report: NodeReport;
  /** Why the daemon does not take pods; empty when it does. */
  readonly notReady: readonly string[];
  /** How many blocks the node holds. */
  readonly blocks: number;
  /** What is wrong with the node's blocks and claims. */
  readonly poolProblems: readonly PoolProblem[];
  /** The conditions so far: their transition times stay where the status does. */
  readonly before: readonly Condition[];
  /** The present time. */
  readonly now: Date;
}

/** Longest message of a condition (Kubernetes API conventions). */
const longestMessage = 32_768;

/** Renders the node's state. */
export function renderNodeStatus(input: NodeStatusInput): VRFNodeStateStatus {
  const { report, notReady, blocks, before, now } = input;
  const ready = notReady.length === 0;
  const lasting = input.poolProblems.filter(({ code }) => isLastingProblem(code));
  const domains = report.domains.map((domain) => nodeDomainState(withAddresses(domain, lasting)))
    .toSorted(byName);
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
    condition(
      addressesHealthyCondition,
      lasting.length === 0,
      lasting[0]?.code ?? "Healthy",
      lasting.map(({ vrf, message }) => `VRF ${vrf}: ${message}`),
    ),
  ];
  return {
    ready,
    domains,
    policies: report.policies.map(nodePolicyState).toSorted(byName),
    domainsReady: domains.filter(({ phase }) => phase === "Ready").length,
    peers: peers.map((peer) => nodePeerState(peer, report.overLimit)),
    peersUp: peers.filter(({ established }) => established).length,
    vnis: (report.frr?.vnis ?? []).map(nodeVniState),
    blocks,
    conditions: conditions.reduce<readonly Condition[]>(
      (set, next) => setCondition(set, next, now),
      before.filter(({ type }) => conditions.some((next) => next.type === type)),
    ),
  };
}

/** A domain that is applied, but has no address to give, says so. */
function withAddresses(report: DomainReport, problems: readonly PoolProblem[]): DomainReport {
  const problem = problems.find(({ vrf }) => vrf === report.vrf);
  return report.phase !== "Ready" || problem === undefined
    ? report
    : { ...report, reason: problem.code, message: problem.message };
}

/** A domain's report as the node's state lists it. */
export function nodeDomainState(report: DomainReport): NodeDomainState {
  const { name, uid, generation, phase, reason, message, mtu } = report;
  return {
    name,
    uid,
    generation,
    phase,
    reason,
    message: message.slice(0, longestMessage),
    ...mtu === undefined ? {} : { mtu },
  };
}

/** FRR knows why a session is down, but not why a peer was shut down. */
function nodePeerState(
  { address, state, established, asn, bfd, lastError }: FrrPeerState,
  overLimit: NodeReport["overLimit"] = [],
): NodePeerState {
  const error = overLimit.find((peer) => peer.shut && peer.address === address)?.message ??
    lastError;
  return {
    address,
    state,
    established,
    ...asn === undefined ? {} : { asn },
    ...bfd === undefined ? {} : { bfd },
    ...error === undefined ? {} : { lastError: error },
  };
}

function nodePolicyState(report: PolicyReport): NodePolicyState {
  return { ...report, message: report.message.slice(0, longestMessage) };
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function nodeVniState({ vni, vrf, type, state, remoteVteps }: FrrVniState): NodeVniState {
  return { vni, vrf, type, state, ...remoteVteps === undefined ? {} : { remoteVteps } };
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
