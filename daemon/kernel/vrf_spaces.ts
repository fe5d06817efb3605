/** The VRFs' network namespaces, with a connection kept open into each. */
import type { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { deleteLink, listLinks } from "../../lib/netlink/rtnl/link.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import {
  createNamedNetns,
  deleteNamedNetns,
  nameNetns,
  openNamedNetns,
} from "../../lib/sys/named_netns.ts";
import { netnsIdentity } from "../../lib/sys/netns.ts";
import type { Host } from "./host.ts";
import { vrfOfName } from "./names.ts";
import { isOfKind, isOurs } from "./ownership.ts";

/** An open VRF namespace. Not owned by who gets it. */
export interface VrfSpace {
  /** Name of the VRF and of the namespace. */
  readonly name: string;
  /** The namespace. */
  readonly netns: OwnedFd;
  /** Connection in it. */
  readonly connection: NetlinkConnection;
}

interface KnownSpace extends VrfSpace {
  readonly identity: string;
}

/**
 * Opens, creates and deletes the namespaces of VRFs.
 *
 * An open connection keeps a namespace alive that lost its name. Before one is handed out, the name is therefore looked up again.
 */
export class VrfSpaces implements Disposable {
  readonly #host: Host;
  readonly #known = new Map<string, KnownSpace>();

  /**
   * Opens nothing yet.
   *
   * @param host Its directory is where the namespaces are
   */
  constructor(host: Host) {
    this.#host = host;
  }

  /** Names in the directory that are a VRF's; whether they are namespaces shows when they are opened. */
  names(): string[] {
    try {
      const entries = [...Deno.readDirSync(this.#host.netnsDir)].map(({ name }) => name);
      return entries.filter((name) => vrfOfName(name) !== undefined);
    } catch (thrown) {
      if (thrown instanceof Deno.errors.NotFound) return [];
      throw thrown;
    }
  }

  /**
   * The namespace of that name as it is now; undefined if there is none.
   *
   * @throws {SysError} If it cannot be opened
   */
  open(name: string): VrfSpace | undefined {
    const netns = openNamedNetns(name, this.#host.netnsDir);
    const known = this.#known.get(name);
    if (netns === undefined) {
      this.#retire(known);
      return undefined;
    }
    try {
      const identity = netnsIdentity(netns);
      if (known?.identity === identity) {
        netns[Symbol.dispose]();
        return known;
      }
      this.#retire(known);
      const space = { name, netns, identity, connection: this.#host.connect(netns) };
      this.#known.set(name, space);
      return space;
    } catch (thrown) {
      netns[Symbol.dispose]();
      throw thrown;
    }
  }

  /**
   * The namespace of that name, created if there is none.
   *
   * @throws {SysError} If it cannot be opened or created
   */
  ensure(name: string): VrfSpace {
    const found = this.open(name);
    if (found !== undefined) return found;
    // A file without a namespace on it is left over from a reboot or a crash.
    deleteNamedNetns(name, this.#host.netnsDir);
    const netns = createNamedNetns(name, this.#host.netnsDir);
    try {
      const connection = this.#host.connect(netns);
      const space = { name, netns, connection, identity: netnsIdentity(netns) };
      this.#known.set(name, space);
      return space;
    } catch (thrown) {
      netns[Symbol.dispose]();
      throw thrown;
    }
  }

  /**
   * Takes the namespace its name and gives it back, which those hear of who watch the directory; does nothing if there is none. Whoever is in it
   * stays.
   *
   * @throws {SysError} If it cannot be mounted
   */
  nameAgain(name: string): void {
    const space = this.open(name);
    if (space === undefined) return;
    deleteNamedNetns(name, this.#host.netnsDir);
    nameNetns(space.netns, name, this.#host.netnsDir);
  }

  /**
   * Deletes the namespace; does nothing if there is none.
   *
   * @throws {SysError} If it cannot be unmounted
   */
  delete(name: string): void {
    this.#close(this.#known.get(name));
    deleteNamedNetns(name, this.#host.netnsDir);
  }

  /** Closes all connections and namespaces. */
  [Symbol.dispose](): void {
    for (const space of [...this.#known.values()]) this.#close(space);
  }

  /** Lets go of a namespace that lost its name. Its VXLAN devices go first: somebody else may hold it, and a VNI is free only then. */
  #retire(space: KnownSpace | undefined): void {
    if (space === undefined) return;
    try {
      for (const link of listLinks(space.connection)) {
        if (isOfKind(link, "vxlan") && isOurs(link)) {
          deleteLink(space.connection, { index: link.index });
        }
      }
    } finally {
      this.#close(space);
    }
  }

  #close(space: KnownSpace | undefined): void {
    if (space === undefined) return;
    this.#known.delete(space.name);
    space.connection[Symbol.dispose]();
    space.netns[Symbol.dispose]();
  }
}
