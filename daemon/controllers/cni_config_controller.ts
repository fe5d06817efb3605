import { messageOf } from "../../lib/errors.ts";
import { createTrigger } from "../kube/coalescing_runner.ts";
import type { EventRecorder } from "../kube/events.ts";
import { isKubeError } from "../kube/kube_error.ts";
import type { Logger } from "../log.ts";
import type { CNIConfig } from "../resources/cni_config.ts";
import type { CNIConfigSelection } from "../resources/cni_config_selection.ts";
import type { Node } from "../resources/core.ts";
import type { VRFNodeState } from "../resources/vrf_node_state.ts";
import { chooseCniConfig, type CniConfigChoice, selectionName } from "./cni_config_choice.ts";
import { cniConfigStatus, selectionStatus } from "./cni_config_status.ts";
import { recordRefusal } from "./refusal_event.ts";
import type { DomainControllerTiming, Followed } from "./vrf_domain_controller.ts";
import { liveStates } from "./vrf_domain_status.ts";
import { writeStatus } from "./write_status.ts";

/** The resources that the controller looks at. */
export interface CniConfigResources {
  /** CNI configuration lists. */
  readonly cniConfigs: Followed<CNIConfig>;
  /** The choice among them. */
  readonly cniConfigSelections: Followed<CNIConfigSelection>;
  /** Nodes of the cluster. */
  readonly nodes: Followed<Node>;
  /** What the nodes have written. */
  readonly nodeStates: Followed<VRFNodeState>;
}

/** What the controller works with. */
export interface CniConfigControllerOptions {
  /** Resources. */
  readonly resources: CniConfigResources;
  /** Plugin types that a CNIConfig may name. */
  readonly allowedPlugins: readonly string[];
  /** For refusals. */
  readonly events?: EventRecorder;
  /** For what is done and what fails. */
  readonly log: Logger;
  /** Timing. */
  readonly timing?: DomainControllerTiming;
}

/** Chooses the active CNIConfig and says of each what became of it. Runs on the elected manager alone. */
export interface CniConfigController {
  /** Works until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** Makes the controller. */
export function createCniConfigController(
  options: CniConfigControllerOptions,
): CniConfigController {
  const { cniConfigs, cniConfigSelections, nodes, nodeStates } = options.resources;
  const { timing = {}, log } = options;
  const followed = [cniConfigs, cniConfigSelections, nodes, nodeStates].map(({ cache }) => cache);

  async function pass(signal: AbortSignal): Promise<void> {
    // An empty copy says nothing before the first list.
    if (!followed.every(({ synced }) => synced)) return;
    const choice = chooseCniConfig(cniConfigs.cache.list(), options.allowedPlugins);
    const live = liveStates(nodes.cache.list(), nodeStates.cache.list());
    await select(choice, live, signal);
    for (const config of cniConfigs.cache.list()) {
      const status = cniConfigStatus(config, choice, live, new Date());
      recordRefusal(options.events, config, config.status?.conditions, status.conditions);
      await writeStatus(cniConfigs.client, config, config.status, status, signal);
    }
  }

  async function select(
    { active, wanted }: CniConfigChoice,
    live: readonly VRFNodeState[],
    signal: AbortSignal,
  ): Promise<void> {
    const { cache, client } = cniConfigSelections;
    const present = cache.get(selectionName);
    if (active === undefined) {
      // A list that is refused or cannot be read must not take the nodes' network away: what they have written stays.
      if (wanted || cniConfigs.cache.invalid().size > 0 || present === undefined) return;
      await client.delete(selectionName, uidOf(present), signal);
      log.info("No CNIConfig is enabled: nodes remove theirs");
      return;
    }
    const { name } = active.metadata;
    const spec = { activeRef: { name } };
    if (present?.spec.activeRef.name !== name) {
      if (present === undefined && !cache.invalid().has(selectionName)) {
        await client.create({ metadata: { name: selectionName }, spec }, signal).catch((error) => {
          // The cache is behind: the change that it will see brings the next run.
          if (!isKubeError(error, "AlreadyExists")) throw error;
        });
      } else await client.patch(selectionName, { spec }, signal);
      log.info("CNIConfig chosen", { name, priority: active.spec.priority });
      return;
    }
    const status = selectionStatus(present, active, live, new Date());
    await writeStatus(client, present, present.status, status, signal);
  }

  return {
    async run(signal) {
      const trigger = createTrigger({
        run: pass,
        debounceMs: timing.debounceMs ?? 100,
        maxDelayMs: timing.maxDelayMs ?? 1_000,
        resyncMs: timing.resyncMs ?? 60_000,
        failed: (error) => log.warn("CNIConfigs are not in order", { error: messageOf(error) }),
        signal,
      });
      const unsubscribe = followed.map((cache) => cache.subscribe(() => trigger.mark()));
      trigger.mark();
      try {
        await trigger.stopped;
      } finally {
        for (const stop of unsubscribe) stop();
      }
    },
  };
}

function uidOf({ metadata: { uid } }: CNIConfigSelection): { uid?: string } {
  return uid === undefined ? {} : { uid };
}
