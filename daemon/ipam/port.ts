/** What attachments and the reconciler need of IPAM. Implemented by `address_pool.ts` over `journal.ts`. */

/** What IPAM needs to know of a VRFDomain. */
export interface PoolDomain {
  /** Name of the VRFDomain. */
  readonly name: string;
  /** VRF number; IPBlocks carry it as `vrfTable`. */
  readonly vrf: number;
  /** The domain's prefix in CIDR form. */
  readonly prefix: string;
  /** Length of a node's block, in bits. */
  readonly blockLength: number;
  /** Prefix length of a pod's address on its interface: the block's for l3vni, the domain's for l2vni. */
  readonly addressLength: number;
}

/** Identity of an attachment: CNI identifies it by network, container and interface. */
export interface AttachmentKey {
  /** Network name of the CNI configuration. */
  readonly network: string;
  /** CNI_CONTAINERID. */
  readonly containerId: string;
  /** CNI_IFNAME. */
  readonly ifname: string;
}

/** Who the address is for; goes into the journal and, as reference, into the IPBlock's status. */
export interface AttachmentOwner extends AttachmentKey {
  /** Pod's namespace, empty where the runtime names none. */
  readonly namespace: string;
  /** Pod's name, empty where the runtime names none. */
  readonly pod: string;
  /** Pod's UID, empty where the runtime names none. */
  readonly podUid: string;
}

/** An address given to an attachment. */
export interface Allocation {
  /** The pod's address. */
  readonly address: string;
  /** Prefix length on the pod's interface. */
  readonly prefixLength: number;
  /** The block's gateway address. */
  readonly gateway: string;
  /** CIDR of the block that it is from. */
  readonly block: string;
}

/** A row of the journal. */
export interface Attachment extends AttachmentOwner, Allocation {
  /** VRFDomain's name. */
  readonly domain: string;
  /** VRF number. */
  readonly vrf: number;
  /** `reserved` from the allocation until the interface stands, then `attached`; `releasing` from DEL until it is gone. */
  readonly state: "reserved" | "attached" | "releasing";
  /** Name of the veth's host end. */
  readonly hostIfname: string;
  /** Container interface's MAC; empty until attached. */
  readonly mac: string;
  /** Path of the network namespace as the runtime gave it. */
  readonly netnsPath: string;
  /** Milliseconds since 1970, for people only: nothing is decided by it. */
  readonly createdAt: number;
}

/** Address pools of all domains on this node. */
export interface AddressPool {
  /**
   * Gives an address and journals it as `reserved`, durably, before it returns. The same key gets the same row again.
   * Claims a block first only when this node has none with room.
   * @throws {IpamError} `BlocksExhausted`, `ClaimFailed` (API away and no local block), `KeyInOtherDomain`
   */
  reserve(
    domain: PoolDomain,
    owner: AttachmentOwner & { readonly netnsPath: string },
    signal: AbortSignal,
  ): Promise<Attachment>;
  /** Marks the row `attached`. */
  commit(key: AttachmentKey, details: { readonly mac: string }): void;
  /** Marks the row `releasing`, so that a crash during DEL is resumed. */
  markReleasing(key: AttachmentKey): void;
  /** Frees the address and forgets the row; idempotent. */
  release(key: AttachmentKey): void;
  /** The row of a key. */
  find(key: AttachmentKey): Attachment | undefined;
  /** All rows. */
  list(): readonly Attachment[];
  /** Blocks that this node holds now, by VRF: CIDR and gateway. What the reconciler puts on bridges. */
  blocks(): readonly PoolBlock[];
}

/** A block that this node holds. */
export interface PoolBlock {
  /** Name of the IPBlock object. */
  readonly name: string;
  /** VRF number. */
  readonly vrf: number;
  /** CIDR. */
  readonly cidr: string;
  /** Gateway address in it. */
  readonly gateway: string;
  /** Addresses given, the gateway included. */
  readonly allocated: number;
  /** Usable addresses, the gateway included. */
  readonly capacity: number;
}
