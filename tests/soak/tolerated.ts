/** What may be left over, because FRR 8.4 leaves it over and it does no harm. Pure. */
import type { LabNode } from "../lab/topology.ts";
import { type SoakDomain, vniOf } from "./tenants.ts";
import { podNeighbors, type World } from "./world.ts";

/** A MAC that a pod of a stretched subnet had on a node. */
export interface FormerMac {
  /** Name of the node. */
  readonly node: string;
  /** The subnet. */
  readonly domain: SoakDomain;
  readonly mac: string;
}

/**
 * Facts of a node about pods that have gone while bgpd was away. zebra misses their end then, and announces the MAC, without an address, until it
 * is restarted or the address is given again. Nobody sends to it.
 */
export function toleratedFacts(world: World, node: LabNode): ReadonlySet<string> {
  return new Set(
    world.former.flatMap(({ node: home, domain, mac }) => {
      const l2vni = vniOf(domain, "l2vni");
      const at = world.nodes.find(({ name }) => name === home);
      const used = world.nodes.some(({ name }) =>
        podNeighbors(world, domain, name).some((pod) => pod.mac === mac)
      );
      if (l2vni === undefined || at === undefined || used) return [];
      return [
        `frr type-2 ${at.address} RT:65000:${l2vni} ${mac} alone`,
        ...home === node.name
          ? []
          : [`vrf-${domain.vrf} fdb l2vx-${l2vni} ${mac} to ${at.address}`],
      ];
    }),
  );
}
