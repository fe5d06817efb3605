/** A real Kubernetes API: etcd and kube-apiserver with the project's CRDs, for as long as a test lasts. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import {
  type Credentials,
  loadCredentials,
  writeKubeconfig,
} from "../../daemon/apiserver/data_dir.ts";
import { execute, type SpawnedProcess, until } from "../lab/process.ts";
import type { Holder } from "../lab/holder.ts";
import type { KubeBinaries } from "./apiserver_binary.ts";
import { randomLoopback } from "../../daemon/kube/testing/loopback.ts";
import { customResourceDefinitions } from "./custom_resource_definitions.ts";
import {
  apiServerCommand,
  apiServiceAddress,
  etcdCommand,
  type ServerPlace,
} from "./real_server_commands.ts";

/** Where the servers run: this machine, or one of a lab. */
export type Machine = Pick<Holder, "run" | "start">;

/** Somebody with a token and a kubeconfig of their own. */
export interface ApiClient {
  /** Name of the user. */
  readonly user: string;
  /** Their groups. */
  readonly groups: readonly string[];
}

/** How a server is started. */
export interface RealServerOptions {
  /** The executables. */
  readonly binaries: KubeBinaries;
  /** Where it keeps everything; a directory of its own, removed at the end, when absent. */
  readonly directory?: string;
  /** Address it listens at, on ports 6443, 2379 and 2380; one of loopback's that nobody else has when absent. */
  readonly host?: string;
  /** Where it runs; this machine when absent. */
  readonly machine?: Machine;
  /** The parts of a cluster that log in beside the administrator; absent when there is to be no cluster, but an API alone. */
  readonly cluster?: readonly ApiClient[];
  /** Ends the making of it. */
  readonly signal: AbortSignal;
}

/** A server that is up; disposing of it ends its processes and removes its directory. */
export interface RealServer extends AsyncDisposable {
  /** Address of the API. */
  readonly url: string;
  /** Kubeconfig of an administrator. */
  readonly kubeconfigPath: string;
  /** The certificate authority of its certificate, in PEM. */
  readonly authority: string;
  /** Bearer token of the administrator. */
  readonly token: string;
  /** Makes the server forget all versions up to the present one. */
  forgetHistory(): Promise<void>;
  /** Kills kube-apiserver; etcd and with it the objects stay. */
  killApiServer(): Promise<void>;
  /** Starts kube-apiserver again at the same address. */
  startApiServer(): Promise<void>;
  /** Runs kubectl as administrator. */
  kubectl(args: readonly string[], stdin?: string): Promise<string>;
}

/** Where the kubeconfig of a cluster's part is. */
export function kubeconfigOf(directory: string, { user }: ApiClient): string {
  return join(directory, `${user.replaceAll(":", "-")}.kubeconfig`);
}

/** Seconds for a part to come up on a machine that is busy. */
const patience = 180;
const prefix = "pr2t-kube-";

/**
 * Starts etcd and kube-apiserver, waits until the API is ready, and applies the CRDs.
 *
 * @throws {Error} When a part ends or is not ready in time; its log's end is in the message
 */
