/** The phase that keeps the next hops of the VRFs' EVPN routes in the kernel. */
import type { FrrClient } from "../../frr/client.ts";
import { messageOf } from "../../lib/errors.ts";
import { RT_TABLE } from "../../lib/netlink/rtnl/types.ts";
import type { KeptVrf, NextHopKeeper } from "../kernel/next_hop_keeper.ts";
import { findNextHopLinks, vtepOf } from "../kernel/next_hops.ts";
import type { Kernel, VrfSpec } from "../kernel/port.ts";
import type { Run } from "./run.ts";

/** What keeps next hops between two runs. */
export type NextHops = Pick<NextHopKeeper, "keep" | "put">;

/** Tells the keeper which VRFs there are; asks FRR for the router MACs that nobody has seen. */
export async function keepNextHops(
  kernel: Kernel,
  nextHops: NextHops,
  frr: FrrClient,
  run: Run,
): Promise<void> {
  try {
    const vrfs = run.plan.vrfs.filter(({ vrf }) => !run.failures.has(vrf));
    const lost = nextHops.keep(vrfs.flatMap((spec) => keptVrf(kernel, spec) ?? []));
    for (const [vrf, entries] of Map.groupBy(lost, (entry) => entry.vrf)) {
      const spec = vrfs.find((each) => each.vrf === vrf);
      if (spec === undefined) continue;
      const macs = await routerMacs(frr, spec.name, run);
      for (const { address } of entries) {
        const mac = macs.get(vtepOf(address));
        if (mac !== undefined) nextHops.put(vrf, { address, mac });
      }
    }
  } catch (error) {
    run.signal.throwIfAborted();
    run.problems.push(messageOf(error));
  }
}

function keptVrf(kernel: Kernel, spec: VrfSpec): KeptVrf | undefined {
  const overlay = spec.overlays.find(({ type }) => type === "l3vni");
  const connection = kernel.connection(spec.vrf);
  const netns = kernel.namespace(spec.vrf);
  if (overlay === undefined || connection === undefined || netns === undefined) return undefined;
  const table = kernel.backend === "device" ? spec.table : RT_TABLE.MAIN;
  const links = findNextHopLinks(connection, overlay, table);
  return links === undefined ? undefined : { vrf: spec.vrf, netns, links };
}

/**
 * Router MACs by VTEP, from the type-5 routes that the VRF's routes were made from. Another tenant may have the same prefixes behind
 * the same next hop, with another MAC: the route target tells.
 */
async function routerMacs(
  frr: FrrClient,
  name: string,
  run: Run,
): Promise<Map<string, string>> {
  const { routes, prefixRoutes } = await frr.routes(name, run.signal);
  const targets = new Set(run.plan.frr.vrfs.find((vrf) => vrf.name === name)?.routeTargets.import);
  const installed = new Set(
    routes.filter(({ protocol }) => protocol === "bgp").flatMap(({ prefix, nexthops }) =>
      nexthops.map((hop) => `${prefix} ${vtepOf(hop.split(" ")[0] ?? "")}`)
    ),
  );
  return new Map(
    prefixRoutes.flatMap(({ prefix, nexthop, routerMac, routeTargets }) =>
      routerMac !== undefined && installed.has(`${prefix} ${nexthop}`) &&
        routeTargets.some((target) => targets.has(target))
        ? [[nexthop, routerMac]]
        : []
    ),
  );
}
