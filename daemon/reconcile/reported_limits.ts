/** What a domain asks for and does not get, whatever is tried: seen in the plan alone. */
import { addressFamily } from "../../lib/net/address.ts";
import { hiddenProblem } from "./imports.ts";
import type { NodePlan } from "./plan.ts";
import type { Run } from "./run.ts";

/** VRFs that cannot be carried, whatever is tried. */
export function unsupported({ vrfs }: NodePlan): Run["failures"] {
  const stretched = vrfs.filter(({ overlays }) =>
    overlays.some(({ type, local }) => type === "l2vni" && addressFamily(local) === 6)
  );
  const message =
    "Expected tunnels over IPv4 for an attachment of the type l2vni, found IPv6; FRR tells of stretched subnets over IPv4 only: " +
    "use an attachment of the type l3vni";
  return new Map(stretched.map(({ vrf }) => [vrf, { reason: "UnderlayUnsupported", message }]));
}

/** Domains that ask for a greater MTU than the underlay has room for. Everything of them works, with a smaller one. */
export function reportCramped(run: Run): void {
  const { ifname, mtu } = run.underlay;
  for (const { vrf, wanted, given } of run.plan.cramped) {
    if (run.failures.has(vrf)) continue;
    const message =
      `Expected room for the MTU ${wanted} and VXLAN's headers on "${ifname}", found it with ${mtu}: ${given} is used`;
    run.failures.set(vrf, { reason: "MTUTooLarge", message });
  }
}

/** Domains that import route targets of others whose addresses they cannot reach. */
export function reportHidden(run: Run): void {
  for (const [vrf, hidden] of run.plan.hidden) {
    const problem = hiddenProblem(hidden);
    if (problem !== undefined && !run.failures.has(vrf)) run.failures.set(vrf, problem);
  }
}
