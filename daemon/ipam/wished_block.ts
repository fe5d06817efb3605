/** Brings the block around a wished address to this node, or says whose it is. */
import { messageOf } from "../../lib/errors.ts";
import { formatAddress } from "../../lib/net/address.ts";
import type { ResourceCache, ResourceClient } from "../kube/port.ts";
import { type IPBlock, ipBlockName } from "../resources/ip_block.ts";
import type { DomainRange } from "./block_candidates.ts";
import { type BlockClaims, specRange } from "./block_claims.ts";
import { type BlockRange, rangeAt, rangesOverlap } from "./block_range.ts";
import { IpamError } from "./errors.ts";
import type { HeldBlock, HeldBlocks } from "./held_blocks.ts";

/** What it works with. */
export interface WishedBlockOptions {
  /** This node's name. */
  readonly nodeName: string;
  /** Requests on IPBlocks. */
  readonly client: Pick<ResourceClient<IPBlock>, "get">;
  /** IPBlocks as last seen. */
  readonly cache: ResourceCache<IPBlock>;
  /** The blocks of this node. */
  readonly held: HeldBlocks;
  /** Claims at the API. */
  readonly claims: Pick<BlockClaims, "verify" | "claimRange">;
  /** Ends all requests. */
  readonly signal: AbortSignal;
}

/**
 * Makes what claims the block around an address. It resolves when the node may have the block by now: look again.
 *
 * It throws {@linkcode IpamError}: `AddressElsewhere` when another node holds the block or one that overlaps it, `ClaimFailed`
 * when the API gives no answer.
 */
export function createWishedBlock(
  options: WishedBlockOptions,
): (wanted: DomainRange, address: bigint) => Promise<void> {
  const { nodeName, client, cache, held, claims, signal } = options;

  const elsewhere = ({ domain, prefix }: DomainRange, address: bigint, found: string) =>
    new IpamError(
      "AddressElsewhere",
      `Expected the block around "${
        formatAddress(prefix.family, address)
      }" of the VRFDomain "${domain.name}" to be free or on the node ` +
        `"${nodeName}", found ${found}; start the pod there, or choose another address`,
    );

  const confirm = async (wanted: DomainRange, address: bigint, block: HeldBlock) => {
    // A release under way is waited for: the block is claimed anew then.
    if (block.state !== "open") {
      await claims.verify(wanted.domain.vrf, block.range, () => held.get(block.name) === block);
    }
    if (held.get(block.name) !== block || block.state === "open" && block.dispute === "") return;
    if (block.dispute !== "") {
      throw elsewhere(wanted, address, `the block "${block.name}", which ${block.dispute}`);
    }
    throw failed(wanted, address, `it is "${block.state}" at the moment`);
  };

  const confirmObject = async (wanted: DomainRange, address: bigint, object: IPBlock) => {
    const { name } = object.metadata;
    const range = specRange(object);
    if (object.spec.nodeName !== nodeName || range === undefined) {
      throw elsewhere(wanted, address, `"${name}" of the node "${object.spec.nodeName}"`);
    }
    await claims.verify(wanted.domain.vrf, range, () => held.get(name) === undefined);
    if (held.get(name) === undefined) {
      throw failed(wanted, address, `"${name}", which is going or claims nothing by its name`);
    }
  };

  const claim = async (wanted: DomainRange, address: bigint, range: BlockRange) => {
    const { vrf } = wanted.domain;
    if (await claims.claimRange(vrf, range)) return;
    const name = ipBlockName(vrf, range.cidr);
    if (held.get(name) !== undefined) return;
    const object = await client.get(name, signal);
    if (object === undefined || object.spec.nodeName === nodeName) {
      throw failed(wanted, address, `"${name}", which is going`);
    }
    throw elsewhere(wanted, address, `"${name}" of the node "${object.spec.nodeName}"`);
  };

  return async (wanted, address) => {
    const { domain: { vrf }, prefix: { family }, blockLength } = wanted;
    try {
      const block = held.at(vrf, { family, value: address });
      if (block !== undefined) return await confirm(wanted, address, block);
      if (!cache.synced) throw new Error("the list of IPBlocks has not arrived yet");
      const range = rangeAt({ family, value: address }, blockLength);
      const object = overlapping(cache, vrf, range);
      if (object !== undefined) return await confirmObject(wanted, address, object);
      const ours = held.ofVrf(vrf).find((other) => rangesOverlap(other.range, range));
      if (ours !== undefined) throw elsewhere(wanted, address, `its part "${ours.name}"`);
      await claim(wanted, address, range);
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof IpamError ? error : failed(wanted, address, messageOf(error), error);
    }
  };
}

/** An object of the VRF that shares addresses with a range. */
function overlapping(
  cache: ResourceCache<IPBlock>,
  vrf: number,
  range: BlockRange,
): IPBlock | undefined {
  return cache.list().find((object) => {
    if (object.spec.vrfTable !== vrf) return false;
    const other = specRange(object);
    return other !== undefined && rangesOverlap(other, range);
  });
}

function failed(
  { domain, prefix }: DomainRange,
  address: bigint,
  found: string,
  cause?: unknown,
): IpamError {
  return new IpamError(
    "ClaimFailed",
    `Expected to claim the block around "${
      formatAddress(prefix.family, address)
    }" of the VRFDomain "${domain.name}", found "${found}"; ` +
      "it is tried again with the next request",
    { cause },
  );
}
