/** What pods' packets lose and wait on their way, beside a bare veth pair and a bare VXLAN. */
import { z } from "zod";
import { startLab } from "../lab/lab.ts";
import { kubectl } from "../lab/machines.ts";
import { execute, executeRaw, until } from "../lab/process.ts";
import { defaultTenant } from "../lab/topology.ts";
import type { Bench } from "./bench_definition.ts";
import { type DataPath, inEnd, makePaths } from "./dataplane_paths.ts";
import { parseSockperf } from "./dataplane_answers.ts";
import { type Row, row } from "./report.ts";

const seconds = "1";
const throughputPort = "5201";
const answerPort = "11111";

/** Throughput, request and response, latency. */
export const dataplaneBench: Bench = {
  name: "dataplane",
  about: "TCP between pods on one node and on two, beside a bare veth pair and a bare VXLAN",
  rounds: 8,
  async run({ dist, signal, progress, rounds }) {
    await using lab = await startLab({
      name: `bench-dataplane-${Deno.pid}`,
      backend: "netns",
      nodes: 2,
      dist,
      keep: false,
      signal,
      progress,
    });
    await until(
      "the default domain",
      60,
      () => kubectl(lab, ["get", "vrfdomain", defaultTenant]).then(() => true),
      signal,
    );
    const ready = ["wait", "--for=condition=Ready", "--timeout=60s", `vrfdomain/${defaultTenant}`];
    await kubectl(lab, ready);
    const paths = await makePaths({ lab }, dist);
    // The servers end with their machines.
    for (const { server } of paths) startServers(server, lab.directory);
    for (const path of paths) await untilServed(path, signal);
    progress(`${rounds} rounds of ${seconds} s each, in turns`);
    const found = new Map<DataPath, Measured[]>(paths.map((path) => [path, []]));
    for (let round = -1; round < rounds; round++) {
      const first = (round + 1) % paths.length;
      for (const path of [...paths.slice(first), ...paths.slice(0, first)]) {
        signal.throwIfAborted();
        const measured = await measure(path);
        if (round >= 0) found.get(path)?.push(measured);
      }
    }
    return {
      rows: rowsOf(found),
      notes: [
        "Throughput is iperf3's, one TCP stream; the others are sockperf's: a message of 64 bytes back and forth, half a round trip.",
        '"ours/this" above 1 is more: good of throughput and messages, bad of latency. VRFs are network namespaces.',
      ],
    };
  },
};

/** One look at a path. */
interface Measured {
  /** Gbit/s. */
  readonly throughput: number;
  /** Messages that came back, in a second. */
  readonly rate: number;
  /** Half of a round trip in microseconds, of the medium message and of the 99th in a hundred. */
  readonly median: number;
  readonly p99: number;
}

function startServers(end: DataPath["server"], directory: string): void {
  const start = (name: string, command: readonly string[]) =>
    end.node.holder.start(["nsenter", `--net=${end.netns}`, ...command], {
      log: `${directory}/${name}-${end.netns.replaceAll("/", "_")}.log`,
    });
  start("iperf3", ["iperf3", "--server", "--port", throughputPort]);
  start("sockperf", ["sockperf", "server", "--tcp", "-i", "0.0.0.0", "-p", answerPort]);
}

/** Both servers listen, and packets get there and back: routes take a while between two nodes. */
async function untilServed({ client, server }: DataPath, signal: AbortSignal): Promise<void> {
  await until("the servers to listen", 30, async () => {
    const listening = await execute(inEnd(server, ["ss", "--listening", "--tcp", "--numeric"]));
    const both = [throughputPort, answerPort].every((port) => listening.includes(`:${port} `));
    return both || undefined;
  }, signal);
  const connect = ["timeout", "2", "bash", "-c", 'exec 3<>"/dev/tcp/$1/$2"', "bash"];
  await until(`${server.address} to answer`, 60, async () => {
    const { code } = await executeRaw(inEnd(client, [...connect, server.address, answerPort]));
    return code === 0 || undefined;
  }, signal);
}

const iperfSchema = z.object({
  end: z.object({ sum_received: z.object({ bits_per_second: z.number() }) }),
});

async function measure({ client, server }: DataPath): Promise<Measured> {
  const stream = await execute(inEnd(client, [
    ...["iperf3", "--client", server.address, "--port", throughputPort],
    ...["--time", seconds, "--json"],
  ]));
  const { end } = iperfSchema.parse(JSON.parse(stream));
  const answers = await execute(inEnd(client, [
    ...["sockperf", "ping-pong", "--tcp", "-i", server.address, "-p", answerPort],
    ...["--time", seconds, "--msg-size", "64"],
  ]));
  return { throughput: end.sum_received.bits_per_second / 1e9, ...parseSockperf(answers) };
}

function rowsOf(found: ReadonlyMap<DataPath, readonly Measured[]>): Row[] {
  const kinds = [
    ["TCP throughput", "Gbit/s", "throughput"],
    ["requests and responses", "1/s", "rate"],
    ["latency, median", "µs", "median"],
    ["latency, p99", "µs", "p99"],
  ] as const;
  return kinds.flatMap(([what, unit, field]) =>
    [...found].map(([{ where, subject }, measured]) =>
      row(`${what}, ${where}`, subject, unit, measured.map((each) => each[field]))
    )
  );
}
