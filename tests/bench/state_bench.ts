/** ADD and DEL inside the daemon, by how much there is already: objects in its caches, attachments on its node. */
import { z } from "zod";
import { startApiServer } from "../../daemon/apiserver/server.ts";
import { loadKube } from "../../daemon/kube/connect.ts";
import { createLogger } from "../../daemon/log.ts";
import { parseCniArgs } from "../../lib/cni/args.ts";
import { exchange } from "../../lib/ipc/exchange.ts";
import type { OwnedFd } from "../../lib/sys/fd.ts";
import { createNetns } from "../../lib/sys/netns.ts";
import { networkConfig } from "../lab/pods.ts";
import type { Bench } from "./bench_definition.ts";
import { concurrently } from "./concurrently.ts";
import { memoryOf } from "./processes.ts";
import { type Row, row } from "./report.ts";
import { type ClusterState, createObjects, podOf, vrfOf } from "./state_objects.ts";
import { TextLineStream } from "./text_lines.ts";

const states: readonly ClusterState[] = [
  { name: "1 pod", nodes: 1, domains: 1, bindings: 1, veths: 0, bridges: 1 },
  { name: "1,000 pods", nodes: 100, domains: 50, bindings: 200, veths: 100, bridges: 50 },
  { name: "10,000 pods", nodes: 1_000, domains: 500, bindings: 2_000, veths: 1_000, bridges: 50 },
  { name: "100 in its bridge", nodes: 1, domains: 1, bindings: 1, veths: 100, bridges: 1 },
];

const warmUp = 20;

/** ADD and DEL by the size of the cluster and of the node. */
export const stateBench: Bench = {
  name: "state",
  about: "ADD and DEL in the daemon, with little and with much in its caches and on its node",
  rounds: 200,
  async run({ progress, signal, rounds }) {
    await using stack = new AsyncDisposableStack();
    const nodes: StateNode[] = [];
    for (const state of states) {
      progress(`A node with "${state.name}"`);
      nodes.push(stack.use(await StateNode.start(state)));
      signal.throwIfAborted();
    }
    progress(`${rounds} rounds of one ADD and one DEL each, in turns`);
    const times = new Map<string, number[]>();
    for (let round = -warmUp; round < rounds; round++) {
      signal.throwIfAborted();
      const first = (round + warmUp) % nodes.length;
      for (const command of ["ADD", "DEL"]) {
        for (const node of [...nodes.slice(first), ...nodes.slice(0, first)]) {
          const milliseconds = await node.call(command, node.state.veths);
          const key = `${command}\n${node.state.name}`;
          const series = times.get(key) ?? [];
          times.set(key, series);
          if (round >= 0) series.push(milliseconds);
        }
      }
    }
    return { rows: [...rowsOf(times), ...await memoryRows(nodes)], notes };
  },
};

const notes = [
  ...states.map(({ name, nodes, domains, bindings, veths, bridges }) =>
    `"${name}": blocks of ${nodes} nodes, ${domains} domains, ${bindings} bindings, ${veths} veths in ${bridges} bridges`
  ),
  "From the request's arrival to the answer, in a daemon without FRR and reconciler.",
  "Memory: of a daemon whose modules are not bundled; what it has more than the first is what caches and attachments take.",
  "What a pod announces when it is attached, the kernel hands to every port of its bridge: hence the last one.",
];

/** All states of a command side by side, then by which factor each takes longer than the least. */
function rowsOf(times: ReadonlyMap<string, readonly number[]>): Row[] {
  return ["ADD", "DEL"].flatMap((command) => {
    const rows = states.map(({ name }) =>
      row(command, name, "ms", times.get(`${command}\n${name}`) ?? [])
    );
    const [least] = rows;
    const factors = rows.slice(1).map(({ subject, median }) =>
      row(`${command}, median by that of the first`, subject, "", [median / (least?.median ?? NaN)])
    );
    return [...rows, ...factors];
  });
}

