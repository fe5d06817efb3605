/** A node for the plugin's tests: the real server and handlers, with bridges in a namespace of its own instead of VRFs. */
import { join } from "node:path";
import { FakePool } from "../../daemon/handlers/testing/fakes.ts";
import { createAddHandler } from "../../daemon/handlers/add.ts";
import { createCheckHandler } from "../../daemon/handlers/check.ts";
import { createDelHandler } from "../../daemon/handlers/del.ts";
import type { AddDeps } from "../../daemon/handlers/deps.ts";
import { createGcHandler } from "../../daemon/handlers/gc.ts";
import { KeyLocks } from "../../daemon/handlers/key_locks.ts";
import { createStatusHandler } from "../../daemon/handlers/status.ts";
import { domain } from "../../daemon/handlers/testing/fakes.ts";
import { createLogger } from "../../daemon/log.ts";
import { createGatherWishes } from "../../daemon/wishes/attachment_wishes.ts";
import type { AttachmentPoint } from "../../daemon/kernel/port.ts";
import { podNetwork } from "../../daemon/pod/network.ts";
import {
  type CniServer,
  type CniServerOptions,
  startCniServer,
} from "../../daemon/server/cni_server.ts";
import { createMetrics, type Metrics } from "../../daemon/server/metrics.ts";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { addAddress } from "../../lib/netlink/rtnl/address.ts";
import { createLink, listLinks } from "../../lib/netlink/rtnl/link.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import { createNetns } from "../../lib/sys/netns.ts";

const root = join(import.meta.dirname ?? ".", "..", "..");

/** The plugin as its source is run. */
export const sourcePlugin: readonly string[] = [
  Deno.execPath(),
  "run",
  "--quiet",
  "--no-check",
  "--allow-all",
  join(root, "plugin.ts"),
];

/** What a call of the plugin gave. */
export interface PluginRun {
  /** Exit code. */
  readonly code: number;
  /** Parsed stdout; undefined when it is empty. */
  readonly answer: Readonly<Record<string, unknown>> | undefined;
  /** Text on stderr. */
  readonly stderr: string;
}

/** A pod's network namespace, with a path as a runtime would give it. */
export class Pod implements Disposable {
  /** The namespace. */
  readonly netns: OwnedFd = createNetns();
  /** A connection in it. */
  readonly connection: NetlinkConnection = NetlinkConnection.open({ netns: this.netns });
  /** Path for CNI_NETNS. */
  readonly path: string = `/proc/${Deno.pid}/fd/${this.netns.fd}`;

  /** Names of the pod's interfaces. */
  interfaces(): string[] {
    return listLinks(this.connection).map((link) => link.name);
  }

  /** Ends the pod. */
  [Symbol.dispose](): void {
    this.connection[Symbol.dispose]();
    this.netns[Symbol.dispose]();
  }
}

/** What a test changes of a node. */
export interface NodeChanges {
  /** Dependencies of the handlers. */
  readonly deps?: Partial<AddDeps>;
  /** Limits and times of the server. */
  readonly server?: Partial<CniServerOptions>;
}

/** A running node. */
export class Node implements AsyncDisposable {
  /** Folder of the sockets. */
  readonly dir: string;
  /** Addresses. */
  readonly pool: FakePool = new FakePool();
  /** Lines of the daemon's log. */
  readonly lines: string[] = [];
  /** The daemon's metrics. */
  readonly metrics: Metrics = createMetrics({ version: "0", runtime: "0", backend: "netns" });
  /** A connection in the namespace of the bridge. */
  readonly connection: NetlinkConnection;
  /** What the server was made of. */
  readonly options: CniServerOptions;
  readonly #host: OwnedFd;
  readonly #bridges = new Map<number, AttachmentPoint>();
  #server: CniServer | undefined;

