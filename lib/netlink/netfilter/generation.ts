/** The generation of a namespace's nftables ruleset: a number that every commit raises by one. */
import { NETLINK_NETFILTER } from "../../sys/netlink_socket.ts";
import { netnsIdentity, openNetns, openOwnNetns } from "../../sys/netns.ts";
import { attributeTable } from "../attributes.ts";
import { be16, be32, struct, u8 } from "../codec.ts";
import { NetlinkConnection } from "../connection.ts";
import { payload } from "../message.ts";

/** NFT_MSG_NEWGEN and NFT_MSG_GETGEN of NFNL_SUBSYS_NFTABLES (include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h). */
const NFT_MSG = { NEWGEN: 10 << 8 | 15, GETGEN: 10 << 8 | 16 } as const;

/** struct nfgenmsg, and NFTA_GEN_ID. */
const generationPayload = payload(
  struct({ family: u8, version: u8, resourceId: be16 }),
  attributeTable({ id: [1, be32] }),
);

/** A generation, and the namespace that it is of. */
export interface NftGeneration {
  /** Distinguishes the namespace from all others that exist. */
  readonly namespace: string;
  /** Number of the generation, from 1 to 2^32 − 1; it starts anew behind the latter. */
  readonly id: number;
}

/**
 * Reads the generation of a network namespace's ruleset.
 *
 * @param path Path of the namespace; the caller's own by default
 * @throws {SysError} If the namespace cannot be opened or entered
 * @throws {NetlinkError} If the kernel refuses, as one without nftables does
 */
export function readNftGeneration(path?: string): NftGeneration {
  using netns = path === undefined ? openOwnNetns() : openNetns(path);
  using connection = NetlinkConnection.open({ netns, protocol: NETLINK_NETFILTER });
  const id = connection.query({
    operation: "to read the ruleset's generation",
    type: NFT_MSG.GETGEN,
    codec: generationPayload,
    value: { header: { family: 0, version: 0, resourceId: 0 }, attributes: {} },
  }, (message) => {
    if (message.type !== NFT_MSG.NEWGEN) return undefined;
    return generationPayload.read(message.view, message.start, message.end).attributes.id;
  });
  return { namespace: netnsIdentity(netns), id: id ?? 0 };
}
