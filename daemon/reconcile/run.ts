/** One run over the node, and what of it failed. */
import { messageOf } from "../../lib/errors.ts";
import type { Underlay } from "../kernel/port.ts";
import type { Difference } from "./difference.ts";
import type { DomainIdentity } from "./domain_report.ts";
import type { ExtraRefusals } from "./extra_config.ts";
import type { NodePlan } from "./plan.ts";
import type { PeerOverLimit } from "./prefix_limits.ts";
import type { PolicyIdentity } from "./policy_report.ts";

/** The state of one run: which VRFs failed and why. */
export interface Run {
  /** Ends it. */
  readonly signal: AbortSignal;
  /** The domains to carry, as objects. */
  readonly carried: readonly DomainIdentity[];
  /** The node's underlay. */
  readonly underlay: Underlay;
  /** What the node shall be. */
  readonly plan: NodePlan;
  /** What separates it from that. */
  readonly steps: Difference;
  /** VRFs that must not be pruned. */
  readonly keep: ReadonlySet<number>;
  /** Domains of which something is to be removed. */
  readonly going: readonly DomainIdentity[];
  /** VRFs that failed in this run, by number. */
  readonly failures: Map<number, { reason: string; message: string }>;
  /** VRFRoutingPolicies, as objects. */
  readonly policies: readonly PolicyIdentity[];
  /** What the kernel has against the rules of a policy, by its name. */
  readonly refusedPolicies: Map<string, string>;
  /** Why rules or firewall are not as planned. */
  unguarded?: string;
  /** Why FRR did not take the configuration. */
  frrFailure?: { readonly reason: string; readonly message: string };
  /** Extra lines that FRR did not take. */
  refusedExtras?: ExtraRefusals;
  /** What went wrong, in words. */
  readonly problems: string[];
  /** Peers with more routes than they may send. */
  readonly overLimit: readonly PeerOverLimit[];
  /** Whether some peer may send only so many. */
  readonly limited: boolean;
  /** Names of the domains that are listed on the server. */
  readonly announced: ReadonlySet<string>;
}

/** Does something for a VRF that has not failed yet; where it throws, the VRF has failed for that reason. */
export function attempt(run: Run, vrf: number, reason: string, action: () => void): void {
  if (run.failures.has(vrf)) return;
  try {
    action();
  } catch (error) {
    run.failures.set(vrf, { reason, message: messageOf(error) });
    run.problems.push(`VRF ${vrf}: ${messageOf(error)}`);
  }
}

/** The number of a VRF that FRR knows by its name, unless it has failed already. */
export function standingVrf({ plan, failures }: Run, name: string): number | undefined {
  const vrf = plan.vrfs.find((spec) => spec.name === name)?.vrf;
  return vrf === undefined || failures.has(vrf) ? undefined : vrf;
}
