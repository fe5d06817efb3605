/** BGP and EVPN state of a node in a few lines, read from FRR itself. */
import { z } from "zod";
import { askFrr } from "./frr_words.ts";
import type { RunningNode } from "./lab.ts";

const peersSchema = z.object({
  peers: z.record(z.string(), z.object({ state: z.string(), pfxRcd: z.number().default(0) }))
    .default({}),
});
const vnisSchema = z.object({
  vrfs: z.array(z.object({
    vrf: z.string(),
    vni: z.number(),
    sviIntf: z.string().optional(),
    state: z.string(),
    routerMac: z.string().optional(),
  })).default([]),
});

/** Peers and L3VNIs of a node, a line each. */
export async function frrSummary(node: RunningNode): Promise<string> {
  const ask = async (daemon: "zebra" | "bgpd", command: string) =>
    JSON.parse(await askFrr(node.holder, daemon, command));
  const { peers } = peersSchema.parse(await ask("bgpd", "show bgp l2vpn evpn summary json"));
  const { vrfs } = vnisSchema.parse(await ask("zebra", "show vrf vni json"));
  return [
    node.name,
    ...Object.entries(peers).map(([address, { state, pfxRcd }]) =>
      `  peer ${address}  ${state}  ${pfxRcd} EVPN prefixes`
    ),
    ...vrfs.map(({ vrf, vni, state, sviIntf, routerMac }) =>
      `  VNI ${vni}  ${vrf}  ${state}  ${sviIntf ?? ""}  router MAC ${routerMac ?? "none"}`
    ),
  ].join("\n");
}
