/** What attachments and the reconciler need of IPAM. Implemented by `address_pool.ts` over `journal.ts`. */

/** What IPAM needs to know of a VRFDomain. */
export interface PoolDomain {
  /** Name of the VRFDomain. */
  readonly name: string;
  /** VRF number; IPBlocks carry it as `vrfTable`. */
  readonly vrf: number;
  /** Where its pods' addresses come from: one range of each IP version at most. A pod has an address of each. */
  readonly ranges: readonly PoolRange[];
  /** How long a kept address stays a pod's after it has gone, in seconds; a week when absent. */
  readonly keepSeconds?: number | undefined;
}

/** An address range of a domain. */
export interface PoolRange {
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

/** Who the addresses are for; goes into the journal and, as reference, into the IPBlock's status. */
export interface AttachmentOwner extends AttachmentKey {
  /** Pod's namespace, empty where the runtime names none. */
  readonly namespace: string;
  /** Pod's name, empty where the runtime names none. */
  readonly pod: string;
  /** Pod's UID, empty where the runtime names none. */
  readonly podUid: string;
}

/** An address that an attachment must have. */
export interface WishedAddress {
  /** The address, as lib/net/address.ts formats it. */
  readonly address: string;
  /** Length that the address must have on the interface, in bits; as the domain has it when absent. */
  readonly prefixLength?: number;
}

/** What an attachment must have: it gets exactly that, or an error. */
export interface AttachmentWish {
  /** Addresses, at most one of each family; any free one where none is named. */
  readonly addresses: readonly WishedAddress[];
  /** MAC address in the container, in lower case; one that goes with the address when absent. */
  readonly mac?: string;
  /**
   * Whether the pod shall have the same addresses again, by its name, when it comes back: `strict` wherever it does, or not at all;
   * `on-node` only where it had them.
   */
  readonly keep?: "strict" | "on-node";
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
export interface Attachment extends AttachmentOwner {
  /** Its addresses, IPv4 first: one of each IP version that the domain had at the time. */
  readonly allocations: readonly Allocation[];
  /** VRFDomain's name. */
  readonly domain: string;
  /** VRF number. */
  readonly vrf: number;
  /** `reserved` from the allocation until the interface stands, then `attached`; `releasing` from DEL until it is gone. */
  readonly state: "reserved" | "attached" | "releasing";
  /** Name of the veth's host end. */
  readonly hostIfname: string;
  /** Container interface's MAC; until it is attached the wished one, empty without a wish. */
  readonly mac: string;
  /** Path of the network namespace as the runtime gave it. */
  readonly netnsPath: string;
  /** Milliseconds since 1970, for people only: nothing is decided by it. */
  readonly createdAt: number;
}

/** A pod's interface that stands in the kernel. */
export interface StandingInterface extends AttachmentKey {
  /** Name of the veth's host end. */
  readonly hostIfname: string;
  /** MAC address in the pod. */
  readonly mac: string;
  /** Its addresses and their prefix lengths on the interface, in bits. */
  readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
}

/** Address pools of all domains on this node. */
export interface AddressPool {
  /**
   * Gives an address of each of the domain's ranges, all or none, and journals them as `reserved`, durably, before it
   * returns. The same key gets the same row again. Claims a block first only when this node has none with room, or none
   * around an address that is wished.
   * @throws {IpamError} `BlocksExhausted`, `ClaimFailed` (API away and no local block), `KeyInOtherDomain`;
   * for a wish `AddressInvalid` (never given in this domain), `AddressInUse`, `AddressElsewhere` (in another node's
   * block), `AddressLeaving` (its holder is being deleted), `MacInUse`
   */
  reserve(
    domain: PoolDomain,
    owner: AttachmentOwner & { readonly netnsPath: string },
    signal: AbortSignal,
    wish?: AttachmentWish,
  ): Promise<Attachment>;
  /** Marks the row `attached`. */
  commit(key: AttachmentKey, details: { readonly mac: string }): void;
  /** Marks the row `releasing`, so that a crash during DEL is resumed. */
  markReleasing(key: AttachmentKey): void;
  /** Frees the addresses and forgets the row; idempotent. */
  release(key: AttachmentKey): void;
  /** The row of a key. */
  find(key: AttachmentKey): Attachment | undefined;
  /** The rows of a container: one for each interface. */
  ofContainer(containerId: string): readonly Attachment[];
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

/** Something wrong with a VRF's blocks on this node. */
export interface PoolProblem {
  /** VRF number. */
  readonly vrf: number;
  /**
   * `BlocksExhausted`, `ClaimFailed`, `InvalidDomain`, or a code of the journal: the last claim failed.
   * `BlockOverlap`: the node holds the same range for another VRF. `BlockDisputed`: another node has it too.
   */
  readonly code: string;
  /** What was found, for a person. */
  readonly message: string;
  /** Name of the IPBlock that it is about; absent where it is about a claim. */
  readonly block?: string;
}

/** Outcome of {@linkcode NodeAddressPool.collectGarbage}. */
export interface GarbageReport {
  /** Names of the blocks that were released. */
  readonly released: readonly string[];
  /** Blocks that could not be released now; the next run tries them again. */
  readonly failed: number;
}

/** Outcome of {@linkcode NodeAddressPool.releaseDomain}. */
export interface DomainRelease extends GarbageReport {
  /** Attachments that hold the domain; nothing is released while there are any. */
  readonly attachments: number;
  /** Blocks of this node that remain; the domain is gone from this node's pool when it is 0. */
  readonly remaining: number;
}

/** The pool of this node: what attachments need, and what the reconciler needs. */
export interface NodeAddressPool extends AddressPool {
  /** Calls `changed` after the set of blocks, a block's state or a problem may have changed. Returns the way to stop. */
  subscribe(changed: () => void): () => void;
  /**
   * Claims a block of each of the domain's prefixes in the background, unless this node holds one that can be used.
   * @throws {IpamError} `InvalidDomain`
   */
  hold(domain: PoolDomain): void;
  /** How many attachments each VRF has on this node; those without any are not listed. */
  countByVrf(): ReadonlyMap<number, number>;
  /** What is wrong now. */
  problems(): readonly PoolProblem[];
  /**
   * Writes what the blocks' status lacks, and waits for it.
   * @throws {IpamError} `FlushAborted` if the signal aborts first
   */
  flush(signal: AbortSignal): Promise<void>;
  /**
   * Releases blocks without attachments that are not needed: those of domains that are not listed, and those whose
   * domain has room enough in others. Call it with all live domains, after their cache has synced.
   */
  collectGarbage(domains: readonly PoolDomain[], signal: AbortSignal): Promise<GarbageReport>;
  /** Releases all blocks of a VRF whose domain is being removed, unless attachments remain. */
  releaseDomain(vrf: number, signal: AbortSignal): Promise<DomainRelease>;
}
