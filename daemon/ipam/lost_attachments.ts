/** Enters attachments into the journal again that it has lost, while their pods run: their addresses must not be given twice. */
import { addressFamily, parseAddress } from "../../lib/net/address.ts";
import type { ResourceCache } from "../kube/port.ts";
import type { Logger } from "../log.ts";
import type { IPBlock } from "../resources/ip_block.ts";
import { specRange } from "./block_claims.ts";
import { type BlockRange, gatewayOf, rangeHolds } from "./block_range.ts";
import type { AttachmentStore } from "./journal.ts";
import type { Allocation, Attachment, StandingInterface } from "./port.ts";

/** What it works with. */
export interface LostAttachmentsOptions {
  /** This node's name. */
  readonly nodeName: string;
  /** Where they are entered. */
  readonly journal: AttachmentStore;
  /** IPBlocks as last seen, for the blocks that a pod's addresses are from. */
  readonly cache: ResourceCache<IPBlock>;
  /** Interfaces of pods of a VRF that stand, those left out whose host ends are known. */
  readonly standing: (
    vrf: number,
    known: (hostIfname: string) => boolean,
  ) => readonly StandingInterface[];
  /** Name of the domain that has a VRF. */
  readonly domainOf: (vrf: number) => string;
  /** Milliseconds since 1970, for the rows' time. */
  readonly now: () => number;
  /** Where it says so. */
  readonly log: Logger;
}

/**
 * Makes what is to be called before addresses are given from a block that the journal does not know. It looks at all pods of the block's
 * VRF that stand without a row.
 *
 * @returns Called with the block's object; it throws what the kernel or the journal does, and the block must not be used then
 */
export function createLostAttachments(
  options: LostAttachmentsOptions,
): (object: IPBlock) => void {
  const { nodeName, journal, cache, log } = options;

  const blocksOf = (object: IPBlock): BlockRange[] => {
    const { vrfTable } = object.spec;
    const ours = cache.list().filter(({ spec }) =>
      spec.vrfTable === vrfTable && spec.nodeName === nodeName
    );
    return [object, ...ours].flatMap((each) => specRange(each) ?? []);
  };

  const allocationsOf = (
    { addresses }: StandingInterface,
    blocks: readonly BlockRange[],
  ): Allocation[] => {
    const allocations = new Map<number | undefined, Allocation>();
    for (const { address, prefixLength } of addresses) {
      const block = blocks.find((range) => rangeHolds(range, parseAddress(address)));
      if (block === undefined) continue;
      const gateway = gatewayOf(block);
      const family = addressFamily(address);
      if (!allocations.has(family)) {
        allocations.set(family, { address, prefixLength, gateway, block: block.cidr });
      }
    }
    return [4, 6].flatMap((family) => allocations.get(family) ?? []);
  };

  return (object) => {
    const vrf = object.spec.vrfTable;
    const rows = journal.list();
    const names = new Set(rows.map(({ hostIfname }) => hostIfname));
    const given = new Set(
      rows.flatMap((row) => row.vrf === vrf ? row.allocations.map(({ address }) => address) : []),
    );
    const blocks = blocksOf(object);
    for (const found of options.standing(vrf, (hostIfname) => names.has(hostIfname))) {
      const allocations = allocationsOf(found, blocks)
        .filter(({ address }) => !given.has(address));
      if (allocations.length === 0) continue;
      const { network, containerId, ifname } = found;
      journal.insert({
        ...{ network, containerId, ifname, vrf, allocations },
        ...podOf(object, containerId, allocations),
        ...{ hostIfname: found.hostIfname, mac: found.mac, netnsPath: "" },
        ...{ domain: options.domainOf(vrf), state: "attached", createdAt: options.now() },
      });
      for (const { address } of allocations) given.add(address);
      log.warn("Attachment that the journal had lost found in the kernel", {
        ...{ containerId, ifname, vrf },
        addresses: allocations.map(({ address }) => address),
      });
    }
  };
}

/** What the block's status says of an attachment's pod. */
function podOf(
  { status }: IPBlock,
  containerId: string,
  allocations: readonly Allocation[],
): Pick<Attachment, "namespace" | "pod" | "podUid"> {
  const said = allocations.map(({ address }) => ({
    reference: status?.allocations?.[address],
    kept: status?.kept?.[address],
  })).find(({ reference }) => reference !== undefined);
  const [namespace = "", pod = ""] = said?.kept?.pod.split("/") ?? [];
  const { reference = containerId } = said ?? {};
  return { namespace, pod, podUid: reference === containerId ? "" : reference };
}
