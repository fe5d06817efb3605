import { CodedError } from "../../lib/errors.ts";
import { CniError, type CniErrorName } from "../../lib/cni/errors.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import type { AddressPool, Attachment, AttachmentKey, PoolDomain } from "../ipam/port.ts";
import { podAlias, podMac } from "../kernel/names.ts";
import type { Kernel } from "../kernel/port.ts";
import type { PodInterfaceSpec, PodNetwork, PodRoute } from "../pod/port.ts";
import type { CniCall } from "../server/cni_api.ts";
import type { GatherWishes } from "../wishes/attachment_wishes.ts";
import type { KeyLocks } from "./key_locks.ts";

/** What tells a node that it can serve ADD. */
export interface NodeStatus {
  /** Whether ADD can be served. */
  readonly ready: boolean;
  /** Whether pods that run have their network meanwhile. */
  readonly connected: boolean;
  /** What is missing, for a person. */
  readonly reasons: readonly string[];
}

/** What all handlers work with. */
export interface HandlerDeps {
  /** Addresses and their journal. */
  readonly pool: AddressPool;
  /** Where pods attach: the kernel's adapter. */
  readonly kernel: Pick<Kernel, "attachmentPoint" | "connection">;
  /** Pods' interfaces. */
  readonly network: PodNetwork;
  /** One attachment at a time. */
  readonly locks: KeyLocks;
  /**
   * A connection in the host's namespace. Where bridges live there, a pod's veth outlives its bridge and is still found
   * through it.
   */
  readonly host: NetlinkConnection;
  /** Called after the number of attachments has changed. */
  readonly changed: () => void;
}

/** What ADD needs besides. */
export interface AddDeps extends HandlerDeps {
  /**
   * The domain that pods of a namespace attach to, or the one that a pod wishes for; an empty namespace means a container that is no
   * pod.
   *
   * @throws {CniError} `InvalidConfig` when the domain is missing or does not let the pod in, `TryAgainLater` before the caches have
   * synced
   */
  readonly resolveDomain: (namespace: string, wished?: string) => PoolDomain;
  /** A domain that this node carries. */
  readonly domainNamed: (name: string) => PoolDomain | undefined;
  /** What the pod and the network configuration wish for. */
  readonly gatherWishes: GatherWishes;
  /** Resolves when the blocks' gateways are on the VRF's bridge. @throws The signal's reason after an abort */
  readonly awaitReady: (
    vrf: number,
    blocks: readonly string[],
    signal: AbortSignal,
  ) => Promise<void>;
}

/** The identity of the call's attachment. */
export function keyOf(call: CniCall): AttachmentKey {
  return {
    network: call.config.name,
    containerId: call.args.containerId,
    ifname: call.args.ifname,
  };
}

/** A key as one text: none of its parts can hold a slash. */
export function lockName(key: AttachmentKey): string {
  return `${key.network}/${key.containerId}/${key.ifname}`;
}

/**
 * The interface that a row of the journal stands for.
 *
 * @param row The row
 * @param routes The pod's routes through it
 */
export function interfaceOf(row: Attachment, routes: readonly PodRoute[]): PodInterfaceSpec {
  return {
    hostIfname: row.hostIfname,
    alias: podAlias(row),
    ifname: row.ifname,
    mac: row.mac === "" ? podMac(row.vrf, row.allocations[0]?.address ?? "") : row.mac,
    addresses: row.allocations,
    routes,
  };
}

/**
 * Takes an attachment down: the interface first, so that no two pods ever have one address, then the addresses. Idempotent.
 *
 * @throws {NetlinkError} When the kernel refuses; the row stays, marked `releasing`
 */
export async function takeDown(deps: HandlerDeps, row: Attachment): Promise<void> {
  deps.pool.markReleasing(row);
  const there = deps.kernel.connection(row.vrf);
  const gone = there !== undefined && await deps.network.detach(there, row.hostIfname);
  // After the interface: the reconciler makes neighbours for those only that are there.
  for (const { address } of row.allocations) {
    if (there !== undefined) deps.network.forget(there, row.vrf, address);
  }
  if (!gone && there !== deps.host) await deps.network.detach(deps.host, row.hostIfname);
  deps.pool.release(row);
  deps.changed();
}

/** Kinds of errors below the handlers, and what the runtime is told for them. */
const byCode: Readonly<Record<string, CniErrorName>> = {
  BlocksExhausted: "AddressesExhausted",
  ClaimFailed: "TryAgainLater",
  AddressLeaving: "TryAgainLater",
  AddressInvalid: "InvalidConfig",
  AddressInUse: "WishNotMet",
  AddressElsewhere: "WishNotMet",
  MacInUse: "WishNotMet",
  VrfNotReady: "TryAgainLater",
  KeyInOtherDomain: "InvalidEnvironment",
  InterfaceExists: "InvalidEnvironment",
  RouteExists: "InvalidConfig",
  PodNetnsUnusable: "InvalidEnvironment",
};

/** Any failure as the runtime shall see it; aborts stay as they are. */
export function translate(
  thrown: unknown,
  otherwise: CniErrorName,
  signal: AbortSignal,
): unknown {
  if (signal.aborted || thrown instanceof CniError) return thrown;
  const name = thrown instanceof CodedError ? byCode[thrown.code] ?? otherwise : "Internal";
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new CniError(name, message, { cause: thrown });
}
