/** What the manager says of each CNIConfig. Pure. */
import type { CNIConfig, CNIConfigStatus } from "../resources/cni_config.ts";
import type {
  CNIConfigSelection,
  CNIConfigSelectionStatus,
} from "../resources/cni_config_selection.ts";
import { type Condition, findCondition, setCondition } from "../resources/conditions.ts";
import type { VRFNodeState } from "../resources/vrf_node_state.ts";
import { type CniConfigChoice, isWanted } from "./cni_config_choice.ts";
import type { Problem } from "./domain_reference.ts";

/** Type of the condition by which a node says in its VRFNodeState how it stands with the chosen CNIConfig. */
export const cniConfiguredCondition = "CNIConfigured";

const mostNamed = 5;

/**
 * The status of a CNIConfig. Equal input gives an equal status, so that it is written only when something changed.
 *
 * @param config The object
 * @param choice What became of it among the others
 * @param live States of the nodes that run the daemon
 * @param now The present time
 */
export function cniConfigStatus(
  config: CNIConfig,
  choice: CniConfigChoice,
  live: readonly VRFNodeState[],
  now: Date,
): CNIConfigStatus {
  const { name } = config.metadata;
  const active = choice.active?.metadata.name === name;
  const missing = live.filter((state) => !hasWritten(state, config));
  const problem = choice.problems.get(name);
  const unready = active ? waiting(missing, live.length) : inactivity(config, choice, problem);
  const conditions = [condition("Accepted", problem), condition("Ready", unready)];
  return {
    active,
    nodes: { applied: live.length - missing.length },
    conditions: conditions.reduce<readonly Condition[]>(
      (set, next) =>
        setCondition(set, { ...next, observedGeneration: config.metadata.generation }, now),
      config.status?.conditions ?? [],
    ),
  };
}

/**
 * The status of the choice: which nodes have not written it, and why.
 *
 * @param selection The object
 * @param active The CNIConfig that it names
 * @param live States of the nodes that run the daemon
 * @param now The present time
 */
export function selectionStatus(
  selection: CNIConfigSelection,
  active: CNIConfig,
  live: readonly VRFNodeState[],
  now: Date,
): CNIConfigSelectionStatus {
  const { generation } = selection.metadata;
  const missing = live.filter((state) => !hasWritten(state, active));
  const ready = condition("Ready", waiting(missing, live.length));
  return {
    observedGeneration: generation,
    conditions: setCondition(
      selection.status?.conditions ?? [],
      { ...ready, observedGeneration: generation },
      now,
    ),
  };
}

function hasWritten({ status }: VRFNodeState, { metadata }: CNIConfig): boolean {
  return status?.cniConfig?.uid === metadata.uid &&
    status?.cniConfig?.generation === metadata.generation;
}

function condition(
  type: string,
  problem: Problem | undefined,
): Omit<Condition, "lastTransitionTime"> {
  return {
    type,
    status: problem === undefined ? "True" : "False",
    reason: problem?.reason ?? (type === "Ready" ? "Applied" : "Accepted"),
    message: problem?.message ?? "",
  };
}

function waiting(missing: readonly VRFNodeState[], total: number): Problem | undefined {
  if (total === 0) return { reason: "NoNodes", message: "No node runs the daemon yet" };
  if (missing.length === 0) return undefined;
  const named = missing.slice(0, mostNamed).map(({ metadata, status }) => {
    const said = findCondition(status?.conditions, cniConfiguredCondition);
    return said === undefined || said.status === "True"
      ? `${metadata.name}: has not written it yet`
      : `${metadata.name}: ${said.reason}: ${said.message}`;
  });
  const more = missing.length > mostNamed ? `; and ${missing.length - mostNamed} more` : "";
  return { reason: "Applying", message: `${named.join("; ")}${more}` };
}

function inactivity(
  config: CNIConfig,
  { active }: CniConfigChoice,
  problem: Problem | undefined,
): Problem {
  if (problem !== undefined) return { reason: "Refused", message: problem.message };
  if (!isWanted(config)) return { reason: "Disabled", message: "It is not enabled" };
  return {
    reason: "Superseded",
    message: `CNIConfig "${active?.metadata.name ?? ""}" comes first by priority or age`,
  };
}
