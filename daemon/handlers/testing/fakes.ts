/** Stands in for pool and kernel in the handlers' tests, at the ports that the design names. */
import type { CniCommand } from "../../../lib/cni/args.ts";
import type { NetworkConfig } from "../../../lib/cni/config.ts";
import { NetlinkConnection } from "../../../lib/netlink/connection.ts";
import type { NetlinkTransport } from "../../../lib/netlink/transport.ts";
import type {
  AddressPool,
  Attachment,
  AttachmentKey,
  AttachmentOwner,
  PoolDomain,
} from "../../ipam/port.ts";
import type { PodPort } from "../../kernel/port.ts";
import { KernelError } from "../../kernel/errors.ts";
import type { AttachmentPoint } from "../../kernel/port.ts";
import { createLogger, type Logger } from "../../log.ts";
import { type AttachedInterface, PodError, type PodNetwork } from "../../pod/port.ts";
import type { CniCall, CniNetnsCall } from "../../server/cni_api.ts";
import type { AddDeps } from "../deps.ts";
import { KeyLocks } from "../key_locks.ts";

/** The domain of every fake call. */
export const domain: PoolDomain = {
  name: "blue",
  vrf: 200,
  ranges: [
    { prefix: "10.150.0.0/16", blockLength: 26, addressLength: 26 },
    { prefix: "fd00:150::/48", blockLength: 64, addressLength: 64 },
  ],
};

/** Names an attachment in the fakes' maps. */
export function nameOf(key: AttachmentKey): string {
  return `${key.network}/${key.containerId}/${key.ifname}`;
}

/** A pool in memory: one block of each IP version, addresses in order. */
export class FakePool implements AddressPool {
  /** The journal. */
  readonly rows = new Map<string, Attachment>();
  /** Thrown by the next reserve. */
  failure: Error | undefined;
  #next = 2;

  /** As the port says. */
  reserve(
    of: PoolDomain,
    owner: AttachmentOwner & { readonly netnsPath: string },
    _signal: AbortSignal,
  ): Promise<Attachment> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const row: Attachment = {
      ...owner,
      allocations: [
        {
          address: `10.150.0.${this.#next++}`,
          prefixLength: 26,
          gateway: "10.150.0.1",
          block: "10.150.0.0/26",
        },
        {
          address: `fd00:150::${this.#next.toString(16)}`,
          prefixLength: 64,
          gateway: "fd00:150::1",
          block: "fd00:150::/64",
        },
      ],
      domain: of.name,
      vrf: of.vrf,
      state: "reserved",
      hostIfname: `h${owner.containerId}`.slice(0, 15),
      mac: "",
      createdAt: this.#next,
    };
    this.rows.set(nameOf(owner), row);
    return Promise.resolve(row);
  }

  /** As the port says. */
  commit(key: AttachmentKey, details: { readonly mac: string }): void {
    this.#change(key, { state: "attached", mac: details.mac });
  }

  /** As the port says. */
  markReleasing(key: AttachmentKey): void {
    this.#change(key, { state: "releasing" });
  }

  /** As the port says. */
  release(key: AttachmentKey): void {
    this.rows.delete(nameOf(key));
  }

  /** As the port says. */
  find(key: AttachmentKey): Attachment | undefined {
    return this.rows.get(nameOf(key));
  }

  /** As the port says. */
  ofContainer(containerId: string): readonly Attachment[] {
    return this.list().filter((row) => row.containerId === containerId);
  }

  /** As the port says. */
  list(): readonly Attachment[] {
    return [...this.rows.values()];
  }

  /** As the port says. */
  blocks(): readonly [] {
    return [];
  }

  #change(key: AttachmentKey, fields: Partial<Attachment>): void {
    const row = this.rows.get(nameOf(key));
    if (row !== undefined) this.rows.set(nameOf(key), { ...row, ...fields });
  }
}

/** A kernel of names: which host ends there are. */
export class FakeNetwork implements PodNetwork {
  /** Host ends present. */
  readonly hostEnds = new Set<string>();
  /** Thrown by attach. */
  attachFailure: Error | undefined;
  /** Thrown by detach, for the host ends named. */
  readonly stuck = new Set<string>();
  /** Addresses that a bridge was made to forget. */
  readonly forgotten: string[] = [];
  /** Faults that inspect reports. */
  faults: string[] = [];

