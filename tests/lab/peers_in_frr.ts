import { askFrr } from "./frr_words.ts";
import type { RunningNode } from "./lab.ts";

/** Addresses of a node's BGP peers as FRR is told them. */
export async function peersInFrr(node: RunningNode): Promise<string[]> {
  const text = await askFrr(node.holder, "bgpd", "show running-config");
  return [...text.matchAll(/^ neighbor (\S+) remote-as internal$/gm)].map(([, peer]) => peer ?? "")
    .sort();
}
