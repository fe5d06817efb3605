/** The phases of a run for what all VRFs share: the RPDB's rules, routes to VTEPs, nftables. */
import { messageOf } from "../../lib/errors.ts";
import type { Kernel } from "../kernel/port.ts";
import type { Logger } from "../log.ts";
import { firewallModel, vrfNamespaces } from "./firewall_model.ts";
import type { NodeFirewall } from "../firewall/node_firewall.ts";
import type { PlannedRule } from "./plan_rules.ts";
import type { Run } from "./run.ts";

/** RPDB rules of all VRFs that stand. */
export function syncRules(kernel: Pick<Kernel, "syncRules">, run: Run, log: Logger): void {
  const failed = new Set(
    run.plan.vrfs.filter(({ vrf }) => run.failures.has(vrf)).map(({ table }) => table),
  );
  const rules = run.plan.rules.filter((rule: PlannedRule) =>
    // What must not leave stays in, whatever else failed.
    rule.action === "unreachable" || !failed.has(rule.table)
  );
  try {
    const { added, deleted, refused } = kernel.syncRules(rules);
    if (added + deleted > 0) log.info("Policy rules applied", { added, deleted });
    for (const { rule, message } of refused) refuseRule(run, rule, message);
  } catch (error) {
    run.unguarded = messageOf(error);
    run.problems.push(run.unguarded);
    for (const { name } of run.policies) run.refusedPolicies.set(name, run.unguarded);
  }
}

/** Routes to what stands for the other nodes' VTEPs in BGP. */
export function syncVtepRoutes(kernel: Kernel, run: Run, log: Logger): void {
  try {
    const { added, deleted } = kernel.syncVtepRoutes(run.plan.vtepRoutes, run.underlay);
    if (added + deleted > 0) log.info("Routes to VTEPs applied", { added, deleted });
  } catch (error) {
    run.problems.push(messageOf(error));
  }
}

/** What a policy asks for is its own fault, and leaves nothing open. */
function refuseRule(run: Run, { policy }: PlannedRule, message: string): void {
  if (policy === undefined) run.unguarded = message;
  else run.refusedPolicies.set(policy, message);
  run.problems.push(policy === undefined ? message : `VRFRoutingPolicy "${policy}": ${message}`);
}

/** The nftables table of the node, and those of VRFs that are namespaces of their own. */
export async function syncFirewall(
  kernel: Pick<Kernel, "ingressInterfaces" | "neighborPrefixes" | "ownNamespace">,
  firewall: Pick<NodeFirewall, "sync" | "syncNamespaces">,
  run: Run,
): Promise<void> {
  const standing = run.plan.vrfs.filter(({ vrf }) => !run.failures.has(vrf));
  const model = firewallModel(kernel, run.plan, standing);
  try {
    await firewall.sync(model, run.signal);
    const namespaces = vrfNamespaces(kernel, standing);
    run.problems.push(...await firewall.syncNamespaces(namespaces, run.signal));
  } catch (error) {
    run.signal.throwIfAborted();
    run.unguarded = messageOf(error);
    run.problems.push(run.unguarded);
  }
}

/** A VRF without egress takes no more pods while what keeps them in may be missing. */
export function failClosed(run: Run): void {
  if (run.unguarded === undefined) return;
  for (const [vrf, { egress }] of run.plan.traffic) {
    if (egress !== "none" || run.failures.has(vrf)) continue;
    run.failures.set(vrf, {
      reason: "EgressOpen",
      message:
        `Expected the way out of VRF ${vrf} to be closed, found rules or firewall not applied: ${run.unguarded}`,
    });
  }
}