  /** As the port says. */
  async attach(
    point: AttachmentPoint,
    _netns: { readonly fd: number },
    spec: { readonly hostIfname: string },
  ): Promise<AttachedInterface> {
    await Promise.resolve();
    if (this.attachFailure !== undefined) throw this.attachFailure;
    if (this.hostEnds.has(spec.hostIfname)) throw new PodError("InterfaceExists", "It exists");
    this.hostEnds.add(spec.hostIfname);
    return { mac: "02:00:00:00:00:01", hostMac: "02:00:00:00:00:02", mtu: point.mtu };
  }

  /** As the port says. */
  async detach(_connection: NetlinkConnection, hostIfname: string): Promise<boolean> {
    await Promise.resolve();
    if (this.stuck.has(hostIfname)) throw new Error("It does not go");
    return this.hostEnds.delete(hostIfname);
  }

  /** As the port says. */
  forget(_connection: NetlinkConnection, vrf: number, address: string): void {
    this.forgotten.push(`${vrf} ${address}`);
  }

  /** As the port says. */
  fit(_connection: NetlinkConnection, _port: PodPort, mtu: number): number | undefined {
    return mtu;
  }

  /** As the port says. */
  inspect(): readonly string[] {
    return this.faults;
  }

  /** As the port says. */
  hasHostEnd(_connection: NetlinkConnection, hostIfname: string): boolean {
    return this.hostEnds.has(hostIfname);
  }
}

/** Everything that a handler needs, in memory. */
export interface Fixture {
  /** The dependencies. */
  readonly deps: AddDeps;
  /** Their pool. */
  readonly pool: FakePool;
  /** Their network. */
  readonly network: FakeNetwork;
  /** Lines of the log. */
  readonly lines: string[];
  /** A logger that writes there. */
  readonly log: Logger;
  /** Makes the VRF's bridge go and come. */
  setVrfReady(ready: boolean): void;
  /** Makes the place where the VRF's host ends are go and come. */
  setVrfThere(there: boolean): void;
}

/** Makes a fixture. */
export function fixture(changes: Partial<AddDeps> = {}): Fixture {
  const pool = new FakePool();
  const network = new FakeNetwork();
  const lines: string[] = [];
  const log = createLogger("debug", (line) => lines.push(line));
  let ready = true;
  let there = true;
  const [vrf, host] = [silentConnection(), silentConnection()];
  const deps: AddDeps = {
    pool,
    network,
    host,
    kernel: {
      connection: () => there ? vrf : undefined,
      attachmentPoint: () => {
        if (!ready) throw new KernelError("VrfNotReady", "No bridge");
        const bridge = { bridge: "l3br-200", bridgeIndex: 7 };
        return { connection: vrf, ...bridge, mtu: 1450, stretched: false };
      },
    },
    locks: new KeyLocks(),
    changed: () => {},
    resolveDomain: () => domain,
    domainNamed: (name) => name === domain.name ? domain : undefined,
    gatherWishes: () => Promise.resolve({ addresses: [] }),
    awaitReady: () => Promise.resolve(),
    ...changes,
  };
  return {
    deps,
    pool,
    network,
    lines,
    log,
    setVrfReady: (to) => void (ready = to),
    setVrfThere: (to) => void (there = to),
  };
}

/** A call as the server hands it over. */
export function callOf(
  command: CniCommand,
  log: Logger,
  config: Partial<NetworkConfig> = {},
  containerId = "c1",
): CniNetnsCall & CniCall {
  return {
    args: {
      command,
      containerId,
      ifname: "eth0",
      netns: "/run/netns/x",
      pod: { namespace: "shop", name: "web-0", uid: "u-1" },
      wished: { ips: "", mac: "" },
    },
    config: { cniVersion: "1.1.0", name: "net", ...config },
    log,
    netns: { fd: 99 },
    wishes: { ips: {}, macs: {} },
  };
}

/** A connection that nobody may use. */
function silentConnection(): NetlinkConnection {
  const refuse = () => {
    throw new TypeError("Expected no netlink message in this test");
  };
  const transport: NetlinkTransport = {
    send: refuse,
    sendNonblocking: refuse,
    recv: refuse,
    [Symbol.dispose]: () => {},
  };
  return new NetlinkConnection(transport);
}
