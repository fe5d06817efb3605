import type { FrrErrorCode } from "../../frr/protocol.ts";
import { isLastingProblem } from "../ipam/pool_problems.ts";
import type { PoolProblem } from "../ipam/port.ts";
import type { EventRecorder, EventText } from "../kube/events.ts";
import type { KubeObject } from "../kube/port.ts";
import type { NodeReport } from "../reconcile/node_reconciler.ts";
import type { VRFDomain } from "../resources/vrf_domain.ts";
import type { VRFNodeState } from "../resources/vrf_node_state.ts";

/** What a node's events are about. */
export interface NodeEventsOptions {
  /** Where they are recorded. */
  readonly events: Pick<EventRecorder, "record">;
  /** The domains that the node carries. */
  readonly domains: () => readonly VRFDomain[];
  /** The node's own state; undefined before it has one. */
  readonly nodeState: () => VRFNodeState | undefined;
}

/** Tells an operator what does not heal by itself on this node. */
export interface NodeEvents {
  /** Takes what is wrong now. What was wrong at the last call already is not told again. */
  reported(report: Pick<NodeReport, "frrFailure">, problems: readonly PoolProblem[]): void;
}

const refused: FrrErrorCode = "FrrRefused";

/** Makes it. */
export function createNodeEvents({ events, domains, nodeState }: NodeEventsOptions): NodeEvents {
  let told: ReadonlySet<string> = new Set();
  return {
    reported({ frrFailure }, problems) {
      const now = new Set<string>();
      const tell = (about: KubeObject | undefined, { reason, message }: Problem) => {
        // Without an object there is nothing to describe: the next run tells it.
        if (about === undefined) return;
        const key = JSON.stringify([about.metadata.uid ?? about.metadata.name, reason]);
        if (!told.has(key) && !now.has(key)) {
          events.record(about, { type: "Warning", reason, message });
        }
        now.add(key);
      };
      for (const { vrf, code, message } of problems) {
        if (!isLastingProblem(code)) continue;
        tell(domains().find(({ spec }) => spec.vrf === vrf), { reason: code, message });
      }
      if (frrFailure?.reason === refused) tell(nodeState(), frrFailure);
      told = now;
    },
  };
}

type Problem = Pick<EventText, "reason" | "message">;
