/** Which VRFNodeConfig a node uses, and what it says of each that names it. Pure. */
import { addressFamily } from "../../lib/net/address.ts";
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
  extends Pick<NodeReport, "underlay" | "frrFailure" | "problems"> {
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
    problem: index === 0 ? interfaceProblem(config, probe) : {
      reason: "NodeConfigured",
      message: `The older VRFNodeConfig "${oldest}" names node "${node}"; delete one of the two`,
    },
  }));
}

function interfaceProblem(
  { spec }: VRFNodeConfig,
  probe: (wanted: VRFNodeInterface) => Problem | undefined,
): Problem | undefined {
  for (const wanted of spec.interfaces) {
    if (addressFamily(wanted.local) !== 4) {
      return {
        reason: "AddressFamilyUnsupported",
        message: `Expected an IPv4 address on interface "${wanted.name}", found ` +
          `"${wanted.local}"; tunnels run over IPv4`,
      };
    }
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
  ): Omit<Condition, "lastTransitionTime"> => ({
    type,
    status: found === undefined ? "True" : "False",
    reason: found?.reason ?? holds,
    message: found?.message ?? "",
    observedGeneration: config.metadata.generation,
  });
  const conditions = setCondition(before, condition("Accepted", "Accepted", problem), now);
  return {
    accepted: problem === undefined,
    ready: missing === undefined,
    routeReflectorsCount: config.spec.routeReflectors?.length ?? 0,
    interfacesCount: config.spec.interfaces.length,
    conditions: setCondition(conditions, condition("Ready", "Applied", missing), now),
  };
}

function missingOf({ spec }: VRFNodeConfig, progress: NodeConfigProgress): Problem | undefined {
  const { underlay, frr, frrFailure, problems } = progress;
  if (underlay === undefined) return { reason: "NotApplied", message: problems.join("; ") };
  const [wanted] = spec.interfaces;
  if (
    wanted !== undefined && (wanted.name !== underlay.ifname || wanted.local !== underlay.address)
  ) {
    return {
      reason: "Applying",
      message: `The node still uses "${underlay.address}" on interface "${underlay.ifname}"`,
    };
  }
  if (frrFailure !== undefined) return frrFailure;
  if (frr?.ready !== true) return { reason: "FRRUnavailable", message: "FRR does not answer" };
  return undefined;
}
