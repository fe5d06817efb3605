/** Which VRFNodeConfig a node uses, and what it says of each that names it. Pure. */
import { canonicalAddress } from "../../lib/net/address.ts";
import { peerProblem } from "../reconcile/peers.ts";
import type { NodeReport } from "../reconcile/node_reconciler.ts";
import { type Condition, setCondition } from "../resources/conditions.ts";
import type {
  VRFNodeConfig,
  VRFNodeConfigStatus,
  VRFNodeInterface,
} from "../resources/vrf_node_config.ts";
import type { Problem } from "./domain_reference.ts";
import { byAge } from "./domain_resolution.ts";

/** A VRFNodeConfig as the node that it names judges it. */
export interface NodeConfigVerdict {
  /** The object that was looked at. */
  readonly config: VRFNodeConfig;
  /** Why it is not used; undefined when it is. */
  readonly problem: Problem | undefined;
}

/** How far the settings in use have come. */
export interface NodeConfigProgress
  extends Pick<NodeReport, "underlay" | "frrFailure" | "problems" | "overLimit"> {
  /** FRR as last seen; undefined while it does not answer. */
  readonly frr: { readonly ready: boolean } | undefined;
}

/**
 * Judges the VRFNodeConfigs that name a node. Only the oldest can count, whatever is wrong with it: else a repair of it would
 * silently take the settings away that have come into use meanwhile.
 *
 * @param configs All of them, as last seen
 * @param node Name of the node
 * @param probe What the kernel has against an interface; undefined for nothing
 */
export function judgeNodeConfigs(
  configs: readonly VRFNodeConfig[],
  node: string,
  probe: (wanted: VRFNodeInterface) => Problem | undefined,
): readonly NodeConfigVerdict[] {
  const mine = configs.filter(({ spec }) => spec.nodeRef.name === node).toSorted(byAge);
  const oldest = mine[0]?.metadata.name ?? "";
  return mine.map((config, index) => ({
    config,
    problem: index === 0 ? interfaceProblem(config, probe) ?? invalidPeer(config) : {
      reason: "NodeConfigured",
      message: `The older VRFNodeConfig "${oldest}" names node "${node}"; delete one of the two`,
    },
  }));
}

function invalidPeer({ spec }: VRFNodeConfig): Problem | undefined {
  const message = peerProblem(spec);
  return message === undefined ? undefined : { reason: "PeerInvalid", message };
}

function interfaceProblem(
  { spec }: VRFNodeConfig,
  probe: (wanted: VRFNodeInterface) => Problem | undefined,
): Problem | undefined {
  for (const wanted of spec.interfaces) {
    const problem = probe(wanted);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** The status of a VRFNodeConfig after a run. */
export function nodeConfigStatus(
  { config, problem }: NodeConfigVerdict,
  progress: NodeConfigProgress,
  before: readonly Condition[],
  now: Date,
): VRFNodeConfigStatus {
  const missing = problem === undefined ? missingOf(config, progress) : {
    reason: "Refused",
    message: problem.message,
  };
  const condition = (
    type: string,
    holds: string,
    found: Problem | undefined,
    warning = "",
  ): Omit<Condition, "lastTransitionTime"> => ({
    type,
    status: found === undefined ? "True" : "False",
    reason: found?.reason ?? holds,
    message: found?.message ?? warning,
    observedGeneration: config.metadata.generation,
  });
  const warnings = (progress.overLimit ?? []).filter(({ shut }) => !shut);
  const warning = problem === undefined ? warnings.map(({ message }) => message).join("; ") : "";
  const conditions = setCondition(before, condition("Accepted", "Accepted", problem), now);
  return {
    accepted: problem === undefined,
    ready: missing === undefined,
    routeReflectorsCount: config.spec.routeReflectors?.length ?? 0,
    interfacesCount: config.spec.interfaces.length,
    conditions: setCondition(conditions, condition("Ready", "Applied", missing, warning), now),
  };
}

function missingOf({ spec }: VRFNodeConfig, progress: NodeConfigProgress): Problem | undefined {
  const { underlay, frr, frrFailure, problems } = progress;
  if (underlay === undefined) return { reason: "NotApplied", message: problems.join("; ") };
  const [wanted] = spec.interfaces;
  if (
    wanted !== undefined &&
    (wanted.name !== underlay.ifname || canonicalAddress(wanted.local) !== underlay.address)
  ) {
    return {
      reason: "Applying",
      message: `The node still uses "${underlay.address}" on interface "${underlay.ifname}"`,
    };
  }
  if (frrFailure !== undefined) return frrFailure;
  if (frr?.ready !== true) return { reason: "FrrUnavailable", message: "FRR does not answer" };
  return undefined;
}
