/** Whose an address is that a pod of this node announces by itself. Pure. */
import type { ArpAnnouncement } from "../lib/net/arp.ts";
import type { Attachment } from "./ipam/port.ts";
import type { AddressOwner } from "./kernel/announcement_relay.ts";
import { podMac } from "./kernel/names.ts";
import type { IPBlock } from "./resources/ip_block.ts";

/** What is known of addresses. */
export interface KnownAddresses {
  /** Attachments of this node, those under way included. */
  readonly attachments: readonly Attachment[];
  /** Blocks of all nodes. */
  readonly blocks: readonly IPBlock[];
}

/**
 * Whose an announced address is: of the pod of this node that IPAM gave it to, if it announces it with its own MAC; of another one, or a
 * gateway's; or nobody's as far as IPAM knows.
 *
 * @param vrf VRF number
 */
export function ownerOf(
  vrf: number,
  { address, mac }: ArpAnnouncement,
  { attachments, blocks }: KnownAddresses,
): AddressOwner {
  const holder = attachments.find((each) =>
    each.vrf === vrf && each.allocations.some((allocation) => allocation.address === address)
  );
  if (holder !== undefined) return macOf(holder) === mac ? "own" : "other";
  const given = blocks.some(({ spec, status }) =>
    spec.vrfTable === vrf && status?.allocations?.[address] !== undefined
  );
  return given ? "other" : "nobody";
}

/** The MAC that an attachment has, or gets. */
function macOf({ mac, vrf, allocations }: Attachment): string {
  return mac === "" ? podMac(vrf, allocations[0]?.address ?? "") : mac;
}