export async function startRealServer(options: RealServerOptions): Promise<RealServer> {
  const { machine = hereMachine, host = randomLoopback(), signal } = options;
  const directory = options.directory ?? await makeDirectory();
  const place: ServerPlace = { directory, host };
  const credentials = await loadCredentials(directory, [host, apiServiceAddress], new Date());
  const url = `https://${host}:6443`;
  const kubeconfigPath = join(directory, "kubeconfig");
  const running = new Map<string, SpawnedProcess>();
  const start = (name: string, command: readonly string[]) => {
    running.set(name, machine.start(command, { log: join(directory, `${name}.log`) }));
  };
  const end = async (name: string) => {
    const process = running.get(name);
    running.delete(name);
    process?.kill("SIGKILL");
    await process?.status;
  };
  const kubectl = (args: readonly string[], stdin?: string) =>
    machine.run(["kubectl", "--kubeconfig", kubeconfigPath, ...args], {
      env: { HOME: directory },
      signal,
      ...(stdin === undefined ? {} : { stdin }),
    });
  const startApiServer = async () => {
    const inCluster = options.cluster !== undefined;
    start("kube-apiserver", apiServerCommand(options.binaries.apiServer, place, inCluster));
    await untilReady("kube-apiserver", running, directory, signal, async () => {
      await kubectl(["get", "--raw", "/readyz", "--request-timeout=5s"]);
      await kubectl(["get", "namespace", "default", "--request-timeout=5s"]);
    });
  };
  const server: RealServer = {
    url,
    kubeconfigPath,
    authority: credentials.ca,
    token: credentials.token,
    forgetHistory: () => compact(host),
    killApiServer: () => end("kube-apiserver"),
    startApiServer,
    kubectl,
    [Symbol.asyncDispose]: async () => {
      await end("kube-apiserver");
      await end("etcd");
      if (options.directory === undefined) await Deno.remove(directory, { recursive: true });
    },
  };
  try {
    await writeSecrets(directory, { url, credentials, kubeconfigPath }, options.cluster ?? []);
    start("etcd", etcdCommand(options.binaries.etcd, place));
    await startApiServer();
    await applyDefinitions(kubectl);
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

async function applyDefinitions(kubectl: RealServer["kubectl"]): Promise<void> {
  await kubectl(["apply", "--server-side", "-f", "-"], await customResourceDefinitions());
  await kubectl([
    ...["wait", "--for=condition=Established", "--timeout=60s"],
    ...["customresourcedefinitions", "--all"],
  ]);
}

async function writeSecrets(
  directory: string,
  { url, credentials, kubeconfigPath }: {
    readonly url: string;
    readonly credentials: Credentials;
    readonly kubeconfigPath: string;
  },
  clients: readonly ApiClient[],
): Promise<void> {
  await writeKubeconfig(kubeconfigPath, url, credentials);
  const write = (name: string, text: string) =>
    Deno.writeTextFile(join(directory, name), text, { mode: 0o600 });
  const tokens = [`${credentials.token},administrator,administrator,"system:masters"\n`];
  for (const client of clients) {
    const token = randomBytes(32).toString("base64url");
    tokens.push(`${token},${client.user},${client.user},"${client.groups.join(",")}"\n`);
    await writeKubeconfig(kubeconfigOf(directory, client), url, { ...credentials, token });
  }
  await write("tokens.csv", tokens.join(""));
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  await write(
    "service-account.key",
    privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  );
  await write("service-account.pub", publicKey.export({ type: "spki", format: "pem" }).toString());
}

/** Waits until a look succeeds; a process that ends meanwhile ends the wait with what it said last. */
async function untilReady(
  name: string,
  running: ReadonlyMap<string, SpawnedProcess>,
  directory: string,
  signal: AbortSignal,
  look: () => Promise<void>,
): Promise<void> {
  const ended = new AbortController();
  for (const [part, process] of running) {
    void process.status.then(async ({ code }) => {
      const said = await Deno.readTextFile(join(directory, `${part}.log`)).catch(() => "");
      ended.abort(new Error(`"${part}" ended with ${code}: ${said.slice(-2000).trim()}`));
    });
  }
  const any = AbortSignal.any([signal, ended.signal]);
  await until(`${name} to be ready`, patience, () => look().then(() => true), any);
}

/** What etcd's own gateway takes (etcd API, `KV.Range` and `KV.Compact`). */
async function compact(host: string): Promise<void> {
  const ask = async (method: string, body: unknown) => {
    const response = await fetch(`http://${host}:2379/v3/kv/${method}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`etcd refused "${method}": ${text}`);
    const revision = /"revision":"(\d+)"/.exec(text)?.[1];
    if (revision === undefined) throw new Error(`Expected a revision from etcd, found "${text}"`);
    return revision;
  };
  const revision = await ask("range", { key: btoa("/"), count_only: true });
  await ask("compaction", { revision, physical: true });
}

/** On this machine: processes that the kernel kills when this one dies. */
const hereMachine: Machine = {
  run: (command, options = {}) => execute(command, options),
  start: (command, { log }) => {
    const child = new Deno.Command("sh", {
      args: ["-c", 'exec setpriv --pdeathsig KILL "$@" >>"$0" 2>&1', log, ...command],
      stdin: "null",
    }).spawn();
    return { pid: child.pid, status: child.status, kill: (signal) => kill(child, signal) };
  },
};

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    // It has ended already.
    if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** A directory of this process, after removing those of processes that are no more. */
async function makeDirectory(): Promise<string> {
  const path = await Deno.makeTempDir({ prefix: `${prefix}${Deno.pid}-` });
  const parent = dirname(path);
  for await (const { name } of Deno.readDir(parent)) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined) continue;
    const alive = await Deno.stat(`/proc/${pid}`).then(() => true, () => false);
    // Another process may be removing it too.
    if (!alive) await Deno.remove(join(parent, name), { recursive: true }).catch(() => {});
  }
  return path;
}
