import { KubeConfig } from "@kubernetes/client-node";
import { dirname, isAbsolute, join } from "node:path";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { messageOf } from "../../lib/errors.ts";
import { noContext } from "./credentials.ts";
import { createHttpTransport, type KubeConnection, type TransportOptions } from "./transport.ts";
import { KubeError } from "./kube_error.ts";

export type { KubeConnection } from "./transport.ts";

/** Where a pod finds its cluster: the environment's address and the service account's files. */
export interface InCluster {
  /** `KUBERNETES_SERVICE_HOST`. */
  readonly host: string;
  /** `KUBERNETES_SERVICE_PORT`. */
  readonly port: string;
  /** Folder with `token` and `ca.crt`. */
  readonly directory?: string;
}

/** How to reach the API: exactly one of the two. */
export interface LoadKubeOptions extends TransportOptions {
  /** Path of a kubeconfig. */
  readonly kubeconfigPath?: string;
  /** The service account of the pod that the daemon runs in. */
  readonly inCluster?: InCluster;
}

const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

const kubeconfigSchema = z.looseObject({
  users: z.array(z.looseObject({
    user: z.looseObject({ tokenFile: z.string().optional() }).nullish(),
  })).nullish(),
});

/**
 * Prepares the connection to the Kubernetes API. Nothing is sent yet: the first request tells whether it works.
 *
 * @throws {KubeError} `Invalid` if the configuration cannot be read or names no server
 */
export function loadKube(options: LoadKubeOptions): KubeConnection {
  const config = options.inCluster === undefined
    ? fromFile(options.kubeconfigPath)
    : fromServiceAccount(options.inCluster);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw noContext();
  return createHttpTransport(config, checkServer(cluster.server), options);
}

function fromServiceAccount(pod: InCluster): KubeConfig {
  const directory = pod.directory ?? serviceAccount;
  const host = pod.host.includes(":") ? `[${pod.host}]` : pod.host;
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    {
      name: "in-cluster",
      server: `https://${host}:${pod.port}`,
      caFile: join(directory, "ca.crt"),
      skipTLSVerify: false,
    },
    { name: "in-cluster", authProvider: tokenFileProvider(join(directory, "token")) },
  );
  return config;
}

function fromFile(path: string | undefined): KubeConfig {
  if (path === undefined) {
    throw new KubeError(
      "Invalid",
      "Neither a kubeconfig nor a service account is given; name one of them",
    );
  }
  const config = new KubeConfig();
  try {
    const content = kubeconfigSchema.parse(parseYaml(Deno.readTextFileSync(path)));
    const directory = dirname(path);
    // client-node reads no "tokenFile", although kubectl does.
    for (const { user } of content.users ?? []) {
      if (user?.tokenFile === undefined) continue;
      const file = isAbsolute(user.tokenFile) ? user.tokenFile : join(directory, user.tokenFile);
      user["auth-provider"] = tokenFileProvider(file);
    }
    config.loadFromString(JSON.stringify(content));
    config.makePathsAbsolute(directory);
  } catch (cause) {
    throw new KubeError(
      "Invalid",
      `Could not read the kubeconfig "${path}": ${messageOf(cause)}; check the file`,
      { cause },
    );
  }
  return config;
}

function tokenFileProvider(tokenFile: string): { name: string; config: { tokenFile: string } } {
  return { name: "tokenFile", config: { tokenFile } };
}

function checkServer(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  const loopback = ["127.0.0.1", "[::1]", "localhost"].includes(url?.hostname ?? "");
  if (url?.protocol === "https:" || (url?.protocol === "http:" && loopback)) {
    return server.replace(/\/+$/, "");
  }
  throw new KubeError(
    "Invalid",
    `The kubeconfig's server is "${server}"; expected an https address (http only on loopback)`,
  );
}
