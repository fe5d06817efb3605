/** L2VNIs: FRR finds them in the kernel, so that no configuration tells of them. */

import { z } from "zod";
import type { FrrVniState } from "./protocol.ts";

/** What zebra and what bgpd says of VNIs. */
export const l2vniCommands = ["show evpn vni json", "show bgp l2vpn evpn vni json"] as const;

const byVni = z.record(z.string(), z.unknown());

const zebraVni = z.object({
  vni: z.number(),
  type: z.literal("L2"),
  vxlanIf: z.string(),
  numArpNd: z.number(),
  numRemoteVteps: z.number(),
  tenantVrf: z.string(),
});

/** bgpd withdraws what zebra tells it has gone down, while zebra goes on listing it. */
const bgpVni = z.object({ vni: z.number(), type: z.literal("L2"), inKernel: z.literal("True") });

/** L2VNIs from the answers to {@linkcode l2vniCommands}. */
export function parseL2vnis(zebra = "", bgp = ""): FrrVniState[] {
  const announced = new Set(entries(bgp, bgpVni).map(({ vni }) => vni));
  return entries(zebra, zebraVni).map(({ vni, vxlanIf, numArpNd, numRemoteVteps, tenantVrf }) => ({
    vrf: tenantVrf,
    vni,
    type: "l2vni",
    state: announced.has(vni) ? "Up" : "Down",
    remoteVteps: numRemoteVteps,
    neighbors: numArpNd,
    vxlan: vxlanIf,
  }));
}

/** The values of an object that have a form; others stand among them, such as totals and L3VNIs. */
function entries<T>(json: string, form: z.ZodType<T>): T[] {
  return Object.values(byVni.safeParse(parseJson(json)).data ?? {}).flatMap((entry) => {
    const { data } = form.safeParse(entry);
    return data === undefined ? [] : [data];
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
