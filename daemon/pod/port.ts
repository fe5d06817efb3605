/** The pod's side of the network as the handlers see it; over rtnetlink in attach.ts, detach.ts and inspect.ts. */
import { CodedError } from "../../lib/errors.ts";
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import type { AttachmentPoint, PodPort } from "../kernel/port.ts";

/**
 * A pod's interface cannot be made.
 *
 * Codes: `InterfaceExists` (the container has one of that name, which is left alone), `PodNetnsUnusable`, `MacInUse` (the wished MAC is
 * that of the gateway or of a port of its bridge), `RouteExists` (the container has a route to the same destination).
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
  /** MAC address in the pod. */
  readonly mac: string;
  /** Whether somebody chose the MAC, so that it may be another's already. */
  readonly macIsWished?: boolean;
  /** Its addresses: one of each IP version at most. */
  readonly addresses: readonly PodAddress[];
  /** Its routes. */
  readonly routes: readonly PodRoute[];
}

/** An address of a pod. */
export interface PodAddress {
  /** Address, IPv4 or IPv6. */
  readonly address: string;
  /** Prefix length of the address on the interface, in bits. */
  readonly prefixLength: number;
}

/** A route of a pod. */
export interface PodRoute {
  /** What is reached by the gateway, in CIDR form; 0.0.0.0/0 and ::/0 are the default routes. */
  readonly destination: string;
  /** Address of the next hop. */
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
  /** Lets the VRF's stretched bridge forget a pod's address, if there is such a bridge. @throws {NetlinkError} */
  forget(connection: NetlinkConnection, vrf: number, address: string): void;
  /**
   * Gives a running pod's interface another MTU, in bytes; gives the one that it may have afterwards, undefined where it has gone.
   * @throws {NetlinkError}
   */
  fit(connection: NetlinkConnection, port: PodPort, mtu: number): number | undefined;
  /** What differs from the spec, in words; empty when nothing does. @throws {NetlinkError} */
  inspect(point: AttachmentPoint, netns: NetnsFd, spec: PodInterfaceSpec): readonly string[];
  /** Whether the host end is there. @throws {NetlinkError} */
  hasHostEnd(connection: NetlinkConnection, hostIfname: string): boolean;
}
