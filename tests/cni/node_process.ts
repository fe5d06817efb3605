/**
 * A node of harness.ts as a process of its own, so that its descriptors and its memory can be counted and its limits set.
 *
 * Run as a program it starts the node with the settings of its argument, prints a line of JSON and ends when its stdin does.
 */
import { Node } from "./harness.ts";

/** Limits of the server. */
export interface NodeSettings {
  /** Most requests at once. */
  readonly maxOutstanding?: number;
  /** Milliseconds that an unused request id lives. */
  readonly lifetimeMs?: number;
  /** Milliseconds to wait for a descriptor. */
  readonly fdTimeoutMs?: number;
  /** Milliseconds for a body. */
  readonly bodyTimeoutMs?: number;
}

/** A running process with a node. */
export class NodeProcess implements AsyncDisposable {
  /** Path of the HTTP socket. */
  readonly api: string;
  /** Path of the descriptor socket. */
  readonly fdpass: string;
  readonly #child: Deno.ChildProcess;
  readonly #errors: Promise<string>;

  private constructor(child: Deno.ChildProcess, paths: { api: string; fdpass: string }) {
    this.#child = child;
    this.api = paths.api;
    this.fdpass = paths.fdpass;
    this.#errors = new Response(child.stderr).text();
  }

  /**
   * Starts one.
   *
   * @param settings Limits of the server
   * @param descriptors Most descriptors that it may have open
   * @param privileges Options of setpriv(1)
   */
  static async start(
    settings: NodeSettings = {},
    descriptors = 4096,
    privileges: readonly string[] = [],
  ): Promise<NodeProcess> {
    const child = new Deno.Command("setpriv", {
      args: [
        ...[...privileges, "prlimit", `--nofile=${descriptors}`],
        ...[Deno.execPath(), "run", "-A", "--quiet", "--no-check", import.meta.filename ?? ""],
        JSON.stringify(settings),
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    if (value === undefined) throw new Error(await new Response(child.stderr).text());
    return new NodeProcess(child, JSON.parse(new TextDecoder().decode(value)));
  }

  /** Lines of the process's `/proc` status by name: `CapEff`, `NoNewPrivs`, ... */
  get status(): ReadonlyMap<string, string> {
    const text = Deno.readTextFileSync(`/proc/${this.#child.pid}/status`);
    return new Map(
      text.split("\n").map((line) => {
        const [name = "", value = ""] = line.split(":");
        return [name, value.trim()];
      }),
    );
  }

  /** How many descriptors the process has open, but for the runtime's caches, which it opens when it comes to them. */
  get descriptors(): number {
    return this.#open().length;
  }

  #open(): string[] {
    const folder = `/proc/${this.#child.pid}/fd`;
    const targets = [...Deno.readDirSync(folder)].flatMap(({ name }) => {
      try {
        return [Deno.readLinkSync(`${folder}/${name}`)];
      } catch (thrown) {
        // Closed meanwhile.
        if (thrown instanceof Deno.errors.NotFound) return [];
        throw thrown;
      }
    });
    return targets.filter((target) => !/_cache_v\d+(-wal|-shm|-journal)?$/.test(target));
  }

  /** Memory of the process, in bytes. */
  get memory(): number {
    return Number.parseInt(this.status.get("VmRSS") ?? "") * 1024;
  }

  /** Waits until no more descriptors are open than there were. */
  async settle(before: number): Promise<void> {
    const deadline = performance.now() + 20_000;
    while (this.descriptors > before) {
      if (performance.now() > deadline) {
        const open = this.#open();
        throw new Error(
          `Expected ${before} open descriptors, found ${open.length}: ${open.join(", ")}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends the node. @throws {Error} When it had ended by itself or ends with a fault */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close().catch(() => {});
    const { code } = await this.#child.status;
    const errors = await this.#errors;
    if (code !== 0 || errors !== "") {
      throw new Error(`Expected the node to end when it is told, found ${code}: ${errors}`);
    }
  }
}

if (import.meta.main) {
  const { bodyTimeoutMs, ...limits }: NodeSettings = JSON.parse(Deno.args[0] ?? "{}");
  await using node = await Node.start({
    server: { limits, ...bodyTimeoutMs === undefined ? {} : { bodyTimeoutMs } },
  });
  // Before anybody counts: what the runtime opens once, at a time of its own: a pair of sockets for signals, and what stdin takes.
  Deno.addSignalListener("SIGUSR2", () => {});
  const told = new Response(Deno.stdin.readable).text();
  console.log(JSON.stringify({ api: node.api, fdpass: node.fdpass }));
  await Promise.race([told, node.finished]);
}
