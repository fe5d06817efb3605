/** A whole cluster in one process: it starts, takes its pods, is left alone, and starts anew all at once. Counts what it asks of the API. */
import { parseConfig } from "../../daemon/config.ts";
import { type AttachmentStore, openJournal } from "../../daemon/ipam/journal.ts";
import type { Attachment } from "../../daemon/ipam/port.ts";
import type { KubeConnection } from "../../daemon/kube/transport.ts";
import { createResourceClient } from "../../daemon/kube/resource_client.ts";
import { wait } from "../../daemon/kube/wait.ts";
import { createLogger } from "../../daemon/log.ts";
import { type NodeCaches, startNodeCaches } from "../../daemon/node_caches.ts";
import { ipBlockKind } from "../../daemon/resources/ip_block.ts";
import { type Claim, mostConflicts } from "./claim_bound.ts";
import {
  type ClusterNode,
  clusterNodes,
  type ClusterSize,
  createObjects,
  inTurns,
  slotsOf,
} from "./cluster_objects.ts";
import { countConnection, RequestCount } from "./counted_connection.ts";
import { type SimulatedNode, startSimulatedNode } from "./simulated_node.ts";

/** What is simulated. */
export interface SimulationOptions extends ClusterSize {
  /** The way to the API. */
  readonly connection: KubeConnection;
  /** Nodes that keep copies of their own, as each daemon does; the others share one. */
  readonly complete: number;
  /** Seconds in which nothing happens, to see what is asked all the same. */
  readonly quietSeconds: number;
  /** Collects garbage at once, where it can be had: then the heap of a node's copies is told. */
  readonly collectGarbage?: (() => void) | undefined;
  /** Called with a line for each step. */
  readonly progress: (line: string) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** What the nodes asked of the API in one phase; lists and watches are told apart. */
export interface PhaseReport {
  /** What the nodes did. */
  readonly name: string;
  /** How long it took; the nodes share the simulation's processor. */
  readonly seconds: number;
  /** Requests by verb and resource, of all nodes. */
  readonly requests: Readonly<Record<string, number>>;
  /** Refused ones, by what was refused and why. */
  readonly refused: Readonly<Record<string, number>>;
  /** Requests per node. */
  readonly perNode: number;
  /** Requests in the second with the most. */
  readonly busiestSecond: number;
  /** What one complete node heard by its watches meanwhile. */
  readonly watch: { readonly events: number; readonly bytes: number };
}

/** What a node's copies of the API's objects take. */
export interface CachesReport {
  /** Lists to fill them. */
  readonly lists: number;
  /** Bytes of these, as JSON. */
  readonly listBytes: number;
  /** Watches that stay open. */
  readonly watches: number;
  /** Bytes of the heap that they take; undefined where the garbage cannot be collected at will. */
  readonly heapBytes: number | undefined;
}

/** What a simulation has found. */
export interface SimulationReport {
  readonly size: ClusterSize;
  /** IPBlocks held at the end. */
  readonly blocks: number;
  /** Claims that another node's block refused. */
  readonly conflicts: number;
  /** The most that there can be, if no node ever heard of another. */
  readonly mostConflicts: number;
  /** Addresses that two pods of a tenant have. */
  readonly duplicates: number;
  /** Pods that kept their addresses over the restart. */
  readonly keptPods: number;
  /** BGP sessions of a node. */
  readonly peersPerNode: number;
  readonly phases: readonly PhaseReport[];
  readonly caches: CachesReport;
}

interface Seat extends ClusterNode {
  readonly journal: AttachmentStore;
  readonly count: RequestCount;
  readonly connection: KubeConnection;
  readonly caches: NodeCaches;
}

const quiet = createLogger("error", () => {});
const config = parseConfig("");

/** Runs the phases. */
export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const { signal, progress } = options;
  const shared = limitRequests(options.connection, 200);
  progress("objects");
  await createObjects(shared, options);
  await using stack = new AsyncDisposableStack();
  const observer = stack.use(startNodeCaches(shared, "observer", quiet));
  const seats = clusterNodes(options).map((node, index): Seat => {
    const count = new RequestCount();
    const connection = countConnection(shared, count);
    const complete = index < options.complete;
    return {
      ...node,
      journal: stack.use(openJournal(":memory:").journal),
      count,
      connection,
      caches: complete ? stack.use(startNodeCaches(connection, node.name, quiet)) : observer,
    };
  });
  await observer.whenSynced(signal);
  const running = new Running(seats);
  stack.use(running);
  const phases: PhaseReport[] = [];
  const phase = async (name: string, action: () => Promise<unknown>) => {
    progress(name);
    phases.push(await measured(name, seats, action));
  };
  const rows: Attachment[] = [];
  await phase("all nodes start", async () => {
    running.start();
    await running.settled(signal);
  });
  await phase("pods come", async () => {
    rows.push(...await running.attachAll());
    await running.settled(signal);
  });
  await phase("left alone", () => wait(options.quietSeconds * 1000, signal));
  await running.stop();
  // A daemon that starts lists anew: the copies must not be further behind than that.
  await untilSeen(shared, [...new Set(seats.map(({ caches }) => caches))], signal);
  await phase("all nodes start anew", async () => {
    running.start();
    await running.settled(signal);
  });
  const after = running.nodes.flatMap(({ pool }) => pool.list());
  const claims = running.nodes.flatMap(({ pool }, index): Claim[] =>
    pool.blocks().map(({ vrf }) => ({ node: seats[index]?.name ?? "", vrf }))
  );
  return {
    size: sizeOf(options),
    blocks: claims.length,
    conflicts: phases.reduce(
      (sum, { refused }) => sum + (refused["POST ipblocks AlreadyExists"] ?? 0),
      0,
    ),
    mostConflicts: mostConflicts(claims, slotsOf(options)),
    duplicates: rows.length - new Set(rows.map(addressOf)).size,
    keptPods: new Set(after.map(addressOf)).intersection(new Set(rows.map(addressOf))).size,
    peersPerNode: running.nodes[0]?.peers ?? 0,
    phases,
    caches: await measureCaches(shared, options),
  };
}

