/** What the manager says of each VRFDomain. Pure. */
import { isLastingProblem } from "../ipam/pool_problems.ts";
import { addressesHealthyCondition } from "../reconcile/node_status.ts";
import { type Condition, setCondition } from "../resources/conditions.ts";
import type { Node } from "../resources/core.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import type { VRFDomain, VRFDomainStatus } from "../resources/vrf_domain.ts";
import type { NodeDomainState, VRFNodeState } from "../resources/vrf_node_state.ts";
import type { Refusal } from "./domain_resolution.ts";
import { enumerate } from "./enumerate.ts";

/** A node as far as one domain is concerned. */
export interface NodeShare {
  /** Name of the node. */
  readonly node: string;
  /** What the node has made of the domain; undefined while it does not list it. */
  readonly state: NodeDomainState | undefined;
}

/** What keeps a domain that is being deleted. */
export interface Remains {
  /** Live nodes that still list it. */
  readonly nodes: readonly string[];
  /** Blocks of its VRF. */
  readonly blocks: readonly string[];
}

/**
 * The nodes that run the daemon: a Node and a VRFNodeState of that name exist. A node that never ran the daemon has
 * nothing to apply and nothing to remove.
 */
export function liveStates(
  nodes: readonly Node[],
  states: readonly VRFNodeState[],
): readonly VRFNodeState[] {
  const names = new Set(nodes.map(({ metadata }) => metadata.name));
  return states.filter(({ metadata }) => names.has(metadata.name));
}

/** Each live node's share of a domain. */
export function sharesOf(domain: VRFDomain, live: readonly VRFNodeState[]): readonly NodeShare[] {
  return live.map(({ metadata, status }) => ({
    node: metadata.name,
    state: status?.domains.find(({ name, uid }) =>
      name === domain.metadata.name && uid === domain.metadata.uid
    ),
  }));
}

/**
 * What is left of a domain.
 *
 * Nodes count by the domain's name whatever the UID: a node that still lists an earlier domain of that name has not
 * looked at this one yet. Blocks count by VRF number, and only while no other domain has it.
 */
export function remainsOf(
  domain: VRFDomain,
  live: readonly VRFNodeState[],
  blocks: readonly IPBlock[],
  refused: boolean,
): Remains {
  return {
    nodes: live.filter(({ status }) =>
      status?.domains.some(({ name }) => name === domain.metadata.name)
    ).map(({ metadata }) => metadata.name),
    blocks: refused
      ? []
      : blocks.filter(({ spec }) => spec.vrfTable === domain.spec.vrf).map(({ metadata }) =>
        metadata.name
      ),
  };
}

/** The status of a domain. Equal input gives an equal status, so that it is written only when something changed. */
export function domainStatus(
  domain: VRFDomain,
  shares: readonly NodeShare[],
  remains: Remains,
  refusal: Refusal | undefined,
  now: Date,
): VRFDomainStatus {
  const ready = shares.filter((share) => isReady(domain, share)).length;
  const conditions = [
    accepted(refusal),
    domain.metadata.deletionTimestamp === undefined
      ? readiness(domain, shares, refusal)
      : deletion(remains),
    addresses(shares, refusal),
  ];
  return {
    conditions: conditions.reduce<readonly Condition[]>(
      (set, next) =>
        setCondition(set, { ...next, observedGeneration: domain.metadata.generation }, now),
      domain.status?.conditions ?? [],
    ),
    nodes: { ready, total: shares.length },
  };
}

type Verdict = Pick<Condition, "type" | "status" | "reason" | "message">;

function accepted(refusal: Refusal | undefined): Verdict {
  return refusal === undefined
    ? { type: "Accepted", status: "True", reason: "Accepted", message: "" }
    : { type: "Accepted", status: "False", reason: refusal.reason, message: refusal.message };
}

function readiness(
  domain: VRFDomain,
  shares: readonly NodeShare[],
  refusal: Refusal | undefined,
): Verdict {
  const verdict = (status: Condition["status"], reason: string, message: string): Verdict => ({
    type: "Ready",
    status,
    reason,
    message,
  });
  if (refusal !== undefined) return verdict("False", "Refused", refusal.message);
  if (shares.length === 0) return verdict("Unknown", "NoNodes", "No node runs the daemon yet");
  const missing = shares.filter((share) => !isReady(domain, share));
  if (missing.length === 0) return verdict("True", "Applied", "");
  const failed = missing.filter(({ state }) => state?.phase === "Failed");
  const reason = failed[0]?.state?.reason ?? "Applying";
  return verdict(
    "False",
    /^[A-Za-z][A-Za-z0-9_]*$/.test(reason) ? reason : "Failed",
    enumerate([...failed, ...missing.filter((share) => !failed.includes(share))].map(describe)),
  );
}

/** Nodes on which pods of the domain get no address, or one that is not theirs alone. */
function addresses(shares: readonly NodeShare[], refusal: Refusal | undefined): Verdict {
  const type = addressesHealthyCondition;
  if (refusal !== undefined) {
    return { type, status: "Unknown", reason: "Refused", message: refusal.message };
  }
  const troubled = shares.filter(({ state }) =>
    state?.phase === "Ready" && isLastingProblem(state.reason)
  );
  const reason = troubled[0]?.state?.reason;
  if (reason === undefined) return { type, status: "True", reason: "Healthy", message: "" };
  const said = troubled.map(({ node, state }) => `${node}: ${state?.reason}: ${state?.message}`);
  return { type, status: "False", reason, message: enumerate(said) };
}

function deletion({ nodes, blocks }: Remains): Verdict {
  const parts = [
    ...nodes.length === 0 ? [] : [`nodes still carry it: ${enumerate(nodes)}`],
    ...blocks.length === 0 ? [] : [`IPBlocks remain: ${enumerate(blocks)}`],
  ];
  const message = parts.length === 0 ? "Nothing is left of it" : parts.join("; ");
  return { type: "Ready", status: "False", reason: "Deleting", message };
}

function isReady(domain: VRFDomain, { state }: NodeShare): boolean {
  return state?.phase === "Ready" && state.generation === domain.metadata.generation;
}

function describe({ node, state }: NodeShare): string {
  if (state === undefined) return `${node}: does not carry it yet`;
  if (state.phase === "Ready") return `${node}: carries generation ${state.generation}`;
  const detail = state.message === "" ? state.reason : `${state.reason}: ${state.message}`;
  return `${node}: ${state.phase}, ${detail}`;
}
