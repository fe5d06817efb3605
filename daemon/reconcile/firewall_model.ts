/** From a node's plan and its kernel's names to what the firewall shall be. */
import type { Kernel, VrfSpec } from "../kernel/port.ts";
import type { FirewallModel, FirewallVrf } from "../firewall/model.ts";
import type { VrfNamespace } from "../firewall/node_firewall.ts";
import { insidePrefixes, type NodePlan } from "./plan.ts";

/**
 * The firewall of the VRFs that stand.
 *
 * @param kernel Knows the links by which a VRF's packets come
 * @param plan Knows marks and ways out
 * @param standing Those of the plan's VRFs that the node carries
 */
export function firewallModel(
  kernel: Pick<Kernel, "ingressInterfaces" | "neighborPrefixes">,
  plan: Pick<NodePlan, "traffic" | "markMask" | "nat66" | "outward">,
  standing: readonly VrfSpec[],
): FirewallModel {
  const vrfs = standing.flatMap((spec): FirewallVrf[] => {
    const traffic = plan.traffic.get(spec.vrf);
    return traffic === undefined ? [] : [{
      ...traffic,
      ingress: kernel.ingressInterfaces(spec),
      prefixes: insidePrefixes(spec),
      blocks: spec.blocks,
      neighbors: kernel.neighborPrefixes(spec),
    }];
  });
  const { markMask, nat66, outward } = plan;
  return { outward, markMask, nat66, vrfs };
}

/** The network namespaces among the VRFs that stand, with what their tables depend on. */
export function vrfNamespaces(
  kernel: Pick<Kernel, "ownNamespace">,
  standing: readonly VrfSpec[],
): readonly VrfNamespace[] {
  return standing.flatMap(({ vrf, overlays }): VrfNamespace[] => {
    const namespace = kernel.ownNamespace(vrf);
    const gateways = overlays.flatMap((overlay) => overlay.gateways.map(({ address }) => address));
    return namespace === undefined ? [] : [{ ...namespace, gateways }];
  });
}
