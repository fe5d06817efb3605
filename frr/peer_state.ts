/** The state of BGP peers from the output of FRR's show commands. */

import { z } from "zod";
import type { FrrPeerState } from "./protocol.ts";
import { askDaemons } from "./vty.ts";

/** What tells the BFD sessions; without bfdd it is no JSON. */
export const bfdCommand = "show bfd peers brief json";

/** Of how many peers that are down the reason is asked for. */
const MOST_EXPLAINED = 16;

const evpnSummary = z.object({
  peers: z.record(
    z.string(),
    z.object({
      state: z.string(),
      pfxRcd: z.number().default(0),
      remoteAs: z.number().optional(),
    }),
  ),
});

/** Peers from `show bgp l2vpn evpn summary json`; none when there is no BGP instance yet. */
export function parsePeers(json: string): FrrPeerState[] {
  const parsed = evpnSummary.safeParse(parseJson(json));
  return Object.entries(parsed.data?.peers ?? {}).map(([address, peer]): FrrPeerState => ({
    address,
    state: peer.state,
    established: peer.state === "Established",
    prefixesReceived: peer.pfxRcd,
    // Of a peer of the node's own AS number FRR says 0 until the session has been up.
    ...peer.remoteAs === undefined || peer.remoteAs === 0 ? {} : { asn: peer.remoteAs },
  })).toSorted((a, b) => a.address < b.address ? -1 : a.address > b.address ? 1 : 0);
}

const bfdSessions = z.array(z.object({ peer: z.string(), status: z.string() }));

/** Whether the path to a peer is up, by its address, from {@linkcode bfdCommand}. */
export function parseBfdSessions(json: string): ReadonlyMap<string, "up" | "down"> {
  const sessions = bfdSessions.safeParse(parseJson(json)).data ?? [];
  return new Map(sessions.map(({ peer, status }) => [peer, status === "up" ? "up" : "down"]));
}

const neighbor = z.object({
  lastNotificationReason: z.string().optional(),
  lastResetDueTo: z.string().optional(),
});

/** Why a session is not up, in FRR's words, from `show bgp neighbors ADDRESS json`; undefined when it does not say. */
export function parseLastError(address: string, json: string): string | undefined {
  const parsed = z.record(z.string(), z.unknown()).safeParse(parseJson(json)).data ?? {};
  const { lastNotificationReason, lastResetDueTo } = neighbor.safeParse(parsed[address]).data ?? {};
  return lastNotificationReason ?? lastResetDueTo;
}

/**
 * Adds to peers what is known besides their state: of BFD, and why those are down that are.
 *
 * @throws {FrrError} As `askDaemons`
 */
export async function explainPeers(
  vtyDir: string,
  peers: readonly FrrPeerState[],
  sessions: ReadonlyMap<string, "up" | "down">,
  signal: AbortSignal,
): Promise<FrrPeerState[]> {
  const down = peers.filter(({ established }) => !established).slice(0, MOST_EXPLAINED);
  const commands = down.map(({ address }) => `show bgp neighbors ${address} json`);
  const { replies } = await askDaemons(vtyDir, down.length === 0 ? {} : { bgpd: commands }, signal);
  const errors = new Map(
    down.map(({ address }, i) => [address, parseLastError(address, replies[i]?.output ?? "")]),
  );
  return peers.map((peer) => {
    const bfd = sessions.get(peer.address);
    const lastError = errors.get(peer.address);
    return {
      ...peer,
      ...bfd === undefined ? {} : { bfd },
      ...lastError === undefined ? {} : { lastError },
    };
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
