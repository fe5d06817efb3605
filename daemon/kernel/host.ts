/** What both adapters work with: the host's namespace, and where the VRFs' namespaces have their names. */
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { NETNS_DIR } from "../../lib/sys/named_netns.ts";
import type { NetnsHandle } from "../../lib/sys/netns.ts";

/** How to reach the kernel. */
export interface KernelOptions {
  /** The host's network namespace; the caller's own by default. It must stay open as long as the kernel is used. */
  readonly hostNetns?: NetnsHandle | undefined;
  /** Directory of the VRFs' network namespaces, where FRR looks for them; `/run/netns` by default. */
  readonly netnsDir?: string | undefined;
  /** Opens a connection to a namespace; a real one by default. */
  readonly connect?: ((netns: NetnsHandle | undefined) => NetlinkConnection) | undefined;
}

/** The options with a connection to the host's namespace. */
export interface Host {
  /** Connection in the host's namespace. */
  readonly connection: NetlinkConnection;
  /** The host's namespace; the caller's own if undefined. */
  readonly netns: NetnsHandle | undefined;
  /** Directory of the VRFs' namespaces. */
  readonly netnsDir: string;
  /** Opens a connection to another namespace. */
  readonly connect: (netns: NetnsHandle | undefined) => NetlinkConnection;
}

/**
 * Connects to the host's namespace. The connection belongs to the caller.
 *
 * @throws {SysError} If the namespace cannot be entered
 */
export function openHost(options: KernelOptions): Host {
  const connect = options.connect ?? ((netns) => NetlinkConnection.open({ netns }));
  return {
    connection: connect(options.hostNetns),
    netns: options.hostNetns,
    netnsDir: options.netnsDir ?? NETNS_DIR,
    connect,
  };
}