  private constructor(changes: NodeChanges) {
    this.dir = Deno.makeTempDirSync({ prefix: "pr2t-cni-" });
    this.#host = createNetns();
    this.connection = NetlinkConnection.open({ netns: this.#host });
    this.options = { ...this.#options(changes.deps), ...changes.server };
  }

  /** Starts a node. */
  static async start(changes: NodeChanges = {}): Promise<Node> {
    const node = new Node(changes);
    try {
      node.#server = await startCniServer(node.options);
      return node;
    } catch (thrown) {
      await node[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  /** Path of the HTTP socket. */
  get api(): string {
    return join(this.dir, "api");
  }

  /** Path of the descriptor socket. */
  get fdpass(): string {
    return join(this.dir, "fdpass");
  }

  /** As the server's; rejects when its sockets fail. */
  get finished(): Promise<void> {
    return this.#server?.finished ?? Promise.resolve();
  }

  /** A network configuration that leads to this node. */
  config(fields: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
    return {
      cniVersion: "1.1.0",
      name: "pr2t",
      type: "pyroute2-cni-plugin",
      socketPathApi: this.api,
      socketPathFd: this.fdpass,
      ...fields,
    };
  }

  /** Makes the bridge of a VRF, with the gateway of a /26 block. */
  addBridge(vrf: number, gateway: string): AttachmentPoint {
    const { connection } = this;
    const bridge = `l3br-${vrf}`;
    const bridgeIndex = createLink(connection, {
      name: bridge,
      kind: { type: "bridge" },
      mtu: 1450,
      up: true,
    });
    addAddress(connection, { index: bridgeIndex, address: gateway, prefixLength: 26 });
    const point = { connection, bridgeIndex, bridge, mtu: 1450, stretched: false };
    this.#bridges.set(vrf, point);
    return point;
  }

  /** Names of the host ends in the bridges. */
  hostEnds(): string[] {
    return listLinks(this.connection, { kind: "veth" }).map((link) => link.name);
  }

  /** Lets the running commands finish and stops the server. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.[Symbol.asyncDispose]();
  }

  /** Stops and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.connection[Symbol.dispose]();
    this.#host[Symbol.dispose]();
    await Deno.remove(this.dir, { recursive: true });
  }

  #options(changes: Partial<AddDeps> = {}): CniServerOptions {
    const { connection, pool, metrics } = this;
    const first = this.addBridge(200, "10.150.0.1");
    const deps: AddDeps = {
      pool,
      network: podNetwork,
      kernel: {
        connection: () => connection,
        attachmentPoint: (vrf) => this.#bridges.get(vrf) ?? first,
      },
      host: connection,
      locks: new KeyLocks(),
      changed: () => {},
      resolveDomain: () => domain,
      domainNamed: (name) => name === domain.name ? domain : undefined,
      gatherWishes: createGatherWishes({
        findPod: () => Promise.resolve(undefined),
        hasInterface: (containerId, ifname) =>
          pool.ofContainer(containerId).some((row) => row.ifname === ifname),
      }),
      awaitReady: () => Promise.resolve(),
      ...changes,
    };
    return {
      apiPath: this.api,
      fdPath: this.fdpass,
      log: createLogger("debug", (line) => this.lines.push(line)),
      metrics,
      handlers: {
        add: createAddHandler(deps),
        del: createDelHandler(deps),
        check: createCheckHandler(deps),
        gc: createGcHandler(deps),
        status: createStatusHandler(() => ({ ready: true, connected: true, reasons: [] })),
      },
    };
  }
}

/** The environment of a call, as a runtime sets it. */
export function cniEnv(
  command: string,
  pod: { readonly path: string },
  containerId = "c1",
): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: pod.path,
    CNI_IFNAME: "eth0",
    CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=u-1",
    CNI_PATH: "/opt/cni/bin",
    SECRET_TOKEN: "never forwarded",
  };
}

/** Starts the plugin as a runtime does. */
export function spawnPlugin(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): Deno.ChildProcess {
  const [path = "", ...args] = command;
  return new Deno.Command(path, {
    args,
    clearEnv: true,
    // The source is compiled once into Deno's cache; a built plugin needs nothing.
    env: path === Deno.execPath() ? { HOME: Deno.env.get("HOME") ?? "/root", ...env } : { ...env },
    cwd: "/",
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Executes the plugin as a runtime does and waits for it. */
export async function execPlugin(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  config: unknown,
): Promise<PluginRun> {
  const child = spawnPlugin(command, env);
  const text = typeof config === "string" ? config : JSON.stringify(config);
  const writer = child.stdin.getWriter();
  // A plugin that has seen enough does not read to the end.
  await writer.write(new TextEncoder().encode(text)).then(() => writer.close()).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  const out = decoder.decode(stdout);
  return {
    code,
    answer: out === "" ? undefined : JSON.parse(out),
    stderr: decoder.decode(stderr),
  };
}

/** Polls until a condition holds. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`Expected ${what} within 10 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