/** Resolves when the copies have the blocks as the server has them; nobody changes them meanwhile. */
async function untilSeen(
  connection: KubeConnection,
  copies: readonly NodeCaches[],
  signal: AbortSignal,
): Promise<void> {
  const blocks = await createResourceClient(connection, ipBlockKind).list(signal);
  const isBehind = ({ blocks: { cache } }: NodeCaches) =>
    blocks.some(({ metadata: { name, resourceVersion } }) =>
      cache.get(name)?.metadata.resourceVersion !== resourceVersion
    );
  while (copies.some(isBehind)) await wait(20, signal);
}

function sizeOf({ nodes, pods, tenants, tenantsPerNode, reflectors }: ClusterSize): ClusterSize {
  return { nodes, pods, tenants, tenantsPerNode, reflectors };
}

function addressOf({ vrf, allocations }: Attachment): string {
  return `${vrf} ${allocations.map(({ address }) => address).join(" ")}`;
}

/** The nodes that run at present. */
class Running implements AsyncDisposable {
  readonly #seats: readonly Seat[];
  nodes: readonly SimulatedNode[] = [];

  constructor(seats: readonly Seat[]) {
    this.#seats = seats;
  }

  start(): void {
    this.nodes = this.#seats.map((seat) => startSimulatedNode({ ...seat, config, log: quiet }));
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()));
    this.nodes = [];
  }

  async settled(signal: AbortSignal): Promise<void> {
    await inTurns(this.nodes, 100, (node) => node.settled(signal));
  }

  async attachAll(): Promise<Attachment[]> {
    const rows = await Promise.all(this.nodes.map(async (node, index) => {
      const pods = this.#seats[index]?.pods ?? new Map<string, readonly string[]>();
      const ofTenants = [...pods].map(([tenant, names]) => node.attach(tenant, names));
      return (await Promise.all(ofTenants)).flat();
    }));
    return rows.flat();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

async function measured(
  name: string,
  seats: readonly Seat[],
  action: () => Promise<unknown>,
): Promise<PhaseReport> {
  const before = seats.map(({ count }) => count.requests.length);
  const observed = seats[0]?.count ?? new RequestCount();
  const { events, watchBytes } = observed;
  const start = performance.now();
  await action();
  const seconds = (performance.now() - start) / 1000;
  const all = seats.flatMap(({ count }, index) => count.requests.slice(before[index]))
    .filter(({ what }) => !/^(LIST|WATCH) /.test(what));
  const perSecond = tally(all.map(({ at }) => String(Math.floor((at - start) / 1000))));
  return {
    name,
    seconds,
    requests: tally(all.map(({ what }) => what)),
    refused: tally(
      all.flatMap(({ what, refusal }) => refusal === undefined ? [] : [`${what} ${refusal}`]),
    ),
    perNode: all.length / seats.length,
    busiestSecond: Math.max(0, ...Object.values(perSecond)),
    watch: { events: observed.events - events, bytes: observed.watchBytes - watchBytes },
  };
}

function tally(words: readonly string[]): Record<string, number> {
  const groups = Map.groupBy(words, (word) => word);
  return Object.fromEntries(
    [...groups].map(([word, all]) => [word, all.length] as const).toSorted(),
  );
}

/** One more node's copies, by themselves. */
async function measureCaches(
  connection: KubeConnection,
  { collectGarbage, signal, progress }: SimulationOptions,
): Promise<CachesReport> {
  progress("one node's caches");
  const count = new RequestCount();
  collectGarbage?.();
  const before = Deno.memoryUsage().heapUsed;
  await using caches = startNodeCaches(countConnection(connection, count), "node-0", quiet);
  await caches.whenSynced(signal);
  // Watches are asked for once the lists are there.
  while (count.requests.filter(({ what }) => what.startsWith("WATCH ")).length < 10) {
    await wait(10, signal);
  }
  collectGarbage?.();
  const after = Deno.memoryUsage().heapUsed;
  const of = (verb: string) =>
    count.requests.filter(({ what }) => what.startsWith(`${verb} `)).length;
  return {
    lists: of("LIST"),
    listBytes: count.listBytes,
    watches: of("WATCH"),
    heapBytes: collectGarbage === undefined ? undefined : after - before,
  };
}

/** So many requests at once; streams do not count. The nodes' processors are one here. */
function limitRequests(inner: KubeConnection, most: number): KubeConnection {
  let under = 0;
  const waiting: (() => void)[] = [];
  return {
    get server() {
      return inner.server;
    },
    async json(request) {
      if (under >= most) await new Promise<void>((resolve) => waiting.push(resolve));
      else under += 1;
      try {
        return await inner.json(request);
      } finally {
        const next = waiting.shift();
        if (next === undefined) under -= 1;
        else next();
      }
    },
    stream: (request) => inner.stream(request),
    [Symbol.dispose]: () => {},
  };
}