/** What the daemons hold of their own at the end, and what each holds more than the first. */
async function memoryRows(nodes: readonly StateNode[]): Promise<Row[]> {
  const held = await Promise.all(nodes.map(async ({ proc, state }) => ({
    name: state.name,
    anonymous: (await memoryOf({ name: "daemon", proc })).anonymous,
  })));
  const least = held[0]?.anonymous ?? NaN;
  return [
    ...held.map(({ name, anonymous }) => row("Memory, anonymous", name, "MiB", [anonymous])),
    ...held.slice(1).map(({ name, anonymous }) =>
      row("Memory, more than the first", name, "MiB", [anonymous - least])
    ),
  ];
}

const socketsSchema = z.object({ api: z.string(), fd: z.string() });
const doneSchema = z.object({ verb: z.string(), milliseconds: z.number() });

/** A node's daemon beside an API server with what belongs to a cluster of its size. */
class StateNode implements AsyncDisposable {
  readonly state: ClusterState;
  /** Folder of its process in /proc. */
  readonly proc: string;
  readonly #stack: AsyncDisposableStack;
  readonly #pods: readonly OwnedFd[];
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #sockets: z.infer<typeof socketsSchema>;

  private constructor(
    state: ClusterState,
    own: {
      readonly stack: AsyncDisposableStack;
      readonly pid: number;
      readonly pods: readonly OwnedFd[];
      readonly lines: ReadableStreamDefaultReader<string>;
      readonly sockets: z.infer<typeof socketsSchema>;
    },
  ) {
    this.state = state;
    this.proc = `/proc/${own.pid}`;
    this.#stack = own.stack;
    this.#pods = own.pods;
    this.#lines = own.lines;
    this.#sockets = own.sockets;
  }

  static async start(state: ClusterState): Promise<StateNode> {
    await using stack = new AsyncDisposableStack();
    const dataDir = await Deno.makeTempDir({ prefix: "pr2t-bench-" });
    stack.defer(() => Deno.remove(dataDir, { recursive: true }));
    const log = createLogger("error", () => {});
    const server = stack.use(
      await startApiServer({ dataDir, host: "127.0.0.1", port: 0, log, history: undefined }),
    );
    const { kubeconfigPath } = server;
    const connection = stack.use(loadKube({ kubeconfigPath }));
    await createObjects(connection, state);
    const script = new URL("./state_node.ts", import.meta.url).pathname;
    const vrfs = Array.from({ length: state.bridges }, (_, index) => String(vrfOf(index)));
    const child = new Deno.Command(Deno.execPath(), {
      // V8 is told to prefer what the daemon's is told to.
      args: [
        ...["run", "-A", "--no-check", "--quiet", "--v8-flags=--optimize-for-size"],
        ...[script, kubeconfigPath, ...vrfs],
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const lines = child.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream()).getReader();
    stack.defer(async () => {
      await child.stdin.close().catch(() => {});
      await lines.cancel();
      await child.status;
    });
    const sockets = socketsSchema.parse(JSON.parse((await lines.read()).value ?? "null"));
    const pods = Array.from({ length: state.veths + 1 }, () => stack.use(createNetns()));
    const node = new StateNode(state, {
      ...{ stack: stack.move(), pid: child.pid, pods, lines, sockets },
    });
    await concurrently(state.veths, 10, (index) => node.call("ADD", index));
    return node;
  }

  /** Has the daemon run a command for a pod; gives the milliseconds that it took in there. */
  async call(command: string, index: number): Promise<number> {
    const { namespace, name } = podOf(this.state, index);
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: `container-${index}`,
      CNI_NETNS: `/proc/self/fd/${this.#pods[index]?.fd ?? -1}`,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name}`,
    };
    const answer = await exchange(
      { args: parseCniArgs(env), env, config: networkConfig },
      this.#sockets,
      { pid: Deno.pid },
    );
    if ("error" in answer) throw new Error(`${command} of ${name} failed: ${answer.error.msg}`);
    return doneSchema.parse(JSON.parse((await this.#lines.read()).value ?? "null")).milliseconds;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack[Symbol.asyncDispose]();
  }
}
