/**
 * Scratch networks for the kernel adapters' tests: a few "nodes" (network namespaces that play the host's) and an outside
 * host on one underlay. Made and looked at by iproute2, so that the tests see what an operator would see.
 *
 * @module
 */
import assert from "node:assert/strict";
import { inNetns, openNetns } from "../../lib/sys/netns.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";

/** A process that ran to its end. */
export interface Finished {
  /** Exit code. */
  readonly code: number;
  /** What it wrote to stdout. */
  readonly stdout: string;
  /** What it wrote to stderr. */
  readonly stderr: string;
}

/** Runs a command; `stdin` is a text to feed it. */
export async function run(command: readonly string[], stdin = ""): Promise<Finished> {
  const [executable = "", ...args] = command;
  const child = new Deno.Command(executable, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  // A command that does not read its input closes the pipe early.
  await writer.write(new TextEncoder().encode(stdin)).then(() => writer.close(), () => undefined);
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs a command that must succeed and gives its output. */
export async function succeed(command: readonly string[], stdin = ""): Promise<string> {
  const { code, stdout, stderr } = await run(command, stdin);
  assert.equal(code, 0, `"${command.join(" ")}" failed: ${stderr}${stdin}`);
  return stdout;
}

/** A network namespace by its path, with `ip`, shells and listeners inside it. */
export class Namespace {
  /** @param path Path of the namespace, such as `/run/netns/x` */
  constructor(readonly path: string) {}

  /** The command that runs another one in the namespace. */
  command(...command: readonly string[]): string[] {
    return ["nsenter", `--net=${this.path}`, ...command];
  }

  /** Runs lines of `ip`, one process for all of them. */
  async ip(...lines: readonly string[]): Promise<void> {
    await succeed(this.command("ip", "-batch", "-"), lines.map((line) => `${line}\n`).join(""));
  }

  /** The same for IPv6, where a line does not tell. */
  async ip6(...lines: readonly string[]): Promise<void> {
    const command = this.command("ip", "-6", "-batch", "-");
    await succeed(command, lines.map((line) => `${line}\n`).join(""));
  }

  /** Rows of one `ip -j` command. */
  async rows(...args: readonly string[]): Promise<Record<string, unknown>[]> {
    const text = await succeed(this.command("ip", "-j", ...args));
    return text.trim() === "" ? [] : JSON.parse(text);
  }

  /** What a TCP server at the address says, or undefined when nobody answers within two seconds. */
  async ask(address: string, port: number): Promise<string | undefined> {
    const script = `exec 3<>/dev/tcp/${address}/${port} && cat <&3`;
    const { code, stdout } = await run(this.command("timeout", "2", "bash", "-c", script));
    return code === 0 ? stdout : undefined;
  }

  /** Opens the namespace. */
  open(): OwnedFd {
    return openNetns(this.path);
  }
}

/** A TCP server in a namespace that answers every connection with a text made from the peer's address. */
export class Answerer implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #done: Promise<void>;
  readonly #kept = new DisposableStack();

  /** Listens in the namespace; the socket stays there. With `keep` no connection ends before the server does. */
  constructor(
    namespace: Namespace,
    port: number,
    answer: (peer: string) => string,
    hostname = "0.0.0.0",
    keep = false,
  ) {
    using netns = namespace.open();
    this.#listener = inNetns(netns, () => Deno.listen({ hostname, port }));
    this.#done = this.#serve(answer, keep);
  }

  async #serve(answer: (peer: string) => string, keep: boolean): Promise<void> {
    for await (const connection of this.#listener) {
      await connection.write(new TextEncoder().encode(answer(connection.remoteAddr.hostname)))
        .catch(() => undefined);
      if (keep) this.#kept.use(connection);
      else connection.close();
    }
  }

  /** Stops listening. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#done;
    this.#kept.dispose();
  }
}

/** A node on the segment. */
export interface SegmentNode {
  /** Namespace that plays the host's. */
  readonly host: Namespace;
  /** Address on the underlay. */
  readonly address: string;
  /** Directory for the VRFs' namespaces. */
  readonly netnsDir: string;
}

/** An underlay of 192.168.124.0/24 with nodes at .1, .2, … and an outside host at .254 that knows no route to any pod. */
export class Segment implements AsyncDisposable {
  readonly #prefix: string;
  readonly #names: string[] = [];
  readonly #nodes: SegmentNode[] = [];
  readonly #directories: string[] = [];

  private constructor() {
    this.#prefix = `pr2t-${crypto.randomUUID().slice(0, 6)}`;
  }

  /** Address of the outside host, the nodes' default gateway. */
  static readonly outsideAddress = "192.168.124.254";

  /** Makes the namespaces, their links and addresses. */
  static async create(nodes: number): Promise<Segment> {
    const segment = new Segment();
    try {
      await segment.#build(nodes);
      return segment;
    } catch (thrown) {
      await segment[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  /** The outside host. */
  get outside(): Namespace {
    return new Namespace(`/run/netns/${this.#prefix}-out`);
  }

  /** Node by number, from 0. */
  node(index: number): SegmentNode {
    const node = this.#nodes[index];
    assert.ok(node, `the segment has no node ${index}`);
    return node;
  }

  /** Makes one more namespace, such as a pod's; it goes with the segment. */
  async namespace(name: string): Promise<Namespace> {
    const full = `${this.#prefix}-${name}`;
    this.#names.push(full);
    await succeed(["ip", "netns", "add", full]);
    return new Namespace(`/run/netns/${full}`);
  }

  /** Makes one more host on the underlay. */
  async outsideHost(name: string, address: string): Promise<Namespace> {
    const host = await this.namespace(name);
    await this.outside.ip(
      `link add ${name} type veth peer name eth0 netns ${this.#prefix}-${name}`,
      `link set ${name} master br0 up`,
    );
    await host.ip(
      "link set lo up",
      `address add ${address}/24 dev eth0`,
      "link set eth0 up",
    );
    return host;
  }

  async #build(nodes: number): Promise<void> {
    const outside = await this.namespace("out");
    await outside.ip(
      "link set lo up",
      // An address of its own: that of a port would change when ports come and go.
      "link add br0 address 02:00:00:00:7c:fe type bridge",
      `address add ${Segment.outsideAddress}/24 dev br0`,
      "link set br0 up",
    );
    for (let index = 0; index < nodes; index++) {
      const name = `n${index + 1}`;
      const host = await this.namespace(name);
      const address = `192.168.124.${index + 1}`;
      const netnsDir = await Deno.makeTempDir({ prefix: "pr2t-netns-" });
      this.#directories.push(netnsDir);
      this.#nodes.push({ host, address, netnsDir });
      await outside.ip(
        `link add port${index} type veth peer name eth0 netns ${this.#prefix}-${name}`,
        `link set port${index} master br0 up`,
      );
      await host.ip(
        "link set lo up",
        `address add ${address}/24 dev eth0`,
        "link set eth0 up",
        `route add default via ${Segment.outsideAddress}`,
      );
    }
  }

  /** Removes all namespaces and directories, whatever was left in them. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#names) await run(["ip", "netns", "del", name]);
    for (const directory of this.#directories) {
      for (const entry of Deno.readDirSync(directory)) {
        await run(["umount", "-l", `${directory}/${entry.name}`]);
      }
      await run(["umount", "-l", directory]);
      Deno.removeSync(directory, { recursive: true });
    }
  }
}
