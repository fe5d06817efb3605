/** All ways in that are fuzzed. */
import type { FuzzTarget } from "./target.ts";
import { serverIni } from "./targets/configuration.ts";
import { daemonRequests, descriptorMessages } from "./targets/daemon_api.ts";
import { embeddedApi } from "./targets/embedded_api.ts";
import { frrAgentMessages } from "./targets/frr_agent.ts";
import { frrOutput, frrText } from "./targets/frr_output.ts";
import { arpFrames, netlinkLinkData, netlinkMessages } from "./targets/netlink.ts";
import { daemonAnswers, networkConfigurations, pluginCalls } from "./targets/plugin.ts";
import { podAnnotations } from "./targets/pod_annotations.ts";
import { resourceObjects } from "./targets/resources.ts";

/** In the order in which they are run. */
export const fuzzTargets: readonly FuzzTarget[] = [
  netlinkMessages,
  netlinkLinkData,
  arpFrames,
  pluginCalls,
  networkConfigurations,
  daemonAnswers,
  daemonRequests,
  descriptorMessages,
  podAnnotations,
  resourceObjects,
  serverIni,
  embeddedApi,
  frrAgentMessages,
  frrOutput,
  frrText,
];

/** How many of all inputs a target gets: its share, and one at least. */
export function runsOf(target: FuzzTarget, all: number): number {
  const shares = fuzzTargets.reduce((sum, { share }) => sum + share, 0);
  return Math.max(1, Math.round(all * target.share / shares));
}
