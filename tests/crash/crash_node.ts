/** A lab node whose daemon can be killed after any of its effects, and what is found on it afterwards. */
import { DatabaseSync } from "node:sqlite";
import { type Lab, type RunningNode, startLab } from "../lab/lab.ts";
import { killDaemon, kubectl } from "../lab/machines.ts";
import { repository } from "../lab/options.ts";
import { networkConfig } from "../lab/pods.ts";
import { execute, executeRaw, type SpawnedProcess, until } from "../lab/process.ts";

const dist = `${repository}/dist`;
const patience = 60;
const { signal } = new AbortController();

const apiVersion = "cni.pyroute2.org/v1alpha1";

/** A domain and its binding, as a list. */
function tenant(name: string, namespace: string, spec: Readonly<Record<string, unknown>>): string {
  const items = [{ apiVersion, kind: "VRFDomain", metadata: { name }, spec }, {
    apiVersion,
    kind: "VRFDomainBinding",
    metadata: { name },
    spec: { namespaceRef: { name: namespace }, vrfDomainRef: { name } },
  }];
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

/** The domain of the pods: all that an ADD may have to do. Both IP versions, and a subnet whose bridge is told of each pod. */
const both = tenant("both", "default", {
  ...{ vrf: 600, table: 2600, prefix: "10.160.0.0", prefixlen: 16, ipblocklen: 26 },
  ...{ prefix6: "fd00:160::", prefixlen6: 48, ipblocklen6: 64 },
  attachments: [{ type: "l2vni", vni: 50600, port: 4789 }],
});

/** What the plugin said. */
export interface Answer {
  /** Exit code. */
  readonly code: number;
  /** Its standard output. */
  readonly stdout: string;
}

/** A row of the journal, as far as the tests look at it. */
export interface Row {
  /** CNI_CONTAINERID. */
  readonly container: string;
  /** The pod's addresses. */
  readonly addresses: readonly string[];
  /** `reserved`, `attached` or `releasing`. */
  readonly state: string;
}

/** The node. */
export class CrashNode implements AsyncDisposable {
  /** The node in its lab. */
  readonly node: RunningNode;
  readonly #lab: Lab;
  #daemon: SpawnedProcess | undefined;

  private constructor(lab: Lab, node: RunningNode) {
    this.#lab = lab;
    this.node = node;
  }

  /** Starts a lab with one node that is ready for pods of the default domain. */
  static async start(name: string): Promise<CrashNode> {
    const lab = await startLab({
      name: `${name}-${Deno.pid}`,
      backend: "netns",
      nodes: 1,
      dist,
      keep: false,
      signal,
      progress: () => {},
    });
    const [node] = lab.nodes;
    if (node === undefined) throw new Error("The lab has no node");
    await kubectl(lab, ["apply", "-f", "-"], both);
    await kubectl(lab, ["wait", "--for=condition=Ready", "vrd/both", `--timeout=${patience}s`]);
    await killDaemon(node);
    const crash = new CrashNode(lab, node);
    // In one file, as the daemon is installed: it starts in half the time.
    const source = `${repository}/tests/crash/daemon.ts`;
    await execute([Deno.execPath(), "bundle", "--quiet", "--output", crash.#program, source]);
    return crash;
  }

  /** Starts the daemon; resolves when it serves. */
  async startDaemon(): Promise<void> {
    await Deno.writeTextFile(this.#death, "");
    await Deno.writeTextFile(this.#effects, "");
    const before = (await this.log()).length;
    const daemon = this.node.holder.start([
      ...[Deno.execPath(), "run", "-A", "--quiet", "--no-config", "--no-lock", this.#program],
      ...[`${this.#lab.directory}/${this.node.name}.ini`, this.#effects, this.#death],
    ], { log: this.#log });
    this.#daemon = daemon;
    await until("the daemon to serve", patience, async () => {
      return (await this.log()).slice(before).includes("Daemon started") || undefined;
    });
  }

  /** Kills the daemon; resolves when it is gone. */
  async killDaemon(): Promise<void> {
    await this.node.holder.run(["pkill", "-KILL", "-f", "[c]rash-daemon.js"]);
    await this.daemonEnded();
  }

  /** Resolves when the daemon has died. */
  async daemonEnded(): Promise<void> {
    let ended = false;
    this.#daemon?.status.then(() => ended = true);
    await until("the daemon's end", patience, () => ended || undefined);
  }

  /** Has the daemon die right after the nth time of an effect from now on. */
  async dieAfter(effect: string, nth: number): Promise<void> {
    await Deno.writeTextFile(this.#death, `${effect}${"\n".repeat(nth - 1)}`);
  }

  /** The effects since the daemon's start or the last call. */
  async effects(): Promise<string[]> {
    const text = await Deno.readTextFile(this.#effects);
    await Deno.writeTextFile(this.#effects, "");
    return text.split("\n").slice(0, -1);
  }

  /** All that the daemons have logged. */
  log(): Promise<string> {
    return Deno.readTextFile(this.#log).catch(() => "");
  }

  /** Makes a container's network namespace. */
  async makeContainer(id: string): Promise<void> {
    const path = netnsOf(id);
    await this.node.holder.run(["sh", "-ec", `touch ${path}; unshare --net=${path} true`]);
  }

  /** Ends a container without telling anybody. */
  async endContainer(id: string): Promise<void> {
    const path = netnsOf(id);
    await this.node.holder.run(["sh", "-ec", `umount ${path}; rm ${path}`]);
  }

  /** Executes the plugin for a container, as a runtime does. */
  call(command: string, id: string, namespace = "default"): Promise<Answer> {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_NETNS: netnsOf(id),
      CNI_IFNAME: "eth0",
      CNI_PATH: dist,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace}`,
    };
    const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    return executeRaw(
      this.node.holder.inside(["env", "-i", ...words, `${dist}/pyroute2-cni-plugin`]),
      { stdin: JSON.stringify(networkConfig) },
    );
  }

  /** Rows of the journal; only while no daemon runs. They are read from a copy, so that the next daemon finds what the last one left. */
  async rows(): Promise<Row[]> {
    const directory = await Deno.makeTempDir({ prefix: "pr2t-crash-" });
    try {
      await executeRaw(["sh", "-c", `cp ${this.path("/run/pyroute2/journal.db")}* ${directory}`]);
      using database = new DatabaseSync(`${directory}/journal.db`);
      return database.prepare("SELECT * FROM attachments").all().map((row) => ({
        container: String(row["container_id"]),
        addresses: [row["address"], row["address6"]].filter((each) => each !== null).map(String),
        state: String(row["state"]),
      }));
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  }

  /** Links by name, rules, and the firewall, of the node and of each VRF's namespace. */
  async kernel(): Promise<string> {
    return inOneOrder(await this.node.holder.run(["sh", "-ec", snapshot]));
  }

  /** Whether the node holds a block of the default domain, which is a service VRF, and has a rule for it and the firewall knows it. */
  async holdsServiceBlock(): Promise<true | undefined> {
    const kernel = await this.kernel();
    return / iif lo lookup 42 /.test(kernel) && /10\.244\.\S+\/26 : 0x0000002a/.test(kernel) ||
      undefined;
  }

  /** Network namespaces that the daemon has open: none of a container's may stay. */
  async openNetns(): Promise<string> {
    return await this.node.holder.run([
      ...["sh", "-c"],
      "pid=$(pgrep -f [c]rash-daemon.js); nsfs=$(stat -L -c %d /proc/self/ns/net); " +
      'stat -L -c "%d %i" /proc/$pid/fd/* 2>/dev/null | grep "^$nsfs " | sort',
    ]);
  }

  /** Makes a domain of which the node has no block, for the namespace `claims-<vrf>`. */
  async addDomain(vrf: number): Promise<void> {
    const name = `claims-${vrf}`;
    const domain = tenant(name, name, {
      ...{ vrf, table: 2000 + vrf, prefix: "10.170.0.0", prefixlen: 16, ipblocklen: 26 },
      attachments: [{ type: "l3vni", vni: 50000 + vrf, port: 4789 }],
    });
    await kubectl(this.#lab, ["apply", "-f", "-"], domain);
    await kubectl(this.#lab, ["wait", "--for=condition=Ready", `vrd/${name}`, "--timeout=60s"]);
  }

  /** Deletes the journal, or overwrites its middle. */
  async damageJournal(torn: boolean): Promise<void> {
    const file = this.path("/run/pyroute2/journal.db");
    if (!torn) return await Deno.remove(file);
    const { size } = await Deno.stat(file);
    await Deno.writeTextFile(file, "torn".repeat(size / 4));
    await Deno.remove(`${file}-wal`);
  }

  /** Leaves no room on /run. */
  async fillRun(): Promise<void> {
    await this.node.holder.run([
      ...["sh", "-c"],
      "mount -o remount,size=4m /run; cat /dev/zero > /run/filler 2>/dev/null; df /run | tail -1 >&2",
    ]);
  }

  /** Gives /run its room back. */
  async clearRun(): Promise<void> {
    await this.node.holder.run(["sh", "-ec", "rm /run/filler; mount -o remount,size=1g /run"]);
  }

  /** Leaves the daemon no descriptor, so many besides those that it has open, or as many as usual. */
  async limitDescriptors(spare: "none" | number | "usual"): Promise<void> {
    const limit = spare === "none"
      ? "1"
      : spare === "usual"
      ? "1024"
      : `$(($(ls /proc/$pid/fd | wc -l) + ${spare}))`;
    await this.node.holder.run([
      ...["sh", "-ec", `pid=$(pgrep -f [c]rash-daemon.js); prlimit --pid $pid --nofile=${limit}:`],
    ]);
  }

  /** Names of the blocks of a VRF. */
  async blocks(vrf: number): Promise<string[]> {
    const names = await kubectl(this.#lab, ["get", "ipb", "-o", "name"]);
    return names.split("\n").filter((name) => name.includes(`vrf-${vrf}-`));
  }

  /** Addresses that the API knows as given, the gateway's not counted. */
  async allocated(): Promise<string[]> {
    const list = JSON.parse(await kubectl(this.#lab, ["get", "ipb", "-o", "json"]));
    return list.items.flatMap((block: { status?: { allocations?: Record<string, string> } }) =>
      Object.entries(block.status?.allocations ?? {}).filter(([, who]) => who !== "gateway")
        .map(([address]) => address)
    );
  }

  /** A path of the node, as this process sees it. */
  path(inside: string): string {
    return `/proc/${this.node.holder.pid}/root${inside}`;
  }

  /** Takes the lab down. */
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#lab[Symbol.asyncDispose]());
  }

  get #program(): string {
    return `${this.#lab.directory}/crash-daemon.js`;
  }

  get #effects(): string {
    return `${this.#lab.directory}/effects`;
  }

  get #death(): string {
    return `${this.#lab.directory}/death`;
  }

  get #log(): string {
    return `${this.#lab.directory}/crash-daemon.log`;
  }
}

function netnsOf(id: string): string {
  return `/run/pods/${id}`;
}

const snapshot = `
links() { ip $1 -br link | sed 's/[@ ].*//' | sort; }
links
for each in $(ls /run/netns); do echo "in $each"; links "-n $each"; done
ip rule | sort; ip -6 rule | sort
nft -s list ruleset
`;

/** What a ruleset holds is listed as it was made, and what has one name is told apart by a number: neither is a difference. */
function inOneOrder(text: string): string {
  return text.replaceAll(/(?<=[a-z6])-\d+(?= |$)/gm, "").replaceAll(/^(table .*)$/gm, "$1\n")
    .split("\n\n").sort().join("\n\n");
}
