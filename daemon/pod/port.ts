/** The pod's side of the network as the handlers see it; over rtnetlink in attach.ts, detach.ts and inspect.ts. */
import { CodedError } from "../../lib/errors.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import type { AttachmentPoint } from "../kernel/port.ts";

/**
 * A pod's interface cannot be made.
 *
 * Codes: `InterfaceExists` (the container has one of that name, which is left alone), `PodNetnsUnusable`.
 */
export class PodError extends CodedError {}

/** An open network namespace. */
export interface NetnsFd {
  /** Descriptor, not owned. */
  readonly fd: number;
}

/** A pod's interface as it shall be. */
export interface PodInterfaceSpec {
  /** Name of the veth's host end. */
  readonly hostIfname: string;
  /** Text for the host end's alias, so that a person finds the container. */
  readonly alias: string;
  /** Name in the pod. */
  readonly ifname: string;
  /** IPv4 address. */
  readonly address: string;
  /** Prefix length of the address on the interface, in bits. */
  readonly prefixLength: number;
  /** Address of the default route's next hop. */
  readonly gateway: string;
}

/** What was made. */
export interface AttachedInterface {
  /** MAC address in the pod. */
  readonly mac: string;
  /** MAC address of the host end. */
  readonly hostMac: string;
  /** MTU in bytes. */
  readonly mtu: number;
}

/** Operations on pods' interfaces. */
export interface PodNetwork {
  /**
   * Makes the interface, or nothing.
   *
   * @throws {PodError} When the container has such an interface or its namespace cannot be used
   * @throws {NetlinkError} When the kernel refuses
   */
  attach(
    point: AttachmentPoint,
    netns: NetnsFd,
    spec: PodInterfaceSpec,
  ): Promise<AttachedInterface>;
  /** Deletes the host end, and with it the pod's; gives whether there was one. @throws {NetlinkError} */
  detach(connection: NetlinkConnection, hostIfname: string): Promise<boolean>;
  /** What differs from the spec, in words; empty when nothing does. @throws {NetlinkError} */
  inspect(
    point: AttachmentPoint,
    netns: NetnsFd,
    spec: PodInterfaceSpec & { readonly mac: string },
  ): readonly string[];
  /** Whether the host end is there. @throws {NetlinkError} */
  hasHostEnd(connection: NetlinkConnection, hostIfname: string): boolean;
}
