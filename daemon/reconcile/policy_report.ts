/** What a node says of each VRFRoutingPolicy in its VRFNodeState. Pure. */
import type { DomainIdentity } from "./domain_report.ts";

/** A policy as this node reports on it. */
export interface PolicyIdentity {
  /** Name of the VRFRoutingPolicy. */
  readonly name: string;
  /** UID of the object. */
  readonly uid: string;
  /** Generation that is being applied. */
  readonly generation: number;
  /** Name of the VRFDomain to whose table it leads. */
  readonly domain: string;
}

/** Where a policy stands on this node. */
export interface PolicyReport extends Omit<PolicyIdentity, "domain"> {
  /** Whether all of its rules stand. */
  readonly ready: boolean;
  /** One word for machines. */
  readonly reason: string;
  /** For a person. */
  readonly message: string;
}

/** What the reports are made of. */
export interface PolicyRun {
  /** All policies. */
  readonly policies: readonly PolicyIdentity[];
  /** Domains carried. */
  readonly carried: readonly DomainIdentity[];
  /** Names of the domains that are listed on the server: the others are not touched yet. */
  readonly announced: ReadonlySet<string>;
  /** VRFs that failed, by number. */
  readonly failures: ReadonlyMap<number, { readonly message: string }>;
  /** What the kernel has against the rules of a policy, by its name. */
  readonly refusedPolicies: ReadonlyMap<string, string>;
}

/** All policies of domains that this node carries. */
export function policyReports(run: PolicyRun): PolicyReport[] {
  return run.policies.flatMap(({ domain, ...policy }) => {
    const carried = run.carried.find(({ name }) => name === domain);
    if (carried === undefined || !run.announced.has(domain)) return [];
    const failure = run.failures.get(carried.vrf);
    if (failure !== undefined) {
      const message = `VRFDomain "${domain}" is not applied: ${failure.message}`;
      return [{ ...policy, ready: false, reason: "DomainFailed", message }];
    }
    const refused = run.refusedPolicies.get(policy.name);
    return [
      refused === undefined
        ? { ...policy, ready: true, reason: "Applied", message: "" }
        : { ...policy, ready: false, reason: "RuleRefused", message: refused },
    ];
  });
}
